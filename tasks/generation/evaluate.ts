/**
 * What a diffusion model is judged by: its loss on held-out images under fixed noise, and how far its samples are from them.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { compile } from "../../dsl/compile/mod.ts";
import { fold, key } from "../../dsl/random.ts";
import { inTurn } from "../../dsl/ranks.ts";
import type { Params, Tree } from "../../dsl/tree.ts";
import type { ConditionalDiffusion } from "../../models/mod.ts";
import type { ImageDataset } from "../data/dataset.ts";
import { partSpans } from "../trainer/parts.ts";
import type { Autoencoder } from "./autoencoder.ts";
import type { FeatureExtractor } from "./features.ts";
import { type FeatureStatistics, frechetDistance } from "./fid.ts";
import { type DiffusionInput, generationObjective, noisedBatch } from "./objective.ts";
import { evenLabels, samplePictures, type SamplerSettings } from "./sampler.ts";
import { trainedSchedule } from "./schedule.ts";
import { heldOutBatches } from "./source.ts";

/** A model to judge, and the images to judge it by. */
export interface Judged {
  /** The model. */
  readonly layer: ConditionalDiffusion;
  /** What it takes. */
  readonly input: DiffusionInput;
  /** Held-out images. */
  readonly dataset: ImageDataset;
  /** The model's autoencoder, if it works on latents. */
  readonly autoencoder?: Autoencoder;
  /** The model's number for each class of the images; without it, the model is judged without labels. */
  readonly relabel?: Int32Array;
}

/** How a model is judged. */
export interface JudgingOptions extends SamplerSettings {
  /** Use only so many images. */
  readonly limit?: number;
  /** Pictures sampled for the distance; every class as often as every other. */
  readonly samples: number;
  /** Seed of the sampled pictures. */
  readonly seed: number;
  /** Images at a time (default 100). */
  readonly batchSize?: number;
}

/** Images that the loss is a mean of, at most. */
export const HELD_OUT = 1000;
/** Images of one evaluation batch. */
export const BATCH = 100;
/** Numbers of a batch; the last only where the variance is learned. */
const NUMBERS = ["loss", "mse", "variational"] as const;

/**
 * Mean loss and its parts on a fixed choice of at most 1000 images, with noise and steps that depend on nothing but their
 * place.
 *
 * @param judged Model and images
 * @param params The model's parameters
 * @param limit Use only so many images
 * @param rows Images at a time; noise does not depend on it
 */
export async function heldOutLoss(
  judged: Judged,
  params: Params,
  limit: number = HELD_OUT,
  rows: number = BATCH,
): Promise<Tree<number>> {
  const { layer, input, dataset, autoencoder, relabel } = judged;
  const schedule = trainedSchedule(input.process);
  const objective = generationObjective(layer, input.process?.prediction);
  const numbers = compile((all: Params, batch: Params): Params => {
    const { loss, metrics } = objective(all, batch);
    return { loss, ...metrics };
  }, { graph: true, calls: Math.ceil(Math.min(limit, HELD_OUT, dataset.size) / Math.min(rows, BATCH)) });
  const options = { batchSize: BATCH, seed: 0, shuffle: true, limit: Math.min(limit, HELD_OUT, dataset.size) };
  const sums: Record<string, number> = {};
  let count = 0;
  try {
    const means = inTurn(heldOutBatches(dataset, input, autoencoder, options), async ({ position, ...batch }) => {
      const labels = batch.labels.map((label) => relabel?.[label] ?? input.classes);
      const noised = noisedBatch(schedule, { ...batch, labels }, fold(key(0), "held out", position.offset));
      const total = new Float32Array(NUMBERS.length);
      let known: readonly string[] = [];
      for (const span of partSpans(labels.length, rows)) {
        const found = tf.tidy(() => numbers(params, noised(span)));
        known = NUMBERS.filter((name) => found[name] !== undefined);
        const values = await Promise.all(known.map((name) => found[name].data<"float32">()));
        tf.dispose(found);
        values.forEach(([mean], i) => total[i] += mean * (span[1] - span[0]) / labels.length);
      }
      return total.subarray(0, known.length);
    });
    for await (const [{ labels }, found] of means) {
      found.forEach((mean, i) => sums[NUMBERS[i]] = (sums[NUMBERS[i]] ?? 0) + mean * labels.length);
      count += labels.length;
    }
  } finally {
    numbers.dispose();
  }
  return { count, ...Object.fromEntries(Object.entries(sums).map(([name, sum]) => [name, sum / count])) };
}

/** Distances of samples to a set of images, whose statistics are computed once. */
export interface DistanceMeter {
  /** The Fréchet distance of a model's samples. */
  readonly distance: (params: Params) => Promise<number>;
}

/**
 * Fréchet distances between a model's samples and held-out images. Few samples and few images make it larger, so only
 * distances of equal numbers compare.
 *
 * @param judged Model and images
 * @param features What tells pictures apart
 * @param options See {@linkcode JudgingOptions}
 */
export function distanceMeter(judged: Judged, features: FeatureExtractor, options: JudgingOptions): DistanceMeter {
  const { layer, input, dataset, relabel } = judged;
  const { samples, seed, limit } = options;
  let real: Promise<FeatureStatistics> | undefined;
  const sampled = relabel?.toSorted();
  const labels = sampled === undefined
    ? new Int32Array(samples).fill(input.classes)
    : evenLabels(samples, sampled.length).map((i) => sampled[i]);
  return {
    distance: async (params) => {
      real ??= features.ofImages(dataset, limit);
      const noise = fold(key(seed), "samples");
      const pictures = samplePictures(layer, params, input, labels, noise, options);
      return frechetDistance(await real, await features.ofPictures(pictures));
    },
  };
}
