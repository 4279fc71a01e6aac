/**
 * Reading the pictures and depth maps that depth data sets consist of.
 *
 * @module
 */

import { OneloraError } from "../../dsl/error.ts";
import { decodingFault, type Sharp } from "../data/sharp.ts";
import type { DepthExample } from "./dataset.ts";

/** Values of a picture. */
interface Decoded<Values> {
  readonly values: Values;
  readonly height: number;
  readonly width: number;
}

function damaged(path: string, cause: unknown, allowed: string): OneloraError {
  if (cause instanceof OneloraError) return cause;
  return new OneloraError({ attempted: `decoding ${path}`, found: decodingFault(cause), allowed }, { cause });
}

/**
 * A picture as red, green and blue bytes; grey ones are repeated.
 *
 * @param sharp The decoder
 * @param path The file
 * @param turn Whether it is turned as the file says; data sets go with depth that is not
 */
export async function readColours(sharp: Sharp, path: string, turn: boolean = false): Promise<Decoded<Uint8Array>> {
  try {
    const stored = sharp(path);
    const decoded = (turn ? stored.autoOrient() : stored).removeAlpha().toColourspace("srgb").raw({ depth: "uchar" });
    const { data, info: { height, width, channels } } = await decoded.toBuffer({ resolveWithObject: true });
    if (channels === 3) return { values: new Uint8Array(data.buffer, data.byteOffset, data.length), height, width };
    return { values: Uint8Array.from({ length: 3 * data.length }, (_, i) => data[Math.trunc(i / 3)]), height, width };
  } catch (cause) {
    throw damaged(path, cause, "an intact picture");
  }
}

/**
 * A depth map from a PNG of one channel of 16 bits.
 *
 * @param sharp The decoder
 * @param path The file
 * @param unit Steps a metre: 1000 in NYU, 256 in KITTI
 */
export async function readDepthPng(sharp: Sharp, path: string, unit: number): Promise<Decoded<Float32Array>> {
  const allowed = "an intact PNG of one channel of 16 bits";
  try {
    const picture = sharp(path);
    const { format, depth, channels } = await picture.metadata();
    if (format !== "png" || depth !== "ushort" || channels !== 1) {
      throw new OneloraError({
        attempted: `decoding ${path}`,
        found: `${format} of ${channels} channels of ${depth}`,
        allowed,
      });
    }
    const decoded = picture.toColourspace("grey16").raw({ depth: "ushort" });
    const { data, info: { height, width } } = await decoded.toBuffer({ resolveWithObject: true });
    // A copy, because the decoder's bytes may start at an odd place.
    const steps = new Uint16Array(data.slice().buffer);
    return { values: Float32Array.from(steps, (step) => step / unit), height, width };
  } catch (cause) {
    throw damaged(path, cause, allowed);
  }
}

/**
 * A picture and its depth map as one example.
 *
 * @param colours The picture
 * @param depth The map
 * @param name What to call the example in errors
 */
export function paired(colours: Decoded<Uint8Array>, depth: Decoded<Float32Array>, name: string): DepthExample {
  const { height, width } = colours;
  if (depth.height !== height || depth.width !== width) {
    throw new OneloraError({
      attempted: `reading ${name}`,
      found: `a picture of ${height}x${width} and depth of ${depth.height}x${depth.width} pixels`,
      allowed: "the same size",
    });
  }
  return { pixels: colours.values, depth: depth.values, height, width };
}
