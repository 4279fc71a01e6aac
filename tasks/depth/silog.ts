/**
 * The scale-invariant logarithmic loss of depth (Eigen et al. 2014), as Depth Anything weighs it.
 *
 * @module
 */

import * as tf from "@tensorflow/tfjs-core";
import { withGradient } from "../../dsl/ops/gradient.ts";
import type { Tree } from "../../dsl/tree.ts";
import { interpolate } from "../../dsl/ops/interpolate.ts";

const EPSILON = 1e-7;
const MEAN_WEIGHT = 0.15;
const SCALE = 10;

/** What {@linkcode silog} of a part needs to know of its whole step. */
export type SilogStep = {
  /** Valid pixels of all parts. */
  readonly count: tf.Tensor;
  /** Mean of g over them. */
  readonly mean: tf.Tensor;
  /** Unbiased variance of g over them. */
  readonly variance: tf.Tensor;
  /** How many parts there are. */
  readonly parts: tf.Tensor;
};

/** A prediction at the truth's size, bilinear, corners aligned. */
function atTruth(prediction: tf.Tensor, truth: tf.Tensor): tf.Tensor {
  const [batch, height, width] = truth.shape;
  const [, rows, columns] = prediction.shape;
  return rows === height && columns === width ? prediction : tf.reshape(
    interpolate(
      tf.reshape(prediction, [batch, rows, columns, 1]),
      { size: [height, width] },
      { mode: "bilinear", alignCorners: true },
    ),
    [batch, height, width],
  );
}

/** g = ln(p + 1e-7) - ln(t + 1e-7) at valid pixels, 0 elsewhere, and how many each map has of them. */
function deviations(prediction: tf.Tensor, truth: tf.Tensor, mask: tf.Tensor) {
  const valid = tf.cast(mask, "float32");
  const near = tf.add(tf.where(mask, prediction, tf.onesLike(prediction)), EPSILON);
  const known = tf.add(tf.where(mask, truth, tf.onesLike(truth)), EPSILON);
  const g = tf.mul(tf.sub(tf.log(near), tf.log(known)), valid);
  return { valid, near, g, ...momentsOf(g, valid) };
}

/** Sum of each map, axis by axis: single precision adds up a few hundred numbers well, millions badly. */
function ofEach(maps: tf.Tensor): tf.Tensor1D {
  return tf.sum(tf.sum(maps, 2), 1);
}

/** Of each map the number of valid pixels, the mean of g over them and the sum of (g - mean)^2, [B] each. */
function momentsOf(g: tf.Tensor, valid: tf.Tensor): Readonly<Record<"counts" | "means" | "squares", tf.Tensor1D>> {
  const counts = ofEach(valid);
  const means = tf.div<tf.Tensor1D>(ofEach(g), tf.maximum(counts, 1));
  const squares = ofEach(tf.square(tf.mul(tf.sub(g, tf.reshape(means, [-1, 1, 1])), valid)));
  return { counts, means, squares };
}

/** Sum of a few numbers, neighbours first, so that it can be done again number by number: [B] -> []. */
function pairwise(numbers: tf.Tensor1D): tf.Scalar {
  if (numbers.size === 1) return tf.reshape(numbers, []);
  const even = numbers.size % 2 === 0 ? numbers : tf.concat([numbers, tf.zeros([1])]);
  return pairwise(tf.sum(tf.reshape(even, [even.size / 2, 2]), 1));
}

/** The same of numbers. */
function pairwiseOf(numbers: readonly number[]): number {
  if (numbers.length <= 1) return numbers[0] ?? 0;
  const pairs = Array.from({ length: Math.ceil(numbers.length / 2) }, (_, i) => numbers.slice(2 * i, 2 * i + 2));
  return pairwiseOf(pairs.map(([a, b = 0]) => Math.fround(a + b)));
}

/** What {@linkcode silogPart} gives of its maps, by their number. */
const NAMES = ["count", "mean", "squares"] as const;

/**
 * What of a part its whole step's {@linkcode silog} is made from, of each map i: the number of valid pixels, `count.i`, the mean of g over
 * them, `mean.i`, and `squares.i`, the sum of (g - mean)^2.
 *
 * @param prediction Metres, [B, h, w]
 * @param truth Metres, [B, H, W]
 * @param mask Which pixels are valid
 */
export function silogPart(
  prediction: tf.Tensor,
  truth: tf.Tensor,
  mask: tf.Tensor,
): Readonly<Record<string, tf.Scalar>> {
  return tf.tidy(() => {
    const { counts, means, squares } = deviations(atTruth(prediction, truth), truth, mask);
    const of = (name: string, numbers: tf.Tensor1D) => tf.unstack(numbers).map((each, i) => [`${name}.${i}`, each]);
    return Object.fromEntries([counts, means, squares].flatMap((numbers, i) => of(NAMES[i], numbers)));
  });
}

