/**
 * Noise schedules of Gaussian diffusion (Ho et al. 2020; Nichol and Dhariwal 2021): tables in double precision, computed
 * once on the host, and what of them a batch needs as tensors.
 *
 * Notation: beta_t is the variance that step t adds, alpha_t = 1 - beta_t, abar_t the product of alpha_0 ... alpha_t,
 * abar_(-1) = 1.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { OneloraError } from "../../dsl/error.ts";
import type { DiffusionProcess } from "../../models/diffusion_process.ts";
import { roundHalfEven } from "../data/round.ts";

/** Tables of a diffusion process of T steps, indexed by step. */
export interface DiffusionSchedule {
  /** T. */
  readonly steps: number;
  /** The step that the model is given for each: the step of the process that it was trained on. */
  readonly timesteps: Int32Array;
  /** beta_t. */
  readonly betas: Float64Array;
  /** abar_t. */
  readonly alphasCumprod: Float64Array;
  /** abar_(t - 1). */
  readonly alphasCumprodPrevious: Float64Array;
  /** Variance of q(x_(t-1) | x_t, x_0): beta_t (1 - abar_(t-1)) / (1 - abar_t), 0 at t = 0. */
  readonly posteriorVariance: Float64Array;
  /** Its logarithm, at t = 0 that of t = 1. */
  readonly posteriorLogVariance: Float64Array;
  /** Factor of x_0 in the mean of q(x_(t-1) | x_t, x_0): beta_t sqrt(abar_(t-1)) / (1 - abar_t). */
  readonly posteriorCleanFactor: Float64Array;
  /** Factor of x_t in that mean: (1 - abar_(t-1)) sqrt(alpha_t) / (1 - abar_t). */
  readonly posteriorNoisedFactor: Float64Array;
}

/**
 * Betas that grow linearly, DiT's schedule.
 *
 * @param steps T
 * @param first beta_0
 * @param last beta_(T-1)
 */
export function linearBetas(steps: number = 1000, first: number = 1e-4, last: number = 0.02): Float64Array {
  return Float64Array.from({ length: steps }, (_, t) => steps === 1 ? first : first + (last - first) * t / (steps - 1));
}

/**
 * The tables of a process.
 *
 * @param betas beta_t, each in (0, 1), two or more
 * @param timesteps The step that the model is given for each; by default the step itself
 * @throws OneloraError for betas that are no process
 *
 * @example
 * ```ts
 * import { diffusionSchedule, linearBetas } from "@onelora/onelora/tasks";
 * import { assertAlmostEquals } from "@std/assert";
 * const schedule = diffusionSchedule(linearBetas());
 * assertAlmostEquals(schedule.alphasCumprod[0], 0.9999);
 * assertAlmostEquals(schedule.alphasCumprod[999], 4.0358e-5, 1e-8);
 * ```
 */
export function diffusionSchedule(betas: Float64Array, timesteps?: Int32Array): DiffusionSchedule {
  const steps = betas.length;
  const wrong = betas.find((beta) => !(beta > 0 && beta < 1));
  if (steps < 2 || wrong !== undefined) {
    throw new OneloraError({
      attempted: "making a diffusion schedule",
      found: wrong === undefined ? `${steps} steps` : `beta ${wrong}`,
      allowed: "at least 2 steps, betas between 0 and 1",
    });
  }
  const alphasCumprod = new Float64Array(steps);
  betas.forEach((beta, t) => alphasCumprod[t] = (t === 0 ? 1 : alphasCumprod[t - 1]) * (1 - beta));
  const previous = alphasCumprod.map((_, t) => t === 0 ? 1 : alphasCumprod[t - 1]);
  return tablesOf(betas, alphasCumprod, previous, timesteps ?? Int32Array.from({ length: steps }, (_, t) => t));
}

