/**
 * Normalisations. Each keeps its normalised output x̂ and one number per group: x itself is then free, and the scale's
 * gradient, dy x̂, needs nothing more.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { ownKernel } from "../engine/kernels.ts";
import { withGradient } from "./gradient.ts";

/** The learned part of a normalisation; without it the normalised values are returned as they are. */
export interface Affine {
  /** Factor per feature, [D]. */
  readonly weight?: tf.Tensor;
  /** Addend per feature, [D]. */
  readonly bias?: tf.Tensor;
}

/** What a normalisation keeps. */
interface Standardised {
  readonly standard: tf.Tensor;
  /** 1 / sqrt(var + ε), 1 along the axes. */
  readonly scale: tf.Tensor;
}

/** How to standardise: along which axes, with which ε, and whether the mean is taken off. */
interface Way {
  readonly axes: number[];
  readonly epsilon: number;
  readonly centred: boolean;
}

function standardised(x: tf.Tensor, { axes, epsilon, centred }: Way): Standardised {
  const mean = centred ? tf.mean(x, axes, true) : undefined;
  const square = mean === undefined ? tf.square(x) : tf.squaredDifference(x, mean);
  const scale = tf.rsqrt(tf.add(tf.mean(square, axes, true), epsilon));
  return { standard: tf.mul(mean === undefined ? x : tf.sub(x, mean), scale), scale };
}

function standardisedGradient(dy: tf.Tensor, { standard, scale }: Standardised, { axes, centred }: Way): tf.Tensor {
  const along = tf.mul(standard, tf.mean(tf.mul(dy, standard), axes, true));
  return tf.mul(tf.sub(centred ? tf.sub(dy, tf.mean(dy, axes, true)) : dy, along), scale);
}

/**
 * x̂ = (x - mean) / sqrt(var + ε) over the axes; dx = (dx̂ - mean(dx̂) - x̂ mean(dx̂ x̂)) / sqrt(var + ε). Not centred,
 * both means of single factors count as 0.
 */
function standardise(x: tf.Tensor, way: Way): tf.Tensor {
  const { axes, epsilon, centred } = way;
  const isLast = axes.length === 1 && axes[0] === x.rank - 1;
  return withGradient([x], (save) => {
    const own = isLast ? ownKernel("Standardise", { x }, { epsilon, centred }) : undefined;
    const { standard, scale } = own === undefined ? standardised(x, way) : { standard: own[0], scale: own[1] };
    save(standard, scale);
    return standard;
  }, (dy, [standard, scale]) => {
    const own = isLast ? ownKernel("StandardiseGrad", { dy, y: standard, scale }, { centred }) : undefined;
    return own ?? [standardisedGradient(dy, { standard, scale }, way)];
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
  return tf.tidy(() => affine(standardise(x, { axes: [x.rank - 1], epsilon, centred: true }), parameters));
}

/**
 * RMS norm over the last axis: weight x / sqrt(mean(x²) + ε) (Zhang and Sennrich 2019).
 *
 * @param x [..., D]
 * @param weight [D]
 * @param epsilon ε
 */
export function rmsNorm(x: tf.Tensor, weight: tf.Tensor, epsilon: number): tf.Tensor {
  return tf.tidy(() => affine(standardise(x, { axes: [x.rank - 1], epsilon, centred: false }), { weight }));
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
    return affine(tf.reshape(standardise(grouped, { axes: [1, 3], epsilon, centred: true }), x.shape), parameters);
  });
}
