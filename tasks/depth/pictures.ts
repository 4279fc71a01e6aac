/**
 * Pictures of depth: input, truth, prediction and error side by side.
 *
 * @module
 */

import { OneloraError } from "../../dsl/error.ts";
import { loadSharp } from "../data/sharp.ts";
import type { DepthExample } from "./dataset.ts";

/** Colours from one end of a scale to the other, evenly spaced; linear in between. */
export type ColourScale = readonly (readonly [number, number, number])[];

/** ColorBrewer's Spectral in 11 classes: near is red, far is blue. */
export const spectral: ColourScale = [
  [158, 1, 66],
  [213, 62, 79],
  [244, 109, 67],
  [253, 174, 97],
  [254, 224, 139],
  [255, 255, 191],
  [230, 245, 152],
  [171, 221, 164],
  [102, 194, 165],
  [50, 136, 189],
  [94, 79, 162],
];

/** ColorBrewer's Reds in 9 classes: small is white, large is dark red. */
export const reds: ColourScale = [
  [255, 245, 240],
  [254, 224, 210],
  [252, 187, 161],
  [252, 146, 114],
  [251, 106, 74],
  [239, 59, 44],
  [203, 24, 29],
  [165, 15, 21],
  [103, 0, 13],
];

/**
 * The colour of a share of a scale, its ends beyond it.
 *
 * @param scale The scale
 * @param share 0 to 1
 * @returns Red, green, blue, 0 to 255
 *
 * @example
 * ```ts
 * import { colourOf, spectral } from "./pictures.ts";
 * import { assertEquals } from "@std/assert";
 * assertEquals(colourOf(spectral, 0.5), [255, 255, 191]);
 * ```
 */
export function colourOf(scale: ColourScale, share: number): readonly [number, number, number] {
  const at = Math.min(Math.max(share, 0), 1) * (scale.length - 1);
  const low = Math.min(Math.floor(at), scale.length - 2);
  const mix = (c: 0 | 1 | 2) => Math.round(scale[low][c] + (scale[low + 1][c] - scale[low][c]) * (at - low));
  return [mix(0), mix(1), mix(2)];
}

/** Columns of white between the panels. */
const GAP = 4;

/** Relative error shown as the darkest red. */
const WORST = 0.5;

/**
 * Four panels in a row: the picture; the truth and the prediction on one scale of log depth from the truth's nearest to
 * its farthest, red to blue; the error |t - p| / t from 0 (white) to 0.5 (dark red). Black where nothing was measured.
 *
 * @param example The picture and its truth
 * @param prediction Metres, [height, width]
 * @returns Red, green and blue bytes, [height, 4 width + 12, 3]
 */
export function depthPanels(
  example: DepthExample,
  prediction: Float32Array,
): { readonly pixels: Uint8Array; readonly height: number; readonly width: number } {
  const { depth, height, width } = example;
  if (prediction.length !== depth.length) {
    throw new OneloraError({
      attempted: "drawing depth",
      found: `${prediction.length} predicted values`,
      allowed: `${height} x ${width}, as in the truth`,
    });
  }
  let [near, far] = [Infinity, 0];
  for (const metres of depth) {
    if (metres > 0) [near, far] = [Math.min(near, metres), Math.max(far, metres)];
  }
  const span = far > near ? Math.log(far / near) : 1;
  const distance = (metres: number) =>
    metres > 0 ? colourOf(spectral, Math.log(metres / near) / span) : colourOf(spectral, 0);
  const black = [0, 0, 0] as const;
  const panels: readonly ((at: number) => ArrayLike<number>)[] = [
    (at) => example.pixels.subarray(3 * at, 3 * at + 3),
    (at) => depth[at] > 0 ? distance(depth[at]) : black,
    (at) => distance(prediction[at]),
    (at) => depth[at] > 0 ? colourOf(reds, Math.abs(depth[at] - prediction[at]) / depth[at] / WORST) : black,
  ];
  const total = panels.length * (width + GAP) - GAP;
  const pixels = new Uint8Array(3 * height * total).fill(255);
  panels.forEach((colour, panel) => {
    for (let at = 0; at < depth.length; at++) {
      const [row, column] = [Math.floor(at / width), at % width];
      pixels.set(colour(at), 3 * (row * total + panel * (width + GAP) + column));
    }
  });
  return { pixels, height, width: total };
}

/**
 * {@linkcode depthPanels} as a PNG file.
 *
 * @param example The picture and its truth
 * @param prediction Metres, [height, width]
 */
export async function depthPicture(example: DepthExample, prediction: Float32Array): Promise<Uint8Array> {
  const { pixels, height, width } = depthPanels(example, prediction);
  const sharp = await loadSharp();
  const encoded = sharp(pixels, { raw: { width, height, channels: 3 } }).png();
  return new Uint8Array((await encoded.toBuffer({ resolveWithObject: true })).data);
}
