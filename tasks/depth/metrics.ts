/**
 * How good predicted depth is, picture by picture: Eigen et al. (2014) as Depth Anything evaluates.
 *
 * @module
 */

import { OneloraError } from "../../dsl/error.ts";
import type { DepthCrop, DepthProtocol } from "./dataset.ts";

/** Every measure; t is the truth and p the prediction in metres, means are over the pixels that count. */
export interface DepthMeasures {
  /** mean |t - p| / t. */
  readonly absRel: number;
  /** mean (t - p)^2 / t, metres. */
  readonly sqRel: number;
  /** sqrt mean (t - p)^2, metres. */
  readonly rmse: number;
  /** sqrt mean (ln t - ln p)^2. */
  readonly rmseLog: number;
  /** mean |log10 t - log10 p|. */
  readonly log10: number;
  /** Share of pixels with max(t / p, p / t) < 1.25. */
  readonly delta1: number;
  /** The same below 1.25^2. */
  readonly delta2: number;
  /** The same below 1.25^3. */
  readonly delta3: number;
  /** 100 sqrt(mean d^2 - (mean d)^2), d = ln p - ln t. */
  readonly silog: number;
}

/** Measures averaged over pictures. */
export interface DepthMetrics extends DepthMeasures {
  /** Pictures averaged. */
  readonly count: number;
  /** Pictures left out because none of their pixels counts. */
  readonly empty: number;
}

/** What has been gathered so far; a value, never changed in place. */
export interface DepthState {
  /** The rules. */
  readonly protocol: DepthProtocol;
  /** Pictures with at least one pixel that counts. */
  readonly count: number;
  /** Pictures without. */
  readonly empty: number;
  /** Sum of each measure. */
  readonly sums: DepthMeasures;
}

const NAMES = ["absRel", "sqRel", "rmse", "rmseLog", "log10", "delta1", "delta2", "delta3", "silog"] as const;

function measures(value: (name: keyof DepthMeasures) => number): DepthMeasures {
  return Object.fromEntries(NAMES.map((name) => [name, value(name)])) as unknown as DepthMeasures;
}

/**
 * The state before the first picture.
 *
 * @param protocol Range and crop
 */
export function startDepth(protocol: DepthProtocol): DepthState {
  const { minDepth, maxDepth } = protocol;
  if (!(minDepth > 0 && maxDepth > minDepth)) {
    throw new OneloraError({
      attempted: "measuring depth",
      found: `a range of ${minDepth} to ${maxDepth} m`,
      allowed: "a smallest depth above 0 and a largest above the smallest",
    });
  }
  return { protocol, count: 0, empty: 0, sums: measures(() => 0) };
}

/**
 * The rows and columns of a picture that count.
 *
 * @param crop Eigen's crop (rows 45 to 470, columns 41 to 600, whatever the size), Garg's (shares of the size), or none
 * @param height Rows of the picture
 * @param width Columns of the picture
 * @returns First row, row after the last, first column, column after the last
 */
export function cropBounds(
  crop: DepthCrop,
  height: number,
  width: number,
): readonly [top: number, bottom: number, left: number, right: number] {
  if (crop === "eigen") return [45, Math.min(471, height), 41, Math.min(601, width)];
  if (crop === "none") return [0, height, 0, width];
  return [
    Math.trunc(0.40810811 * height),
    Math.trunc(0.99189189 * height),
    Math.trunc(0.03594771 * width),
    Math.trunc(0.96405229 * width),
  ];
}

