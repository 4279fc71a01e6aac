/**
 * Training of diffusion models with learned variance: noising, label dropout, and the loss of DiT (Ho et al. 2020; Nichol
 * and Dhariwal 2021).
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { OneloraError } from "../../dsl/error.ts";
import { withGradient } from "../../dsl/ops/gradient.ts";
import { bits, fold, type Key, normal, uniform } from "../../dsl/random.ts";
import type { DiffusionProcess } from "../../models/diffusion_process.ts";
import type { DiffusionCoefficients } from "./schedule.ts";

/**
 * Steps to train on, uniform over the process: draw i is a pure function of the key and i.
 *
 * @param steps T
 * @param key Key of the batch
 * @param count Examples
 */
export function drawSteps(steps: number, key: Key, count: number): Int32Array {
  return Int32Array.from(bits(fold(key, "timestep"), count), (word) => Math.floor(word * 2 ** -32 * steps));
}

/**
 * Numbers of Gaussian noise for images in row-major order, a pure function of the key.
 *
 * @param key Key of the batch
 * @param shape [B, C, H, W]
 */
export function noiseValues(key: Key, shape: readonly number[]): Float32Array {
  return normal(fold(key, "noise"), shape.reduce((size, length) => size * length, 1));
}

/**
 * Labels with some of them replaced by the null class, so that one model learns both with and without labels (Ho and
 * Salimans 2022).
 *
 * @param labels Label of each example, 0 to `classes` - 1
 * @param classes Number of classes, which is the null class's label
 * @param probability Of a label's being dropped; DiT's is 0.1
 * @param key Key of the batch
 *
 * @example
 * ```ts
 * import { key } from "@onelora/onelora/dsl";
 * import { dropLabels } from "./diffusion.ts";
 * import { assertEquals } from "@std/assert";
 * assertEquals([...dropLabels(Int32Array.of(3, 7), 10, 1, key(0))], [10, 10]);
 * assertEquals([...dropLabels(Int32Array.of(3, 7), 10, 0, key(0))], [3, 7]);
 * ```
 */
export function dropLabels(labels: Int32Array, classes: number, probability: number, key: Key): Int32Array {
  const draws = uniform(fold(key, "label dropout"), labels.length);
  return labels.map((label, i) => draws[i] < probability ? classes : label);
}

/**
 * q(x_t | x_0): x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) noise.
 *
 * @param clean x_0, [B, C, H, W]
 * @param noise Standard normal, the same shape
 * @param coefficients Those of the batch's steps
 */
export function qSample(clean: tf.Tensor, noise: tf.Tensor, coefficients: DiffusionCoefficients): tf.Tensor {
  return tf.tidy(() => tf.add(tf.mul(coefficients.signal, clean), tf.mul(coefficients.spread, noise)));
}

/** A batch's loss and its parts. */
export interface DiffusionLoss {
  /** Mean over the batch of both parts' sums, what is minimised. */
  readonly loss: tf.Scalar;
  /** Mean squared error of the noise, [B]. */
  readonly mse: tf.Tensor;
  /** Variational term in bits per dimension, [B]; nothing for a model without learned variance. */
  readonly variational?: tf.Tensor;
}

/** Mean over all but the first axis. */
function meanEach(x: tf.Tensor): tf.Tensor {
  return tf.mean(x, x.shape.slice(1).map((_, i) => i + 1));
}

/** The normal distribution function, 0.5 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))), as DiT approximates it. */
function normalCdf(x: tf.Tensor): tf.Tensor {
  const inner = tf.mul(Math.sqrt(2 / Math.PI), tf.add(x, tf.mul(0.044715, tf.mul(x, tf.square(x)))));
  return tf.mul(0.5, tf.add(tf.tanh(inner), 1));
}

function clampedLog(x: tf.Tensor): tf.Tensor {
  return tf.log(tf.maximum(x, 1e-12));
}

/**
 * Log likelihood in nats of images of 256 levels in [-1, 1] under N(mean, exp(logVariance)): the mass of the level's
 * interval, open at both ends of the scale. `offset` is image - mean.
 */
function discretisedLogLikelihood(clean: tf.Tensor, offset: tf.Tensor, logVariance: tf.Tensor): tf.Tensor {
  const precision = tf.exp(tf.mul(-0.5, logVariance));
  const above = normalCdf(tf.mul(precision, tf.add(offset, 1 / 255)));
  const below = normalCdf(tf.mul(precision, tf.sub(offset, 1 / 255)));
  const inside = clampedLog(tf.sub(above, below));
  const black = tf.less(clean, -0.999);
  const white = tf.greater(clean, 0.999);
  return tf.where(black, clampedLog(above), tf.where(white, clampedLog(tf.sub(1, below)), inside));
}

