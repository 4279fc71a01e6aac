/**
 * Reading the pictures and depth maps that depth data sets consist of.
 *
 * @module
 */

import { OneloraError } from "../../dsl/error.ts";
import { decodeImage, decodeSixteen, decodeTiffMap } from "../data/decode.ts";
import type { Sharp } from "../data/sharp.ts";
import { readBytes } from "../data/files.ts";
import type { DepthExample } from "./dataset.ts";
import { parseNpy } from "./npy.ts";

/** Values of a picture. */
interface Decoded<Values> {
  readonly values: Values;
  readonly height: number;
  readonly width: number;
  /** How a picture's file asks to be turned, where it does and is not. */
  readonly orientation?: number;
}

/**
 * A picture as red, green and blue bytes; grey ones are repeated.
 *
 * @param sharp The decoder
 * @param path The file
 * @param turn Whether it is turned as the file says; data sets go with depth that is not
 */
export async function readColours(sharp: Sharp, path: string, turn: boolean = false): Promise<Decoded<Uint8Array>> {
  const { pixels, height, width, channels, orientation } = await decodeImage(sharp, path, path, { turn });
  if (channels === 3) return { values: pixels, height, width, orientation };
  const values = Uint8Array.from({ length: 3 * pixels.length }, (_, i) => pixels[Math.trunc(i / 3)]);
  return { values, height, width, orientation };
}

/**
 * A depth map from a PNG of one channel of 16 bits.
 *
 * @param sharp The decoder
 * @param path The file
 * @param unit Steps a metre: 1000 in NYU, 256 in KITTI
 */
export async function readDepthPng(sharp: Sharp, path: string, unit: number): Promise<Decoded<Float32Array>> {
  const { values, height, width } = await decodeSixteen(sharp, path);
  return { values: Float32Array.from(values, (step) => step / unit), height, width };
}

/**
 * A map from a TIFF of one channel, of 16 bits or of floats.
 *
 * @param sharp The decoder
 * @param path The file
 * @returns The values as they are, and whether they are steps of 16 bits
 */
export async function readDepthTiff(
  sharp: Sharp,
  path: string,
): Promise<Decoded<Float32Array> & { readonly steps: boolean }> {
  const { values, height, width } = await decodeTiffMap(sharp, path);
  return { values: Float32Array.from(values), height, width, steps: values instanceof Uint16Array };
}

/**
 * A map from an .npy file, a third dimension of 1 taken off, at either end.
 *
 * @param path The file
 * @returns The values as they are, and whether they are whole numbers, which may be steps
 * @throws OneloraError for another shape
 */
export async function readDepthNumbers(
  path: string,
): Promise<Decoded<Float32Array> & { readonly steps: boolean }> {
  const { shape, data, whole } = parseNpy(await readBytes(path), path);
  const [first, last] = [shape.length === 3 && shape[0] === 1, shape.length === 3 && shape[2] === 1];
  const [height, width] = first && !last ? shape.slice(1) : shape;
  if (shape.length !== 2 && !first && !last) {
    throw new OneloraError({
      attempted: `reading ${path}`,
      found: `shape [${shape.join(", ")}]`,
      allowed: "[height, width], [height, width, 1] or [1, height, width]",
    });
  }
  return { values: data, height, width, steps: whole };
}

/**
 * A picture and its depth map as one example.
 *
 * @param colours The picture
 * @param depth The map
 * @param name What to call the example in errors
 */
function paired(colours: Decoded<Uint8Array>, depth: Decoded<Float32Array>, name: string): DepthExample {
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

/** The first EXIF orientation that changes rows into columns. */
const SIDEWAYS = 5;

/**
 * A picture's file and its depth map as one example. Depth maps have no orientation of their own: where the picture's file has
 * one, the map's size says whether it is of the pixels as they are stored or as they are seen.
 *
 * @param sharp The decoder
 * @param path The picture
 * @param depth The map
 * @throws OneloraError for sizes that differ, and where the size does not say which
 */
export async function readPair(sharp: Sharp, path: string, depth: Decoded<Float32Array>): Promise<DepthExample> {
  const colours = await readColours(sharp, path);
  const { orientation, height, width } = colours;
  if (orientation === undefined) return paired(colours, depth, path);
  if (orientation < SIDEWAYS || height === width) {
    throw new OneloraError({
      attempted: `reading ${path}`,
      found:
        `a picture that asks to be turned (EXIF orientation ${orientation}), beside a depth map that does not say whether it is`,
      allowed: "pictures saved upright, or without an orientation where their depth maps are of the pixels as stored",
    });
  }
  const isSeen = depth.height === width && depth.width === height;
  return paired(isSeen ? await readColours(sharp, path, true) : colours, depth, path);
}
