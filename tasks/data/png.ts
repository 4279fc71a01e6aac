/**
 * Pictures as PNG files, made by nothing but the runtime's own compression.
 *
 * @module
 */
import crc from "crc-32";
import type { ImageExample } from "./dataset.ts";

/** Plain pixels. */
export type Pixels = Omit<ImageExample, "label" | "labels">;

/** What every PNG file begins with. */
const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];

/** A chunk: length, name, content and the checksum of both. */
function chunk(name: string, content: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(12 + content.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, content.length);
  bytes.set(new TextEncoder().encode(name), 4);
  bytes.set(content, 8);
  view.setInt32(8 + content.length, crc.buf(bytes.subarray(4, 8 + content.length)));
  return bytes;
}

/**
 * A picture as the bytes of a PNG file, 8 bits a channel.
 *
 * @param picture Its pixels, of 1 or 3 channels
 */
export async function encodePng({ pixels, height, width, channels }: Pixels): Promise<Uint8Array> {
  const row = width * channels;
  // Each row begins with its filter, here none.
  const rows = new Uint8Array(height * (1 + row));
  for (let y = 0; y < height; y++) rows.set(pixels.subarray(y * row, (y + 1) * row), y * (1 + row) + 1);
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header.set([8, channels === 1 ? 0 : 2], 8);
  const packed = new Blob([rows]).stream().pipeThrough(new CompressionStream("deflate"));
  const parts = [
    Uint8Array.from(SIGNATURE),
    chunk("IHDR", header),
    chunk("IDAT", await new Response(packed).bytes()),
    chunk("IEND", new Uint8Array(0)),
  ];
  return await new Blob(parts as BlobPart[]).bytes();
}
