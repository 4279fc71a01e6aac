/**
 * The scale-invariant logarithmic loss of depth (Eigen et al. 2014), as Depth Anything weighs it.
 *
 * @module
 */

import * as tf from "@tensorflow/tfjs-core";
import { withGradient } from "../../dsl/ops/gradient.ts";
import { interpolate } from "../../dsl/ops/interpolate.ts";

const EPSILON = 1e-7;
const MEAN_WEIGHT = 0.15;
const SCALE = 10;

/** Sum of a batch of maps, axis by axis: single precision adds up a few hundred numbers well, millions badly. */
function total(maps: tf.Tensor): tf.Tensor {
  return tf.sum(tf.sum(tf.sum(maps, 2), 1));
}

/**
 * 10 sqrt(var(g) + 0.15 mean(g)^2), g = ln(p + 1e-7) - ln(t + 1e-7), over all valid pixels of the batch; var is unbiased,
 * and p is the prediction resampled to the truth (bilinear, corners aligned). Without two valid pixels the variance is 0.
 * No shape depends on which pixels are valid.
 *
 * Keeps one map: dp = dy 10 (2 (g - mean) / (n - 1) + 0.3 mean / n) / (2 sqrt(...)) / (p + 1e-7) where valid, else 0.
 *
 * @param prediction Metres, not negative, [B, h, w]
 * @param truth Metres, [B, H, W]; values outside of the mask may be anything
 * @param mask Which pixels are valid, bool, [B, H, W]
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
export function silog(prediction: tf.Tensor, truth: tf.Tensor, mask: tf.Tensor): tf.Tensor {
  const [batch, height, width] = truth.shape;
  const [, rows, columns] = prediction.shape;
  return tf.tidy(() => {
    const resized = rows === height && columns === width ? prediction : tf.reshape(
      interpolate(
        tf.reshape(prediction, [batch, rows, columns, 1]),
        { size: [height, width] },
        { mode: "bilinear", alignCorners: true },
      ),
      [batch, height, width],
    );
    return withGradient([resized], (save) => {
      const valid = tf.cast(mask, "float32");
      const near = tf.add(tf.where(mask, resized, tf.onesLike(resized)), EPSILON);
      const known = tf.add(tf.where(mask, truth, tf.onesLike(truth)), EPSILON);
      const g = tf.mul(tf.sub(tf.log(near), tf.log(known)), valid);
      const count = tf.maximum(total(valid), 1);
      const others = tf.maximum(tf.sub(count, 1), 1);
      const mean = tf.div(total(g), count);
      const deviation = tf.mul(tf.sub(g, mean), valid);
      const variance = tf.div(total(tf.square(deviation)), others);
      const root = tf.sqrt(tf.add(variance, tf.mul(tf.square(mean), MEAN_WEIGHT)));
      // A perfect prediction has no direction to improve in: 0 rather than 0 / 0.
      const scale = tf.div(SCALE, tf.maximum(root, 1e-12));
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
