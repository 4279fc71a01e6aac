/**
 * Predicted depth as files: a PNG of one channel of 16 bits, as data sets hold depth, and a coloured picture.
 *
 * @module
 */
import type { Description } from "../../models/family.ts";
import { loadSharp } from "../data/sharp.ts";
import { encodePng } from "../data/png.ts";
import { colourOf, spectral } from "./pictures.ts";

/** What a prediction's numbers are: metres up to a largest one, or inverse depth up to scale and shift. */
export type DepthKind = { readonly kind: "metric"; readonly maxDepth: number } | { readonly kind: "relative" };

/**
 * What a model's numbers are.
 *
 * @param model A depth model
 */
export function depthKindOf({ config }: Pick<Description, "config">): DepthKind {
  return config.depth_estimation_type === "metric"
    ? { kind: "metric", maxDepth: Number(config.max_depth) }
    : { kind: "relative" };
}

/** Depth in whole steps: value = offset + steps / perUnit. */
export interface DepthSteps {
  /** 0 to 65535. */
  readonly steps: Uint16Array;
  /** Steps a metre, or a unit of inverse depth. */
  readonly perUnit: number;
  /** What step 0 stands for. */
  readonly offset: number;
}

const LARGEST = 2 ** 16 - 1;

/** Smallest and largest of a map. */
function rangeOf(depth: Float32Array): readonly [number, number] {
  let [low, high] = [Infinity, -Infinity];
  for (const value of depth) [low, high] = [Math.min(low, value), Math.max(high, value)];
  return [low, high];
}

/**
 * Depth in steps of 16 bits: metres in thousandths as in NYU, or in 256ths as in KITTI where a model reaches beyond 65.535
 * m; relative depth from its smallest value, 0, to its largest, 65535.
 *
 * @param depth The map
 * @param kind What its numbers are
 *
 * @example
 * ```ts
 * import { depthSteps } from "./encode.ts";
 * import { assertEquals } from "@std/assert";
 * const depth = Float32Array.of(0, 1.5);
 * assertEquals([...depthSteps(depth, { kind: "metric", maxDepth: 10 }).steps], [0, 1500]);
 * assertEquals([...depthSteps(depth, { kind: "metric", maxDepth: 80 }).steps], [0, 384]);
 * assertEquals([...depthSteps(depth, { kind: "relative" }).steps], [0, 65535]);
 * ```
 */
export function depthSteps(depth: Float32Array, kind: DepthKind): DepthSteps {
  const [low, high] = rangeOf(depth);
  const [offset, perUnit] = kind.kind === "relative"
    ? [low, high > low ? LARGEST / (high - low) : 1]
    : [0, kind.maxDepth * 1000 > LARGEST ? 256 : 1000];
  const step = (value: number) => Math.min(Math.max(Math.round((value - offset) * perUnit), 0), LARGEST);
  return { steps: Uint16Array.from(depth, step), perUnit, offset };
}

/**
 * A map of steps as the bytes of a PNG file of one channel of 16 bits.
 *
 * @param steps The map, [height, width]
 * @param height Rows
 * @param width Columns
 */
export async function encodeDepthPng(steps: Uint16Array, height: number, width: number): Promise<Uint8Array> {
  const sharp = await loadSharp();
  const picture = sharp(steps, { raw: { width, height, channels: 1 } }).toColourspace("grey16").png();
  return new Uint8Array((await picture.toBuffer({ resolveWithObject: true })).data);
}

/**
 * The colours of a map from its nearest point, red, to its farthest, blue: by the logarithm of metres, or by inverse depth
 * itself.
 *
 * @param depth The map
 * @param kind What its numbers are
 * @returns Red, green and blue bytes, [height, width, 3]
 */
export function depthColours(depth: Float32Array, kind: DepthKind): Uint8Array {
  const isMetric = kind.kind === "metric";
  // Both grow with distance.
  const place = isMetric ? (value: number) => Math.log(Math.max(value, 1e-6)) : (value: number) => -value;
  const [least, most] = rangeOf(depth);
  const [near, far] = isMetric ? [place(least), place(most)] : [place(most), place(least)];
  const span = far > near ? far - near : 1;
  const pixels = new Uint8Array(3 * depth.length);
  depth.forEach((value, at) => pixels.set(colourOf(spectral, (place(value) - near) / span), 3 * at));
  return pixels;
}

/**
 * {@linkcode depthColours} as a PNG file.
 *
 * @param depth The map, [height, width]
 * @param kind What its numbers are
 * @param height Rows
 * @param width Columns
 */
export function encodeDepthColours(
  depth: Float32Array,
  kind: DepthKind,
  height: number,
  width: number,
): Promise<Uint8Array> {
  return encodePng({ pixels: depthColours(depth, kind), height, width, channels: 3 });
}
