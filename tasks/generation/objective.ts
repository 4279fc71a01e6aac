/**
 * What a diffusion transformer is trained on: batches with noise, steps and labels drawn by keys, and the loss of them.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import type { Objective } from "../../dsl/differentiate.ts";
import { apply } from "../../dsl/apply.ts";
import { lookUpBytes } from "../../dsl/ops/mod.ts";
import type { Key } from "../../dsl/random.ts";
import type { Params } from "../../dsl/tree.ts";
import type { DiffusionProcess } from "../../models/diffusion_process.ts";
import { asConditionalDiffusion, type ConditionalDiffusion, type Model } from "../../models/mod.ts";
import { diffusionLoss, drawSteps, noiseValues, qSample } from "./diffusion.ts";
import { rowsOf } from "../trainer/parts.ts";
import { type DiffusionCoefficients, diffusionCoefficients, type DiffusionSchedule } from "./schedule.ts";

/** A diffusion model's inputs in numbers. */
export interface DiffusionInput {
  /** [C, H, W] of what it denoises, pixels or latents. */
  readonly shape: readonly [channels: number, height: number, width: number];
  /** Its classes, whose number is the label of none. */
  readonly classes: number;
  /** What its files say of the noise that it was trained under; DiT's own without any. */
  readonly process?: DiffusionProcess;
}

/**
 * What a diffusion model takes.
 *
 * @param model The model
 * @throws OneloraError (exit code 2) for a model of another kind
 */
export function diffusionInput(model: Model): DiffusionInput {
  asConditionalDiffusion(model, model.layer);
  if (model.process?.refused !== undefined) throw model.process.refused;
  const [, channels, height, width] = model.signature.inputs[0].shape as readonly [string, number, number, number];
  return { shape: [channels, height, width], classes: model.labels!.length, process: model.process };
}

/** Clean examples of a batch. */
export interface CleanBatch {
  /** [B, C, H, W] numbers in row-major order. */
  readonly values: Float32Array;
  /** [B, C, H, W]. */
  readonly shape: readonly number[];
  /** Label of each, the number of classes for none. */
  readonly labels: Int32Array;
}

/**
 * A batch's tensors but for what is clean: `noise` [B, C, H, W], `timesteps` and `labels` [B], and the coefficients of the
 * steps. Noise and steps are a pure function of the key, drawn once for the whole batch.
 *
 * @param schedule The process
 * @param batch Clean examples
 * @param key Key of the batch
 * @returns A function that makes the tensors of some rows
 */
export function noiseOf(
  schedule: DiffusionSchedule,
  { shape, labels }: Pick<CleanBatch, "shape" | "labels">,
  key: Key,
): (span: readonly [begin: number, end: number]) => Params {
  const at = drawSteps(schedule.steps, key, labels.length);
  const noise = noiseValues(key, shape);
  return (span) => {
    const drawn = at.slice(...span);
    return {
      noise: rowsTensor(noise, shape, span),
      timesteps: tf.tensor1d(drawn.map((step) => schedule.timesteps[step]), "int32"),
      labels: tf.tensor1d(labels.slice(...span), "int32"),
      ...diffusionCoefficients(schedule, drawn),
    };
  };
}

/** Some rows as a tensor. */
function rowsTensor(of: Float32Array, shape: readonly number[], span: readonly [number, number]): tf.Tensor {
  const { values, shape: [...size] } = rowsOf(of, shape, span);
  return tf.tensor(values, size);
}

/**
 * A batch's tensors: `clean` [B, C, H, W] and those of {@linkcode noiseOf}.
 *
 * @param schedule The process
 * @param batch Clean examples
 * @param key Key of the batch
 * @returns A function that makes the tensors of some rows, all by default
 */
export function noisedBatch(
  schedule: DiffusionSchedule,
  { values, shape, labels }: CleanBatch,
  key: Key,
): (span?: readonly [begin: number, end: number]) => Params {
  const others = noiseOf(schedule, { shape, labels }, key);
  return (span = [0, labels.length]) => ({ clean: rowsTensor(values, shape, span), ...others(span) });
}

/** Clean examples of a batch, which may have come as bytes, some of them to be mirrored left to right. */
function cleanOf({ clean, words, table, mirrored }: Params): tf.Tensor {
  const seen = words === undefined ? clean : lookUpBytes(words, table);
  if (mirrored === undefined) return seen;
  const each = tf.reshape(tf.greater(mirrored, tf.scalar(0, "int32")), [-1, 1, 1, 1]);
  return tf.where(tf.broadcastTo(each, seen.shape), tf.reverse(seen, 3), seen);
}

/**
 * The loss of a batch of {@linkcode noisedBatch}, and its parts: `mse`, and `variational` where the variance is learned.
 *
 * @param layer The model
 * @param prediction What its output is; by default the noise
 */
export function generationObjective(
  layer: ConditionalDiffusion,
  prediction?: DiffusionProcess["prediction"],
): (params: Params, batch: Params) => Objective {
  return (params, { noise, timesteps, labels, counted, ...rest }) => {
    const clean = cleanOf(rest);
    const coefficients = rest as Params & DiffusionCoefficients;
    const output = apply(layer, params)(qSample(clean, noise, coefficients), timesteps, labels);
    const { loss, mse, variational } = diffusionLoss(output, clean, noise, coefficients, prediction, counted);
    const parts = { mse, ...(variational && { variational }) };
    const metrics = Object.fromEntries(Object.entries(parts).map(([name, each]) => [name, tf.mean(each) as tf.Scalar]));
    return { loss, metrics };
  };
}