/**
 * The training loss, mse + vb, each a mean over an example's dimensions.
 *
 * mse = (target - prediction)^2, the target being the noise, v = sqrt(abar_t) noise - sqrt(1 - abar_t) x_0, or x_0. vb, in bits: KL(q(x_(t-1) | x_t, x_0) || p(x_(t-1) | x_t)) for t > 0 and -log p(x_0 | x_1),
 * discretised, for t = 0, where p has the log variance f log beta_t + (1 - f) log(posterior variance), f = (v + 1) / 2. Its
 * gradient reaches v only, and it is not rescaled.
 *
 * Both means are linear in x_t, so x_t cancels in their difference, drift (prediction - noise), which is all that vb needs.
 *
 * @param output The model's, [B, C, H, W] noise, or [B, 2 C, H, W]: noise, then v
 * @param clean x_0, [B, C, H, W]
 * @param noise What x_t was made with, [B, C, H, W]
 * @param coefficients Those of the batch's steps
 * @param of What the prediction is of; by default the noise
 * @param counted What the sum over examples is divided by (default: how many there are), []
 * @throws OneloraError for an output of another shape
 */
export function diffusionLoss(
  output: tf.Tensor,
  clean: tf.Tensor,
  noise: tf.Tensor,
  coefficients: DiffusionCoefficients,
  of: DiffusionProcess["prediction"] = "epsilon",
  counted?: tf.Tensor,
): DiffusionLoss {
  // Divided first: so parts add up to the whole, to the last bit.
  const over = (each: tf.Tensor): tf.Scalar => tf.sum(tf.div(each, counted ?? clean.shape[0]));
  const { prediction, variance } = splitOutput(output, clean.shape);
  const { signal, spread } = coefficients;
  const target = of === "epsilon"
    ? noise
    : of === "sample"
    ? clean
    : tf.sub(tf.mul(signal, noise), tf.mul(spread, clean));
  const missed = tf.sub(prediction, target);
  const mse = meanEach(tf.square(missed));
  // What is missed of the noise: sqrt(abar_t) of v, and -sqrt(abar_t / (1 - abar_t)) of x_0.
  const error = of === "epsilon" ? missed : tf.mul(missed, of === "sample" ? tf.neg(tf.div(signal, spread)) : signal);
  if (variance === undefined) return { loss: over(mse), mse };

  const detached = withGradient([error], () => tf.clone(error), () => [tf.zeros(clean.shape)]);
  const { drift, smallest, largest, first } = coefficients;
  const share = tf.mul(0.5, tf.add(variance, 1));
  const logVariance = tf.add(smallest, tf.mul(share, tf.sub(largest, smallest)));
  const offset = tf.mul(drift, detached);

  const ratio = tf.sub(smallest, logVariance);
  const distance = tf.mul(tf.square(offset), tf.exp(tf.neg(logVariance)));
  const divergence = tf.mul(0.5, tf.sub(tf.add(tf.exp(ratio), distance), tf.add(ratio, 1)));
  // Zeros where it does not count: large values there would give 0 times infinity in the gradient.
  const likelihood = discretisedLogLikelihood(clean, tf.mul(first, offset), tf.mul(first, logVariance));
  const nats = tf.sub(tf.mul(tf.sub(1, first), divergence), tf.mul(first, likelihood));
  const variational = meanEach(tf.div(nats, Math.LN2));
  return { loss: over(tf.add(mse, variational)), mse, variational };
}

/** A model's output in its parts. */
export interface SplitOutput {
  /** Predicted noise, [B, C, H, W]. */
  readonly prediction: tf.Tensor;
  /** v in [-1, 1] between the smallest and the largest log variance, if it is learned. */
  readonly variance?: tf.Tensor;
}

/**
 * The parts of a model's output.
 *
 * @param output [B, C, H, W] or [B, 2 C, H, W]
 * @param shape [B, C, H, W], the shape of the model's input
 * @throws OneloraError for an output of another shape
 */
export function splitOutput(output: tf.Tensor, shape: readonly number[]): SplitOutput {
  const [batch, channels, height, width] = shape;
  const found = `${output.shape}`;
  if (found === `${shape}`) return { prediction: output };
  if (found === `${[batch, 2 * channels, height, width]}`) {
    const [prediction, variance] = tf.split(output, 2, 1);
    return { prediction, variance };
  }
  throw new OneloraError({
    attempted: "reading a diffusion model's output",
    found: `shape [${output.shape.join(", ")}] for images [${shape.join(", ")}]`,
    allowed: `${channels} channels of noise, or ${2 * channels} with variance`,
  });
}
