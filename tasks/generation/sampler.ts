/**
 * Pictures of a diffusion model: sampled batch by batch, decoded where the model works on latents.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { compile } from "../../dsl/compile/mod.ts";
import { apply } from "../../dsl/apply.ts";
import type { Key } from "../../dsl/random.ts";
import { inTurn } from "../../dsl/ranks.ts";
import type { Params } from "../../dsl/tree.ts";
import type { ConditionalDiffusion } from "../../models/mod.ts";
import type { CleanBatch, DiffusionInput } from "./objective.ts";
import { guided, keyedNoise, sampleImages } from "./sampling.ts";
import { samplingSchedule } from "./schedule.ts";

/** How pictures are sampled. */
export interface SamplerSettings {
  /** Steps of a sample: from 100 on DDPM, as in DiT's evaluation; fewer are taken by DDIM, which needs less. */
  readonly samplingSteps: number;
  /** Scale of classifier-free guidance; 1 for none. */
  readonly guidance: number;
  /** Latents [B, L, h, w] to pixels, for a model of latents. */
  readonly decode?: (latents: tf.Tensor) => tf.Tensor;
  /** Pictures sampled at a time (default 64). */
  readonly batchSize?: number;
}

/** Numbers that are the shape of a picture: channels, rows, columns. */
const SHAPE = 3;
/** Fewer steps than these are DDIM's. */
const DDPM_STEPS = 100;

/** Pictures sampled at a time where nothing is said. */
export const SAMPLED = 64;

/**
 * What a step of sampling computes: the model's output for noisy pictures, guided.
 *
 * @param layer The model
 * @param input What it takes
 * @param guidance Scale of classifier-free guidance; 1 for none
 */
export function denoiser(
  layer: ConditionalDiffusion,
  { classes, process }: Pick<DiffusionInput, "classes" | "process">,
  guidance: number,
): (all: Params, x: tf.Tensor, timesteps: tf.Tensor, y: tf.Tensor) => tf.Tensor {
  // A pipeline of diffusers guides as diffusers does.
  const channels = process?.method === undefined ? "first-three" : "all";
  return (all, x, timesteps, y) => {
    const model = apply(layer, all);
    if (guidance === 1) return model(x, timesteps, y);
    return guided(model, { scale: guidance, nullClass: classes, channels })(x, timesteps, y);
  };
}

/**
 * Samples a picture for each label, [B, C, H, W] from about -1 to 1 a batch. Noise is a pure function of key and index, so
 * a picture depends on no other.
 *
 * @param layer The model
 * @param params Its parameters
 * @param input What it takes
 * @param labels Class of each picture, the number of classes for none
 * @param key Key of the noise
 * @param settings See {@linkcode SamplerSettings}
 * @throws OneloraError for a number of steps that the process does not have
 */
export async function* samplePictures(
  layer: ConditionalDiffusion,
  params: Params,
  { shape, classes, process }: DiffusionInput,
  labels: Int32Array,
  key: Key,
  { samplingSteps, guidance, decode, batchSize = SAMPLED }: SamplerSettings,
): AsyncGenerator<CleanBatch, void, void> {
  const schedule = samplingSchedule(process, samplingSteps);
  const method = process?.method ?? (samplingSteps < DDPM_STEPS ? "ddim" : "ddpm");
  const denoise = compile(denoiser(layer, { classes, process }, guidance), { graph: true });
  try {
    const starts = Array.from({ length: Math.ceil(labels.length / batchSize) }, (_, i) => i * batchSize);
    const all = inTurn(starts, async (start) => {
      const some = labels.slice(start, start + batchSize);
      const sampled = await sampleImages((...inputs) => denoise(params, ...inputs), schedule, some, shape, {
        method,
        clipDenoised: process?.clip ?? decode === undefined,
        prediction: process?.prediction,
        variance: process?.variance,
        noiseOfClipped: process?.method === undefined,
        noise: keyedNoise(key, start),
      });
      const pictures = decode === undefined ? sampled : tf.tidy(() => decode(sampled));
      try {
        // What a process has not sampled itself it knows no shape of.
        const numbers = new Float32Array(SHAPE + pictures.size);
        numbers.set(pictures.shape.slice(1));
        numbers.set(await pictures.data<"float32">(), SHAPE);
        return numbers;
      } finally {
        tf.dispose([sampled, pictures]);
      }
    });
    for await (const [start, numbers] of all) {
      const some = labels.slice(start, start + batchSize);
      yield { values: numbers.subarray(SHAPE), shape: [some.length, ...numbers.subarray(0, SHAPE)], labels: some };
    }
  } finally {
    denoise.dispose();
  }
}

/**
 * Labels of so many pictures, every class as often as every other: 0, 1, ..., 0, 1, ...
 *
 * @param count Pictures
 * @param classes Classes
 */
export function evenLabels(count: number, classes: number): Int32Array {
  return Int32Array.from({ length: count }, (_, i) => i % classes);
}
