/**
 * Normalisations. Each keeps its normalised output x̂ and one number per group: x itself is then free, and the scale's
 * gradient, dy x̂, needs nothing more.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { withGradient } from "./gradient.ts";

/** The learned part of a normalisation; without it the normalised values are returned as they are. */
export interface Affine {
  /** Factor per feature, [D]. */
  readonly weight?: tf.Tensor;
  /** Addend per feature, [D]. */
  readonly bias?: tf.Tensor;
}

/** x̂ = (x - mean) / sqrt(var + ε) over the axes; dx = (dx̂ - mean(dx̂) - x̂ mean(dx̂ x̂)) / sqrt(var + ε). */
function standardise(x: tf.Tensor, axes: number[], epsilon: number): tf.Tensor {
  return withGradient([x], (save) => {
    const mean = tf.mean(x, axes, true);
    const variance = tf.mean(tf.squaredDifference(x, mean), axes, true);
    const scale = tf.rsqrt(tf.add(variance, epsilon));
    const standard = tf.mul(tf.sub(x, mean), scale);
    save(standard, scale);
    return standard;
  }, (dy, [standard, scale]) => {
    const along = tf.mul(standard, tf.mean(tf.mul(dy, standard), axes, true));
    return [tf.mul(tf.sub(tf.sub(dy, tf.mean(dy, axes, true)), along), scale)];
  });
}

/** weight x̂ + bias with the parts that exist; their gradients come from the tape, so unused ones cost nothing. */
function affine(x: tf.Tensor, { weight, bias }: Affine): tf.Tensor {
  const scaled = weight === undefined ? x : tf.mul(x, weight);
  return bias === undefined ? scaled : tf.add(scaled, bias);
}

/**
 * Layer norm over the last axis: weight (x - mean) / sqrt(var + ε) + bias, var the biased variance (Ba et al. 2016).
 *
 * @param x [..., D]
 * @param parameters weight [D] and bias [D], both optional
 * @param epsilon ε
 *
 * @example
 * ```ts
 * import { layerNorm, useBackend } from "@onelora/onelora/dsl";
 * import { assertAlmostEquals } from "@std/assert";
 * import * as tf from "@tensorflow/tfjs-core";
 * await useBackend("cpu");
 * const y = layerNorm(tf.tensor1d([1, 2, 3]), {}, 1e-6);
 * assertAlmostEquals(y.dataSync()[2], Math.sqrt(1.5), 1e-5);
 * ```
 */
export function layerNorm(x: tf.Tensor, parameters: Affine, epsilon: number): tf.Tensor {
  return tf.tidy(() => affine(standardise(x, [x.rank - 1], epsilon), parameters));
}

/**
 * RMS norm over the last axis: weight x / sqrt(mean(x²) + ε) (Zhang and Sennrich 2019).
 *
 * @param x [..., D]
 * @param weight [D]
 * @param epsilon ε
 */
export function rmsNorm(x: tf.Tensor, weight: tf.Tensor, epsilon: number): tf.Tensor {
  return tf.tidy(() => {
    const standard = withGradient([x], (save) => {
      const scale = tf.rsqrt(tf.add(tf.mean(tf.square(x), -1, true), epsilon));
      const standard = tf.mul(x, scale);
      save(standard, scale);
      return standard;
    }, (dy, [standard, scale]) => {
      const along = tf.mul(standard, tf.mean(tf.mul(dy, standard), -1, true));
      return [tf.mul(tf.sub(dy, along), scale)];
    });
    return tf.mul(standard, weight);
  });
}

/**
 * Group norm: layer norm over the pixels and the channels of each group (Wu and He 2018).
 *
 * @param x [B, H, W, C]
 * @param groups Number of groups; divides C
 * @param parameters weight [C] and bias [C], both optional
 * @param epsilon ε
 */
export function groupNorm(x: tf.Tensor, groups: number, parameters: Affine, epsilon: number): tf.Tensor {
  const [batch, height, width, channels] = x.shape;
  return tf.tidy(() => {
    const grouped = tf.reshape(x, [batch, height * width, groups, channels / groups]);
    return affine(tf.reshape(standardise(grouped, [1, 3], epsilon), x.shape), parameters);
  });
}
