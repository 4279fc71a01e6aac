/**
 * Sampling from diffusion models: DDPM (Ho et al. 2020) and DDIM (Song et al. 2020), with classifier-free guidance (Ho and
 * Salimans 2022), over a whole or a respaced process.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { OneloraError } from "../../dsl/error.ts";
import { fold, type Key, normal } from "../../dsl/random.ts";
import { turn } from "../../dsl/turn.ts";
import type { DiffusionProcess } from "../../models/diffusion_process.ts";
import { splitOutput } from "./diffusion.ts";
import type { DiffusionSchedule } from "./schedule.ts";

/**
 * A diffusion model as a function: noised images [B, C, H, W], timesteps [B] and labels [B], int32 -> noise [B, C, H, W], or
 * noise and variance [B, 2 C, H, W].
 */
export type Denoiser = (x: tf.Tensor, timesteps: tf.Tensor, labels: tf.Tensor) => tf.Tensor;

/** Which channels are guided: the first three, as in DiT's own code, or all channels of the noise, as in diffusers. */
export type GuidedChannels = "first-three" | "all";

/** How a model is guided. */
export interface Guidance {
  /** s; 1 is the model itself. */
  readonly scale: number;
  /** Number of classes, the label of none. */
  readonly nullClass: number;
  /** Which channels are guided. */
  readonly channels: GuidedChannels;
}

/**
 * Classifier-free guidance, eps = eps(x, null) + s (eps(x, y) - eps(x, null)); other channels stay those of eps(x, y). The
 * model runs once on both halves.
 *
 * @param model The model
 * @param guidance See {@linkcode Guidance}
 */
export function guided(model: Denoiser, { scale, nullClass, channels }: Guidance): Denoiser {
  return (x, timesteps, labels) =>
    tf.tidy(() => {
      const [batch, depth] = x.shape;
      const without = tf.fill([batch], nullClass, "int32");
      const output = model(
        tf.concat([x, x]),
        tf.concat([timesteps, timesteps]),
        tf.concat([labels, without]),
      );
      const [conditional, unconditional] = tf.split(output, 2);
      const count = channels === "all" ? depth : Math.min(3, depth);
      const kept = conditional.shape[1]! - count;
      const [eps, rest] = kept === 0 ? [conditional] : tf.split(conditional, [count, kept], 1);
      const [base] = kept === 0 ? [unconditional] : tf.split(unconditional, [count, kept], 1);
      const moved = tf.add(base, tf.mul(scale, tf.sub(eps, base)));
      return rest === undefined ? moved : tf.concat([moved, rest], 1);
    });
}

/**
 * Standard normal numbers of a sampling run.
 *
 * @param step Steps still to go: T for the start, then T - 1 down to 1
 * @param image Index of the image in the batch
 * @param size How many
 */
export type NoiseSource = (step: number, image: number, size: number) => Float32Array;

/**
 * Noise as a pure function of key, image and step, so that a sample does not depend on its batch.
 *
 * @param key Key of the run
 * @param start Index, in the run, of the batch's first image
 */
export function keyedNoise(key: Key, start: number = 0): NoiseSource {
  return (step, image, size) => normal(fold(key, "image", start + image, "step", step), size);
}

/** How a step goes from x_t to x_(t-1). */
export interface StepOptions {
  /** Clamp the predicted x_0 to [-1, 1], for pixels, not for latents, or to another range; default false. */
  readonly clipDenoised?: boolean | number;
  /** What the model's output is; by default the noise. */
  readonly prediction?: DiffusionProcess["prediction"];
  /** DDPM: the variance; by default the model's own, or beta_t where it learns none. */
  readonly variance?: DiffusionProcess["variance"];
  /** DDIM: whether the noise is that of the clamped x_0 (default), as in DiT's code, or the predicted, as in diffusers. */
  readonly noiseOfClipped?: boolean;
}

/** How a DDIM step goes. */
export interface DdimOptions extends StepOptions {
  /** 0 is deterministic (default), 1 as random as DDPM. */
  readonly eta?: number;
}

/**
 * x_0, clamped if asked for: sqrt(1 / abar_t) x_t - sqrt(1 / abar_t - 1) eps, sqrt(abar_t) x_t - sqrt(1 - abar_t) v, or what
 * the model gives.
 */
