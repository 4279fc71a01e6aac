/**
 * Decoding and encoding of pictures by sharp, loaded when first needed.
 *
 * @module
 */

import { firstLine, OneloraError } from "../../dsl/error.ts";
import type { ImageExample } from "./dataset.ts";

const SHARP = "npm:sharp@0.35.5";

/** What sharp knows of a file before decoding it. */
export interface PictureFacts {
  /** Name of the file format, e.g. `png`. */
  readonly format: string;
  /** Type of the stored values: `uchar`, `ushort`, ... */
  readonly depth: string;
  /** Values a pixel. */
  readonly channels: number;
}

/** A picture on its way through sharp. */
export interface Picture {
  /** Facts of the file. */
  metadata(): Promise<PictureFacts>;
  /** Turned as its file says it is to be seen. */
  autoOrient(): Picture;
  /** Without the channel of opacity. */
  removeAlpha(): Picture;
  /** In another colour space. */
  toColourspace(space: "srgb" | "grey16"): Picture;
  /** As plain values. */
  raw(options: { depth: "uchar" | "ushort" }): Picture;
  /** As PNG. */
  png(): Picture;
  /** The result. */
  toBuffer(options: { resolveWithObject: true }): Promise<{
    data: Uint8Array;
    info: { width: number; height: number; channels: number };
  }>;
}

/** Opens a file, or takes plain bytes. */
export type Sharp = (
  input: string | Uint8Array | Uint16Array,
  options?: { raw: { width: number; height: number; channels: number } },
) => Picture;

/** The library; a first use without a registry in reach is an `OneloraError`. */
export async function loadSharp(): Promise<Sharp> {
  try {
    // Not a literal at the point of import: only users of pictures need the decoder.
    const specifier = SHARP;
    return (await import(specifier) as { default: Sharp }).default;
  } catch (cause) {
    throw new OneloraError({
      attempted: `loading the image decoder ${SHARP}`,
      found: firstLine(cause),
      allowed: "an npm registry in reach on first use, and --allow-ffi --allow-env --allow-sys --allow-read",
    }, { cause });
  }
}

/**
 * Why a picture could not be decoded, in words that are the same every time: sharp quotes messages of pictures that were
 * decoded at the same time, too.
 *
 * @param cause What sharp threw
 */
export function decodingFault(cause: unknown): string {
  const [line] = firstLine(cause).split(":");
  return line.startsWith("Input ") ? line : "damaged data";
}

/**
 * A picture as bytes, grey ones of one channel or three, others of three; opacity is left out.
 *
 * @param sharp The library
 * @param input Path of a file, or its bytes
 * @param name What to call it in errors
 * @throws OneloraError for what is no intact picture
 */
export async function decodeImage(
  sharp: Sharp,
  input: string | Uint8Array,
  name: string,
): Promise<Omit<ImageExample, "label">> {
  try {
    const decoded = sharp(input).removeAlpha().toColourspace("srgb").raw({ depth: "uchar" });
    const { data, info: { height, width, channels } } = await decoded.toBuffer({ resolveWithObject: true });
    return { pixels: new Uint8Array(data.buffer, data.byteOffset, data.length), height, width, channels };
  } catch (cause) {
    throw new OneloraError({ attempted: `decoding ${name}`, found: decodingFault(cause), allowed: "an intact image" }, {
      cause,
    });
  }
}