/**
 * The whole from its maps (Chan et al. 1979): with n = sum n_i and m = sum n_i m_i / n, the squares are
 * sum (s_i + n_i (m_i - m)^2). In single precision and in the order of {@linkcode silog}'s own, so to the same numbers.
 *
 * @param parts What {@linkcode silogPart} gives of each
 */
export function silogStep(parts: readonly Tree<number>[]): Readonly<Record<keyof SilogStep, number>> {
  const { fround } = Math;
  const maps = parts.flatMap((part) =>
    Array.from(
      { length: Object.keys(part).filter((name) => name.startsWith("count.")).length },
      (_, i) => ({ count: part[`count.${i}`], mean: part[`mean.${i}`], squares: part[`squares.${i}`] }),
    )
  );
  const count = pairwiseOf(maps.map((map) => map.count));
  const mean = fround(pairwiseOf(maps.map((map) => fround(map.count * map.mean))) / Math.max(count, 1));
  const squares = pairwiseOf(maps.map((map) => {
    const apart = fround(map.mean - mean);
    return fround(map.squares + fround(map.count * fround(apart * apart)));
  }));
  return { count, mean, variance: fround(squares / Math.max(count - 1, 1)), parts: parts.length };
}

/** The same as tensors. */
function together(
  { counts, means, squares }: ReturnType<typeof momentsOf>,
): Readonly<Record<"count" | "mean" | "variance", tf.Tensor>> {
  const count = pairwise(counts);
  const mean = tf.div(pairwise(tf.mul(counts, means)), tf.maximum(count, 1));
  const all = pairwise(tf.add(squares, tf.mul(counts, tf.square(tf.sub(means, mean)))));
  return { count, mean, variance: tf.div(all, tf.maximum(tf.sub(count, 1), 1)) };
}

/**
 * 10 sqrt(var(g) + 0.15 mean(g)^2), g = ln(p + 1e-7) - ln(t + 1e-7), over all valid pixels of the batch; var is unbiased,
 * and p is the prediction resampled to the truth (bilinear, corners aligned). Without two valid pixels the variance is 0.
 * No shape depends on which pixels are valid.
 *
 * It is no mean over pictures, so a part of a step has the whole step's value, and such gradients that the mean over the
 * parts is the whole step's gradient.
 *
 * Keeps one map: dp = dy 10 (2 (g - mean) / (n - 1) + 0.3 mean / n) / (2 sqrt(...)) / (p + 1e-7) where valid, else 0.
 *
 * @param prediction Metres, not negative, [B, h, w]
 * @param truth Metres, [B, H, W]; values outside of the mask may be anything
 * @param mask Which pixels are valid, bool, [B, H, W]
 * @param step The whole step, if this is a part of one
 * @returns A scalar
 *
 * @example
 * ```ts
 * import { useBackend } from "@onelora/onelora/dsl";
 * import { silog } from "@onelora/onelora/tasks";
 * import { assertAlmostEquals } from "@std/assert";
 * import * as tf from "@tensorflow/tfjs-core";
 * await useBackend("cpu");
 * const truth = tf.tensor3d([1, 2, 4, 0], [1, 2, 2]);
 * // Twice too far everywhere: no variance, a mean of ln 2.
 * const loss = silog(tf.mul(truth, 2), truth, tf.greater(truth, 0));
 * assertAlmostEquals(loss.dataSync()[0], 10 * Math.sqrt(0.15) * Math.LN2, 1e-5);
 * ```
 */
export function silog(prediction: tf.Tensor, truth: tf.Tensor, mask: tf.Tensor, step?: SilogStep): tf.Tensor {
  return tf.tidy(() => {
    const resized = atTruth(prediction, truth);
    return withGradient([resized], (save) => {
      const { valid, near, g, ...moments } = deviations(resized, truth, mask);
      const { count: pixels, mean, variance } = step ?? together(moments);
      const count = tf.maximum(pixels, 1);
      const others = tf.maximum(tf.sub(count, 1), 1);
      const deviation = tf.mul(tf.sub(g, mean), valid);
      const root = tf.sqrt(tf.add(variance, tf.mul(tf.square(mean), MEAN_WEIGHT)));
      // A perfect prediction has no direction to improve in: 0 rather than 0 / 0.
      const scale = tf.div(step === undefined ? SCALE : tf.mul(SCALE, step.parts), tf.maximum(root, 1e-12));
      const slope = tf.add(tf.div(deviation, others), tf.mul(valid, tf.div(tf.mul(mean, MEAN_WEIGHT), count)));
      save(tf.div(tf.mul(slope, scale), near));
      return tf.mul(root, SCALE);
    }, (dy, [gradient]) => [tf.mul(gradient, dy)]);
  });
}

/**
 * Which pixels count in training: min < truth < max.
 *
 * @param truth Metres, any shape
 * @param range The data set's range in metres
 * @returns bool, the same shape
 */
export function validDepth(
  truth: tf.Tensor,
  range: { readonly minDepth: number; readonly maxDepth: number },
): tf.Tensor {
  return tf.tidy(() => tf.logicalAnd(tf.greater(truth, range.minDepth), tf.less(truth, range.maxDepth)));
}