function predictClean(
  { alphasCumprod }: DiffusionSchedule,
  step: number,
  x: tf.Tensor,
  output: tf.Tensor,
  { clipDenoised: clip = false, prediction = "epsilon" }: StepOptions,
): tf.Tensor {
  const signal = alphasCumprod[step];
  const clean = prediction === "sample"
    ? output
    : prediction === "v_prediction"
    ? tf.sub(tf.mul(Math.sqrt(signal), x), tf.mul(Math.sqrt(1 - signal), output))
    : tf.sub(tf.mul(Math.sqrt(1 / signal), x), tf.mul(Math.sqrt(1 / signal - 1), output));
  if (clip === false) return clean;
  const range = clip === true ? 1 : clip;
  return tf.clipByValue(clean, -range, range);
}

/** eps of an x_0: (x_t - sqrt(abar_t) x_0) / sqrt(1 - abar_t). */
function noiseOf(signal: number, x: tf.Tensor, clean: tf.Tensor): tf.Tensor {
  return tf.div(tf.sub(tf.mul(Math.sqrt(1 / signal), x), clean), Math.sqrt(1 / signal - 1));
}

/**
 * x_(t-1) = mean of q(x_(t-1) | x_t, predicted x_0) + sqrt(variance) noise, without noise at t = 0. The variance is the
 * model's or, where it learns none, beta_t.
 *
 * @param schedule The process
 * @param step t, 0 to T - 1
 * @param output The model's
 * @param x x_t, [B, C, H, W]
 * @param noise Standard normal, the same shape; not needed at t = 0
 * @param options See {@linkcode StepOptions}
 */
export function ddpmStep(
  schedule: DiffusionSchedule,
  step: number,
  output: tf.Tensor,
  x: tf.Tensor,
  noise: tf.Tensor | undefined,
  options: StepOptions = {},
): tf.Tensor {
  return tf.tidy(() => {
    const { prediction, variance } = splitOutput(output, x.shape);
    const clean = predictClean(schedule, step, x, prediction, options);
    const { posteriorCleanFactor, posteriorNoisedFactor, posteriorLogVariance, betas } = schedule;
    const mean = tf.add(tf.mul(posteriorCleanFactor[step], clean), tf.mul(posteriorNoisedFactor[step], x));
    if (noise === undefined) return mean;
    const largest = Math.log(betas[step]);
    const smallest = posteriorLogVariance[step];
    if (options.variance === "learned_range" && variance === undefined) {
      const allowed = "a model that learns its variance, or another variance_type";
      throw new OneloraError({ attempted: "sampling with a learned variance", found: "no variance", allowed });
    }
    if (options.variance === "fixed_small") return tf.add(mean, tf.mul(Math.exp(0.5 * smallest), noise));
    if (variance === undefined || options.variance === "fixed_large") {
      return tf.add(mean, tf.mul(Math.exp(0.5 * largest), noise));
    }
    const logVariance = tf.add(smallest, tf.mul((largest - smallest) / 2, tf.add(variance, 1)));
    return tf.add(mean, tf.mul(tf.exp(tf.mul(0.5, logVariance)), noise));
  });
}

/**
 * x_(t-1) = sqrt(abar_(t-1)) x_0 + sqrt(1 - abar_(t-1) - sigma^2) eps + sigma noise, without noise at t = 0,
 * sigma = eta sqrt((1 - abar_(t-1)) / (1 - abar_t)) sqrt(1 - abar_t / abar_(t-1)); eps is that of the (clamped) x_0.
 *
 * @param schedule The process
 * @param step t, 0 to T - 1
 * @param output The model's; its variance is not used
 * @param x x_t, [B, C, H, W]
 * @param noise Standard normal, the same shape; not needed at t = 0 nor for eta = 0
 * @param options See {@linkcode DdimOptions}
 */
