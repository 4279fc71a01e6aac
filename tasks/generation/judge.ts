/**
 * What a model of pictures is judged by, and the samples that are shown of it.
 *
 * @module
 */
import { writeWhole } from "../../dsl/files/write.ts";
import { fold, key } from "../../dsl/random.ts";
import type { Params, Tree } from "../../dsl/tree.ts";
import type { ConditionalDiffusion, Model } from "../../models/mod.ts";
import { matchClasses } from "../data/classes.ts";
import type { ImageDataset } from "../data/dataset.ts";
import { encodePng } from "../data/png.ts";
import type { EvaluationRun } from "../trainer/run_settings.ts";
import type { Autoencoder } from "./autoencoder.ts";
import { distanceMeter, heldOutLoss, type Judged, type JudgingOptions } from "./evaluate.ts";
import { openFeatures } from "./features.ts";
import { diffusionInput } from "./objective.ts";
import { imageGrid } from "./pictures.ts";
import { generationRecipeFor } from "./recipe.ts";
import { samplePictures } from "./sampler.ts";
import type { GenerationSettings } from "./settings.ts";

/** Pictures of a class that are shown. */
const SHOWN = 8;
/** Classes that are shown at most. */
const SHOWN_CLASSES = 20;

/** An evaluation of a model of pictures. */
export type GenerationEvaluation = EvaluationRun<GenerationSettings>;

/**
 * What to judge a model by, which must know the data's classes by name, else it is judged without labels.
 *
 * @param model The model
 * @param layer Its layer, adapted or not
 * @param dataset Held-out pictures
 * @param autoencoder Of a model of latents
 */
export function judged(
  model: Model,
  layer: ConditionalDiffusion,
  dataset: ImageDataset,
  autoencoder?: Autoencoder,
): Judged {
  const input = diffusionInput(model);
  const { indices } = matchClasses(model.labels ?? [], dataset.classes);
  return { layer, input, dataset, autoencoder, ...(indices.includes(-1) ? {} : { relabel: indices }) };
}

/**
 * The model in whose features samples are measured: one that tells grey pictures apart is part of this package, others are for the
 * user to name.
 *
 * @param run The run
 * @param judged What is judged
 */
export function featuresOf(run: GenerationEvaluation, { input, autoencoder }: Judged): string | undefined {
  return featuresFor(run, autoencoder?.image.channels ?? input.shape[0]);
}

/**
 * The same for pictures of so many channels.
 *
 * @param run The run
 * @param channels Channels of the pictures
 */
export function featuresFor({ own }: Pick<GenerationEvaluation, "own">, channels: number): string | undefined {
  return own.features ?? (channels === 1 ? "vit-micro" : undefined);
}

/**
 * Settings of sampling, with the recipe's for what a run leaves out.
 *
 * @param run The run
 * @param model Name of the model
 * @param judged What it is judged by
 */
export function judgingOptions(run: GenerationEvaluation, model: string, { autoencoder }: Judged): JudgingOptions {
  const { own: recipe } = generationRecipeFor(model, run.data);
  const { samplingSteps = recipe.samplingSteps, guidance = recipe.guidance, samples = recipe.samples } = run.own;
  const decode = autoencoder?.decode;
  return { samplingSteps, guidance, samples, decode, limit: run.limit, seed: run.seed ?? 0, batchSize: run.evalBatch };
}

/**
 * All that a model is judged by; what must be opened for it is, until it is disposed.
 *
 * @param judged The model and the pictures
 * @param run The run
 * @param options How
 */
export async function judge(
  judged: Judged,
  run: GenerationEvaluation,
  options: JudgingOptions,
): Promise<Disposable & { readonly metrics: (params: Params) => Promise<Tree<number>>; readonly measured: boolean }> {
  const name = options.samples === 0 ? undefined : featuresOf(run, judged);
  const features = name === undefined
    ? undefined
    : await openFeatures(name, judged.autoencoder?.image.size ?? judged.input.shape[1], options.batchSize);
  const meter = features && distanceMeter(judged, features, options);
  return {
    measured: meter !== undefined,
    metrics: async (params) => {
      const loss = await heldOutLoss(judged, params, run.limit, options.batchSize);
      return meter === undefined ? loss : { ...loss, fid: await meter.distance(params) };
    },
    [Symbol.dispose]: () => features?.[Symbol.dispose](),
  };
}

/**
 * Samples of every class, a row each, as `samples.png`.
 *
 * @param judged The model
 * @param options How it samples
 * @param params Its parameters
 * @param folder Where to
 */
export async function showSamples(
  judged: Judged,
  options: JudgingOptions,
  params: Params,
  folder: string,
): Promise<void> {
  const { layer, input, relabel } = judged;
  const classes = Math.min(input.classes, SHOWN_CLASSES);
  const labels = Int32Array.from(
    { length: classes * SHOWN },
    (_, i) => relabel !== undefined ? Math.floor(i / SHOWN) : input.classes,
  );
  const noise = fold(key(options.seed), "shown");
  const grids: Float32Array[] = [];
  let shape: readonly number[] = [];
  for await (const batch of samplePictures(layer, params, input, labels, noise, options)) {
    grids.push(batch.values);
    shape = batch.shape;
  }
  const values = Float32Array.from(grids.flatMap((grid) => [...grid]));
  const grid = imageGrid(values, [labels.length, ...shape.slice(1)], { columns: SHOWN });
  const png = await encodePng(grid);
  await writeWhole(`${folder}/samples.png`, png);
}
