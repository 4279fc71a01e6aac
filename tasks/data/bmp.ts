/**
 * Windows bitmaps: 1, 4, 8, 16, 24 and 32 bits a pixel, palettes, bit masks, run lengths of 8 and 4 bits. The decoder
 * for the other formats does not read them, and the packages that do check no bounds.
 *
 * @module
 */

import { OneloraError } from "../../dsl/error.ts";
import { checkPictureSize, type Pixels } from "./picture_formats.ts";

const [PLAIN, RLE8, RLE4, MASKS, ALPHA_MASKS] = [0, 1, 2, 3, 6];

/** What the headers say. */
interface Header {
  readonly width: number;
  readonly height: number;
  readonly topDown: boolean;
  readonly bits: number;
  readonly compression: number;
  /** Where the pixels start. */
  readonly start: number;
  /** Where the palette starts, how many entries it has at most, and bytes of each. */
  readonly palette: { readonly at: number; readonly count: number; readonly stride: number };
  /** Bits of red, green and blue within a pixel of 16 or 32. */
  readonly masks: readonly number[];
}

function readHeader(view: DataView, fail: (found: string) => never): Header {
  if (view.byteLength < 26) fail("a file cut short");
  const start = view.getUint32(10, true);
  const size = view.getUint32(14, true);
  const old = size === 12;
  if (!old && (size < 40 || size > 1024 || view.byteLength < 14 + size)) fail(`a header of ${size} bytes`);
  const bits = view.getUint16(old ? 24 : 28, true);
  const compression = old ? PLAIN : view.getUint32(30, true);
  const rows = old ? view.getUint16(20, true) : view.getInt32(22, true);
  const masked = compression === MASKS || compression === ALPHA_MASKS;
  const forms = `${bits} bits a pixel, compression ${compression}`;
  const fits = compression === PLAIN
    ? [1, 4, 8, 16, 24, 32].includes(bits)
    : (compression === RLE8 && bits === 8) || (compression === RLE4 && bits === 4) ||
      (masked && (bits === 16 || bits === 32));
  if (!fits) fail(forms);
  const separate = masked && size === 40 ? (compression === MASKS ? 12 : 16) : 0;
  const at = 14 + size + separate;
  const stride = old ? 3 : 4;
  if (masked && view.byteLength < 66) fail("a file cut short");
  const used = old ? 0 : view.getUint32(46, true);
  return {
    width: old ? view.getUint16(18, true) : view.getInt32(18, true),
    height: Math.abs(rows),
    topDown: rows < 0,
    bits,
    compression,
    start,
    palette: { at, count: Math.min(used || 2 ** bits, 2 ** bits), stride },
    masks: masked
      ? [54, 58, 62].map((place) => view.getUint32(place, true))
      : bits === 16
      ? [0x7c00, 0x3e0, 0x1f]
      : [0xff0000, 0xff00, 0xff],
  };
}

/** The indices of pixels in run lengths, rows from the bottom up; what no run covers is 0. */
function runLengths({ width, height, bits }: Header, bytes: Uint8Array, fail: (found: string) => never): Uint8Array {
  const out = new Uint8Array(width * height);
  let [x, y, at] = [0, 0, 0];
  const put = (value: number) => {
    if (x < width && y < height) out[y * width + x] = value;
    x++;
  };
  const pick = (byte: number, i: number) => bits === 8 ? byte : i % 2 === 0 ? byte >> 4 : byte & 15;
  while (at + 1 < bytes.length && y < height) {
    const [count, value] = [bytes[at], bytes[at + 1]];
    at += 2;
    if (count > 0) {
      for (let i = 0; i < count; i++) put(pick(value, i));
    } else if (value === 0) [x, y] = [0, y + 1];
    else if (value === 1) return out;
    else if (value === 2) [x, y, at] = [x + (bytes[at] ?? 0), y + (bytes[at + 1] ?? 0), at + 2];
    else {
      for (let i = 0; i < value; i++) put(pick(bytes[at + (bits === 8 ? i : i >> 1)] ?? 0, i));
      const length = bits === 8 ? value : (value + 1) >> 1;
      at += length + length % 2;
    }
  }
  return y * width + x < width * height ? fail("a file cut short") : out;
}

/** The palette as red, green and blue of 256 entries; those that the file lacks are black. */
function readPalette({ palette: { at, count, stride }, start }: Header, bytes: Uint8Array): Uint8Array {
  const colours = new Uint8Array(3 * 256);
  for (let i = 0; i < count && at + (i + 1) * stride <= Math.min(start, bytes.length); i++) {
    for (let c = 0; c < 3; c++) colours[3 * i + c] = bytes[at + i * stride + 2 - c];
  }
  return colours;
}

/** A channel of a masked pixel as a byte, rounded down as Pillow does. */
function scaled(pixel: number, mask: number): number {
  if (mask === 0) return 0;
  const low = (mask & -mask) >>> 0;
  return Math.trunc((((pixel & mask) >>> 0) / low) * 255 / (mask / low));
}

/**
 * A bitmap as red, green and blue; opacity is left out.
 *
 * @param bytes The file
 * @param name What to call it in errors
 * @throws OneloraError for a damaged file and for forms that hold other files (JPEG, PNG)
 */
export function decodeBmp(bytes: Uint8Array, name: string): Pixels {
  const fail = (found: string): never => {
    throw new OneloraError({
      attempted: `decoding ${name}`,
      found,
      allowed: "an intact bitmap of 1 to 32 bits a pixel, plain, with masks or run lengths",
    });
  };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const header = readHeader(view, fail);
  const { width, height, bits, compression, start, masks } = header;
  checkPictureSize(width, height, name);
  const stride = Math.ceil(width * bits / 32) * 4;
  const coded = compression === RLE8 || compression === RLE4;
  if (coded ? start >= bytes.length : start + stride * height > bytes.length) fail("a file cut short");
  const indices = coded ? runLengths(header, bytes.subarray(start), fail) : undefined;
  const colours = bits <= 8 ? readPalette(header, bytes) : undefined;
  const pixels = new Uint8Array(3 * width * height);
  for (let y = 0; y < height; y++) {
    const row = start + y * stride;
    let to = 3 * width * (header.topDown ? y : height - 1 - y);
    for (let x = 0; x < width; x++, to += 3) {
      if (colours !== undefined) {
        const place = (x * bits) >> 3;
        const index = indices?.[y * width + x] ??
          (bytes[row + place] >> (8 - bits - (x * bits & 7))) & (2 ** bits - 1);
        for (let c = 0; c < 3; c++) pixels[to + c] = colours[3 * index + c];
      } else if (bits === 24 || compression === PLAIN && bits === 32) {
        const from = row + x * (bits >> 3);
        for (let c = 0; c < 3; c++) pixels[to + c] = bytes[from + 2 - c];
      } else {
        const pixel = bits === 16 ? view.getUint16(row + 2 * x, true) : view.getUint32(row + 4 * x, true);
        for (let c = 0; c < 3; c++) pixels[to + c] = scaled(pixel, masks[c]);
      }
    }
  }
  return { pixels, height, width, channels: 3 };
}