/** Every measure of one picture, or nothing if none of its pixels counts. */
function measured(
  prediction: Float32Array,
  truth: Float32Array,
  bounds: readonly [number, number, number, number],
  width: number,
  { minDepth, maxDepth }: DepthProtocol,
): DepthMeasures | undefined {
  const [top, bottom, left, right] = bounds;
  const sums = { absRel: 0, sqRel: 0, square: 0, squareLog: 0, log10: 0, log: 0 };
  const within = [0, 0, 0];
  let count = 0;
  for (let row = top; row < bottom; row++) {
    for (let at = row * width + left; at < row * width + right; at++) {
      const t = truth[at];
      if (!(t > minDepth && t < maxDepth)) continue;
      const p = Math.min(Math.max(prediction[at], minDepth), maxDepth);
      const difference = t - p;
      const log = Math.log(p) - Math.log(t);
      const ratio = Math.max(t / p, p / t);
      count++;
      sums.absRel += Math.abs(difference) / t;
      sums.sqRel += difference * difference / t;
      sums.square += difference * difference;
      sums.squareLog += log * log;
      sums.log10 += Math.abs(Math.log10(p) - Math.log10(t));
      sums.log += log;
      for (let k = 0; k < 3; k++) within[k] += ratio < 1.25 ** (k + 1) ? 1 : 0;
    }
  }
  if (count === 0) return undefined;
  const meanLog = sums.log / count;
  const [delta1, delta2, delta3] = within.map((each) => each / count);
  return {
    absRel: sums.absRel / count,
    sqRel: sums.sqRel / count,
    rmse: Math.sqrt(sums.square / count),
    rmseLog: Math.sqrt(sums.squareLog / count),
    log10: sums.log10 / count,
    delta1,
    delta2,
    delta3,
    // Rounding may leave a constant factor's variance just below 0.
    silog: 100 * Math.sqrt(Math.max(0, sums.squareLog / count - meanLog * meanLog)),
  };
}

/**
 * The state after a picture. Predictions are clamped to the range; pixels count if the truth lies within the range and
 * they lie within the crop.
 *
 * @param state The state before it
 * @param prediction Metres, [height, width]: at the truth's size, see `resampleMap`
 * @param truth Metres, [height, width]; 0 where nothing was measured
 * @param height Rows
 * @param width Columns
 */
export function updateDepth(
  state: DepthState,
  prediction: Float32Array,
  truth: Float32Array,
  height: number,
  width: number,
): DepthState {
  const { protocol } = state;
  const fail = (found: string, allowed: string): never => {
    throw new OneloraError({ attempted: "measuring depth", found, allowed });
  };
  if (prediction.length !== height * width || truth.length !== height * width) {
    fail(`${prediction.length} predicted and ${truth.length} true values`, `${height} x ${width} of either`);
  }
  if (prediction.some(Number.isNaN)) fail("a prediction that is not a number", "numbers");
  const found = measured(prediction, truth, cropBounds(protocol.crop, height, width), width, protocol);
  if (found === undefined) return { ...state, empty: state.empty + 1 };
  const { sums } = state;
  return { ...state, count: state.count + 1, sums: measures((name) => sums[name] + found[name]) };
}

/**
 * What has been measured, averaged over pictures: every picture weighs the same, however many of its pixels count.
 *
 * @param state The state after the last picture
 *
 * @example
 * ```ts
 * import { depthMetrics, depthProtocols, startDepth, updateDepth } from "@onelora/onelora/tasks";
 * import { assertEquals } from "@std/assert";
 * const state = startDepth(depthProtocols.scenesIndoor);
 * const [prediction, truth] = [Float32Array.of(3, 2, 7), Float32Array.of(2, 2, 0)];
 * const { absRel, delta1, count } = depthMetrics(updateDepth(state, prediction, truth, 1, 3));
 * assertEquals([absRel, delta1, count], [0.25, 0.5, 1]);
 * ```
 */
export function depthMetrics(state: DepthState): DepthMetrics {
  const { count, empty, sums } = state;
  if (count === 0) {
    throw new OneloraError({
      attempted: "measuring depth",
      found: empty === 0 ? "no pictures" : `no pixel within range and crop in any of ${empty} pictures`,
      allowed: "at least one",
    });
  }
  return { ...measures((name) => sums[name] / count), count, empty };
}