/** The tables of steps that need not follow one another. */
function tablesOf(
  betas: Float64Array,
  alphasCumprod: Float64Array,
  previous: Float64Array,
  timesteps: Int32Array,
): DiffusionSchedule {
  const steps = betas.length;
  const posteriorVariance = betas.map((beta, t) => beta * (1 - previous[t]) / (1 - alphasCumprod[t]));
  return {
    steps,
    timesteps,
    betas,
    alphasCumprod,
    alphasCumprodPrevious: previous,
    posteriorVariance,
    posteriorLogVariance: posteriorVariance.map((_, t) => Math.log(posteriorVariance[Math.max(t, 1)])),
    posteriorCleanFactor: betas.map((beta, t) => beta * Math.sqrt(previous[t]) / (1 - alphasCumprod[t])),
    posteriorNoisedFactor: betas.map((beta, t) => (1 - previous[t]) * Math.sqrt(1 - beta) / (1 - alphasCumprod[t])),
  };
}

/**
 * Where the kept steps lie: `even` from the first step to the last, as DiT does for DDPM (halves rounded to even), or every
 * k-th from the first, with the smallest whole k that gives the count, as in the DDIM paper.
 */
export type Spacing = "even" | "stride";

function keptSteps(steps: number, count: number, spacing: Spacing): number[] {
  if (spacing === "even") {
    // Summed, not multiplied, as DiT does: where a sum comes to a half, its last bit decides.
    const stride = (steps - 1) / (count - 1);
    let place = -stride;
    return Array.from({ length: count }, () => roundHalfEven(place += stride));
  }
  for (let stride = 1; stride <= steps; stride++) {
    if (Math.ceil(steps / stride) === count) return Array.from({ length: count }, (_, i) => i * stride);
  }
  return [];
}

/**
 * The process that jumps over steps: abar of the kept steps stays, betas are computed again,
 * beta'_i = 1 - abar_(t_i) / abar_(t_(i-1)), and the model is given the original steps (Nichol and Dhariwal 2021).
 *
 * @param schedule The process that the model was trained on
 * @param count Steps to keep
 * @param spacing Where they lie
 * @throws OneloraError for a count that the spacing cannot give
 *
 * @example
 * ```ts
 * import { diffusionSchedule, linearBetas, respaced } from "@onelora/onelora/tasks";
 * import { assertEquals } from "@std/assert";
 * const short = respaced(diffusionSchedule(linearBetas()), 4, "even");
 * assertEquals([...short.timesteps], [0, 333, 666, 999]);
 * ```
 */
export function respaced(schedule: DiffusionSchedule, count: number, spacing: Spacing = "even"): DiffusionSchedule {
  const { steps, alphasCumprod, timesteps } = schedule;
  const fits = Number.isInteger(count) && count >= 2 && count <= steps;
  const kept = fits ? keptSteps(steps, count, spacing) : [];
  if (kept.length === 0) {
    throw new OneloraError({
      attempted: "respacing a diffusion process",
      found: `${count} steps`,
      allowed: spacing === "even"
        ? `2 to ${steps}`
        : `2 to ${steps}, such that a whole stride through ${steps} gives it`,
    });
  }
  const betas = kept.map((t, i) => 1 - alphasCumprod[t] / (i === 0 ? 1 : alphasCumprod[kept[i - 1]]));
  return diffusionSchedule(Float64Array.from(betas), Int32Array.from(kept, (t) => timesteps[t]));
}

/** Steps of a shorter process as diffusers' schedulers keep them, the first first. */
function diffusersSteps(
  { betas: { length: steps }, spacing, offset }: DiffusionProcess,
  count: number,
): readonly number[] {
  switch (spacing) {
    case "linspace":
      return Array.from({ length: count }, (_, i) => roundHalfEven(i * ((steps - 1) / (count - 1))));
    case "trailing":
      return Array.from({ length: count }, (_, i) => roundHalfEven(steps - i * (steps / count)) - 1).reverse();
    default:
      return Array.from({ length: count }, (_, i) => i * Math.floor(steps / count) + offset);
  }
}

/**
 * The process that jumps over steps as diffusers' schedulers do: to a DDIM a step t is followed by t - floor(T / count),
 * whether or not that is a step that is kept.
 */
