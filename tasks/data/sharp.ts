/**
 * The library that decodes and encodes pictures, sharp, loaded when first needed.
 *
 * @module
 */

import { firstLine, OneloraError } from "../../dsl/error.ts";

const SHARP = "npm:sharp@0.35.5";

/** What sharp knows of a file before decoding it. */
export interface PictureFacts {
  /** Name of the file format, e.g. `png`. */
  readonly format: string;
  /** Type of the stored values: `uchar`, `ushort`, ... */
  readonly depth: string;
  /** Values a pixel. */
  readonly channels: number;
  /** What the values mean: `srgb`, `b-w`, `cmyk`, ... */
  readonly space: string;
  /** Columns as stored. */
  readonly width: number;
  /** Rows as stored. */
  readonly height: number;
  /** How the file says it is to be turned, 1 to 8, if it does. */
  readonly orientation?: number;
}

/** A picture on its way through sharp. */
export interface Picture {
  /** Facts of the file. */
  metadata(): Promise<PictureFacts>;
  /** Turned as its file says it is to be seen. */
  autoOrient(): Picture;
  /** Without the channel of opacity. */
  removeAlpha(): Picture;
  /** Worked on in a colour space. */
  pipelineColourspace(space: "cmyk" | "b-w"): Picture;
  /** In another colour space. */
  toColourspace(space: "srgb" | "grey16" | "cmyk" | "b-w"): Picture;
  /** As plain values. */
  raw(options: { depth: "uchar" | "ushort" | "float" }): Picture;
  /** As PNG. */
  png(): Picture;
  /** An error after so many seconds. */
  timeout(options: { seconds: number }): Picture;
  /** The result. */
  toBuffer(options: { resolveWithObject: true }): Promise<{
    data: Uint8Array;
    info: { width: number; height: number; channels: number };
  }>;
}

/** How an encoded picture is read. */
export interface DecodingOptions {
  /** Pixels at most. */
  readonly limitInputPixels: number;
  /** From what on a fault is an error. */
  readonly failOn: "truncated" | "error" | "warning";
  /** Whether an embedded colour profile is left aside. */
  readonly ignoreIcc: boolean;
}

/** Takes a file's bytes or, with their sizes, plain values. */
export type Sharp = (
  input: Uint8Array | Uint16Array,
  options?: { raw: { width: number; height: number; channels: number } } | DecodingOptions | { density: number },
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