export function ddimStep(
  schedule: DiffusionSchedule,
  step: number,
  output: tf.Tensor,
  x: tf.Tensor,
  noise: tf.Tensor | undefined,
  options: DdimOptions = {},
): tf.Tensor {
  return tf.tidy(() => {
    const { clipDenoised = false, eta = 0, noiseOfClipped = true } = options;
    const { prediction } = splitOutput(output, x.shape);
    const clean = predictClean(schedule, step, x, prediction, options);
    const signal = schedule.alphasCumprod[step];
    const next = schedule.alphasCumprodPrevious[step];
    const isNoise = (options.prediction ?? "epsilon") === "epsilon";
    const unclipped = () => predictClean(schedule, step, x, prediction, { ...options, clipDenoised: false });
    const eps = clipDenoised !== false && noiseOfClipped
      ? noiseOf(signal, x, clean)
      : isNoise
      ? prediction
      : noiseOf(signal, x, unclipped());
    const sigma = eta * Math.sqrt((1 - next) / (1 - signal)) * Math.sqrt(1 - signal / next);
    const mean = tf.add(tf.mul(Math.sqrt(next), clean), tf.mul(Math.sqrt(Math.max(0, 1 - next - sigma ** 2)), eps));
    return noise === undefined || sigma === 0 ? mean : tf.add(mean, tf.mul(sigma, noise));
  });
}

/** How images are sampled. */
export interface ImageSamplingOptions extends DdimOptions {
  /** DDPM (default) or DDIM. */
  readonly method?: "ddpm" | "ddim";
  /** Where the noise comes from. */
  readonly noise: NoiseSource;
  /** Called after every step with the number of steps done, their total, and x_(t-1), which is freed after the call. */
  readonly onStep?: (done: number, total: number, x: tf.Tensor) => void | Promise<void>;
}

/**
 * Samples images from noise, one for each label.
 *
 * @param model The model, guided or not, compiled or not
 * @param schedule The process, usually respaced
 * @param labels Class of each image
 * @param shape [C, H, W]
 * @param options See {@linkcode ImageSamplingOptions}
 * @returns [B, C, H, W], the caller's to dispose
 * @throws OneloraError without labels, for an eta outside 0 to 1, and for a model whose output fits no image
 *
 * @example
 * ```ts
 * import { key, useBackend } from "@onelora/onelora/dsl";
 * import { diffusionSchedule, keyedNoise, linearBetas, respaced, sampleImages } from "@onelora/onelora/tasks";
 * import { assertEquals } from "@std/assert";
 * import * as tf from "@tensorflow/tfjs-core";
 * await useBackend("cpu");
 * const schedule = respaced(diffusionSchedule(linearBetas()), 5);
 * const noise = keyedNoise(key(0));
 * const images = await sampleImages((x) => tf.zerosLike(x), schedule, Int32Array.of(0, 1), [1, 4, 4], { noise });
 * assertEquals(images.shape, [2, 1, 4, 4]);
 * ```
 */
export async function sampleImages(
  model: Denoiser,
  schedule: DiffusionSchedule,
  labels: Int32Array,
  shape: readonly [number, number, number],
  options: ImageSamplingOptions,
): Promise<tf.Tensor> {
  const { method = "ddpm", eta = 0, noise, onStep } = options;
  if (labels.length === 0 || !(eta >= 0 && eta <= 1)) {
    throw new OneloraError({
      attempted: "sampling images",
      found: `${labels.length} labels, eta ${eta}`,
      allowed: "one label or more, eta from 0 to 1",
    });
  }
  const { steps, timesteps } = schedule;
  const batch = labels.length;
  const size = shape[0] * shape[1] * shape[2];
  const draw = (step: number): tf.Tensor => {
    const values = new Float32Array(batch * size);
    for (let image = 0; image < batch; image++) values.set(noise(step, image, size), image * size);
    return tf.tensor4d(values, [batch, ...shape]);
  };
  const random = method === "ddpm" || eta > 0;
  const advance = method === "ddpm" ? ddpmStep : ddimStep;
  let x = draw(steps);
  try {
    for (let step = steps - 1; step >= 0; step--) {
      const next = tf.tidy(() => {
        const output = model(x, tf.fill([batch], timesteps[step], "int32"), tf.tensor1d(labels, "int32"));
        return advance(schedule, step, output, x, random && step > 0 ? draw(step) : undefined, options);
      });
      x.dispose();
      x = next;
      await onStep?.(steps - step, steps, x);
      await turn();
    }
    return x;
  } catch (error) {
    x.dispose();
    throw error;
  }
}