function diffusersRespaced(schedule: DiffusionSchedule, process: DiffusionProcess, count: number): DiffusionSchedule {
  const { steps, alphasCumprod } = schedule;
  const kept = Number.isInteger(count) && count >= 2 && count <= steps ? diffusersSteps(process, count) : [];
  if (kept.length === 0 || kept[kept.length - 1] >= steps) {
    const allowed = `2 to ${steps} steps, the last of them below ${steps} with an offset of ${process.offset}`;
    throw new OneloraError({ attempted: "respacing a diffusion process", found: `${count} steps`, allowed });
  }
  const stride = Math.floor(steps / count);
  const last = process.lastSignal === "one" ? 1 : alphasCumprod[0];
  const signals = Float64Array.from(kept, (t) => alphasCumprod[t]);
  // A DDPM goes to the step that is kept next, a DDIM a whole stride back.
  const next = (t: number, i: number) => process.method === "ddpm" ? kept[i - 1] ?? -1 : t - stride;
  const previous = Float64Array.from(kept, (t, i) => next(t, i) >= 0 ? alphasCumprod[next(t, i)] : last);
  const betas = signals.map((signal, i) => 1 - signal / previous[i]);
  return tablesOf(betas, signals, previous, Int32Array.from(kept));
}

/**
 * The process that a model was trained on.
 *
 * @param process What its files say of it; DiT's own without any
 */
export function trainedSchedule(process: DiffusionProcess | undefined): DiffusionSchedule {
  return diffusionSchedule(process === undefined ? linearBetas() : Float64Array.from(process.betas));
}

/**
 * The process that samples are drawn by.
 *
 * @param process What a model's files say of it; DiT's own without any
 * @param count Steps
 * @throws OneloraError for a count that the process does not have
 */
export function samplingSchedule(process: DiffusionProcess | undefined, count: number): DiffusionSchedule {
  const schedule = trainedSchedule(process);
  return process === undefined || process.spacing === "even"
    ? respaced(schedule, count)
    : diffusersRespaced(schedule, process, count);
}

/** What the loss needs of the tables, one value an example: tensors [B, 1, 1, 1]. */
export interface DiffusionCoefficients {
  /** sqrt(abar_t), of x_0 in x_t. */
  readonly signal: tf.Tensor;
  /** sqrt(1 - abar_t), of the noise in x_t. */
  readonly spread: tf.Tensor;
  /** Of the error in the noise, in the error of the mean of x_(t-1): beta_t / sqrt(alpha_t (1 - abar_t)). */
  readonly drift: tf.Tensor;
  /** Log variance of q(x_(t-1) | x_t, x_0), at t = 0 that of t = 1: the smallest that the model can choose. */
  readonly smallest: tf.Tensor;
  /** log beta_t, the largest log variance that the model can choose. */
  readonly largest: tf.Tensor;
  /** 1 where t = 0, else 0. */
  readonly first: tf.Tensor;
}

/**
 * Looks the coefficients of a batch up; the caller's to dispose. They enter a compiled loss as arguments, so that one
 * program serves all timesteps.
 *
 * @param schedule The process
 * @param at Step of each example, 0 to T - 1
 */
export function diffusionCoefficients(schedule: DiffusionSchedule, at: Int32Array): DiffusionCoefficients {
  const { betas, alphasCumprod, posteriorLogVariance } = schedule;
  const wrong = at.find((t) => t < 0 || t >= schedule.steps);
  if (wrong !== undefined) {
    throw new OneloraError({
      attempted: "noising images",
      found: `step ${wrong}`,
      allowed: `0 to ${schedule.steps - 1}`,
    });
  }
  const column = (value: (t: number) => number) => tf.tensor(Float32Array.from(at, value), [at.length, 1, 1, 1]);
  return {
    signal: column((t) => Math.sqrt(alphasCumprod[t])),
    spread: column((t) => Math.sqrt(1 - alphasCumprod[t])),
    drift: column((t) => betas[t] / Math.sqrt((1 - betas[t]) * (1 - alphasCumprod[t]))),
    smallest: column((t) => posteriorLogVariance[t]),
    largest: column((t) => Math.log(betas[t])),
    first: column((t) => t === 0 ? 1 : 0),
  };
}
