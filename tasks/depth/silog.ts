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

/** Sum of a batch of maps, axis by axis: single precision adds up a few hundred numbers well, millions badly. */
function total(maps: tf.Tensor): tf.Tensor {
  return tf.sum(tf.sum(tf.sum(maps, 2), 1));
}

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

/** Sums of g = ln(p + 1e-7) - ln(t + 1e-7) over valid pixels. */
function deviations(prediction: tf.Tensor, truth: tf.Tensor, mask: tf.Tensor) {
  const valid = tf.cast(mask, "float32");
  const near = tf.add(tf.where(mask, prediction, tf.onesLike(prediction)), EPSILON);
  const known = tf.add(tf.where(mask, truth, tf.onesLike(truth)), EPSILON);
  const g = tf.mul(tf.sub(tf.log(near), tf.log(known)), valid);
  const count = total(valid);
  const mean = tf.div(total(g), tf.maximum(count, 1));
  return { valid, near, g, count, mean };
}

/**
 * What of a part its whole step's {@linkcode silog} is made from: the `count` of valid pixels, the `mean` of g over them, and `squares`,
 * the sum of (g - mean)^2.
 *
 * @param prediction Metres, [B, h, w]
 * @param truth Metres, [B, H, W]
 * @param mask Which pixels are valid
 */
export function silogPart(
  prediction: tf.Tensor,
  truth: tf.Tensor,
  mask: tf.Tensor,
): Readonly<Record<"count" | "mean" | "squares", tf.Scalar>> {
  return tf.tidy(() => {
    const { valid, g, count, mean } = deviations(atTruth(prediction, truth), truth, mask);
    const squares = total(tf.square(tf.mul(tf.sub(g, mean), valid)));
    return { count, mean, squares } as Readonly<Record<"count" | "mean" | "squares", tf.Scalar>>;
  });
}

/**
 * The whole from its parts (Chan et al. 1979): with n = sum n_i and m = sum n_i m_i / n, the squares are
 * sum (s_i + n_i (m_i - m)^2).
 *
 * @param parts What {@linkcode silogPart} gives of each
 */
export function silogStep(parts: readonly Tree<number>[]): Readonly<Record<keyof SilogStep, number>> {
  const sum = (of: (part: Tree<number>) => number) => parts.reduce((so, part) => so + of(part), 0);
  const count = sum((part) => part.count);
  const mean = sum((part) => part.count * part.mean) / Math.max(count, 1);
  const squares = sum((part) => part.squares + part.count * (part.mean - mean) ** 2);
  return { count, mean, variance: squares / Math.max(count - 1, 1), parts: parts.length };
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
      const { valid, near, g, ...own } = deviations(resized, truth, mask);
      const { count: pixels, mean } = step ?? own;
      const count = tf.maximum(pixels, 1);
      const others = tf.maximum(tf.sub(count, 1), 1);
      const deviation = tf.mul(tf.sub(g, mean), valid);
      const variance = step?.variance ?? tf.div(total(tf.square(deviation)), others);
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
