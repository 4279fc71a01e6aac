/**
 * Image generation as a task of the trainer.
 *
 * @module
 */
import { adapt, joinMethods } from "../../adapters/mod.ts";
import { writeWhole } from "../../dsl/files/write.ts";
import { fold, key } from "../../dsl/random.ts";
import type { Params, Tree } from "../../dsl/tree.ts";
import { asConditionalDiffusion, type ConditionalDiffusion, type Model, openModel } from "../../models/mod.ts";
import type { ImageDataset } from "../data/dataset.ts";
import { imageDataForms, openImageData } from "../data/open.ts";
import { NO_METHOD, underRun } from "../trainer/run.ts";
import type { EvaluationReport, EvaluationRun, PreparedTask, Run, TaskKind, TrainedModel } from "../trainer/task.ts";
import { partRows, partSpans } from "../trainer/parts.ts";
import type { Reporter, TrainingTask } from "../trainer/train.ts";
import { type Autoencoder, autoencoderOf, openAutoencoder } from "./autoencoder.ts";
import { dropLabels } from "./diffusion.ts";
import { distanceMeter, heldOutLoss, type Judged, type JudgingOptions } from "./evaluate.ts";
import { openFeatures } from "./features.ts";
import { diffusionInput, generationObjective, noisedBatch } from "./objective.ts";
import { encodePng, imageGrid } from "./pictures.ts";
import { generationRecipeFor } from "./recipe.ts";
import { samplePictures } from "./sampler.ts";
import { diffusionSchedule, linearBetas } from "./schedule.ts";
import { cleanBatches, cleanSource } from "./source.ts";

/** Share of labels that are dropped in training, DiT's. */
const DROPPED = 0.1;
/** Where latents are kept. */
const LATENTS = "runs/latents";
/** Pictures of a class that are shown. */
const SHOWN = 8;
/** Classes that are shown at most. */
const SHOWN_CLASSES = 20;

/** A model whose classes are the data's, with a method on it; `none` leaves the model's own classes. */
async function openGenerator(run: Run, classes: readonly string[]): Promise<Pick<TrainedModel, "model" | "layer">> {
  const { rank, alpha, target, adapter } = run;
  if (adapter === NO_METHOD) {
    const model = await openModel(run.model);
    return { model, layer: model.layer };
  }
  const model = await openModel(run.model, { labels: classes });
  return { model, layer: adapt(joinMethods(adapter, model.joined), { rank, alpha, target })(model.layer) };
}

/** What to judge a model by, which must know as many classes as the data has, else it is judged without labels. */
function judged(model: Model, layer: ConditionalDiffusion, dataset: ImageDataset, autoencoder?: Autoencoder): Judged {
  const input = diffusionInput(model);
  return { layer, input, dataset, autoencoder, labelled: input.classes === dataset.classes.length };
}

async function openAutoencoderOf(model: Model, vae: string | undefined): Promise<Autoencoder | undefined> {
  const name = await autoencoderOf(model, vae);
  return name === undefined ? undefined : await openAutoencoder(name, model);
}

/** The model that tells grey pictures apart is part of this package; others are for the user to name. */
function featuresOf(run: EvaluationRun, { input, autoencoder }: Judged): string | undefined {
  const channels = autoencoder?.image.channels ?? input.shape[0];
  return run.features ?? (channels === 1 ? "vit-micro" : undefined);
}

/** Settings of sampling, with the recipe's for what a run leaves out. */
function judgingOptions(run: EvaluationRun, model: string, { autoencoder }: Judged): JudgingOptions {
  const { samplingSteps, guidance, samples } = { ...generationRecipeFor(model, run.data), ...defined(run) };
  const decode = autoencoder?.decode;
  return {
    samplingSteps: samplingSteps!,
    guidance: guidance!,
    samples: samples!,
    decode,
    limit: run.limit,
    seed: run.seed ?? 0,
  };
}

function defined(run: EvaluationRun): EvaluationRun {
  return Object.fromEntries(Object.entries(run).filter(([, value]) => value !== undefined)) as unknown as EvaluationRun;
}

/** All that a model is judged by; what must be opened for it is, until it is let go of. */
async function judge(
  judged: Judged,
  run: EvaluationRun,
  options: JudgingOptions,
): Promise<Disposable & { readonly metrics: (params: Params) => Promise<Tree<number>>; readonly measured: boolean }> {
  const name = featuresOf(run, judged);
  const features = name === undefined
    ? undefined
    : await openFeatures(name, judged.autoencoder?.image.size ?? judged.input.shape[1]);
  const meter = features && distanceMeter(judged, features, options);
  return {
    measured: meter !== undefined,
    metrics: async (params) => {
      const loss = await heldOutLoss(judged, params, run.limit);
      return meter === undefined ? loss : { ...loss, fid: await meter.distance(params) };
    },
    [Symbol.dispose]: () => features?.[Symbol.dispose](),
  };
}

/** Samples of every class, a row each, as `samples.png`. */
async function showSamples(judged: Judged, options: JudgingOptions, params: Params, folder: string): Promise<void> {
  const { layer, input, labelled } = judged;
  const classes = Math.min(input.classes, SHOWN_CLASSES);
  const labels = Int32Array.from(
    { length: classes * SHOWN },
    (_, i) => labelled ? Math.floor(i / SHOWN) : input.classes,
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

async function open(run: Run, reporter: Reporter): Promise<PreparedTask> {
  const data = await openImageData(run.data);
  const { model, layer: adapted } = await openGenerator(run, data.train.classes);
  const input = diffusionInput(model);
  const layer = asConditionalDiffusion(model, adapted);
  using stack = new DisposableStack();
  const autoencoder = await openAutoencoderOf(model, run.vae);
  if (autoencoder !== undefined) stack.use(autoencoder);
  const test = judged(model, layer, data.test, autoencoder);
  const options = judgingOptions(run, run.model, test);
  const judging = stack.use(await judge(test, run, options));
  const onSkip = (line: string) => reporter.line(`skipped: ${line}`);
  const source = run.adapter === NO_METHOD ? undefined : await cleanSource(data.train, input, autoencoder, {
    mirrored: run.augment !== false,
    cache: LATENTS,
    strict: run.strict,
    onSkip,
    onLine: reporter.line,
  });
  const opened = stack.move();
  const schedule = diffusionSchedule(linearBetas());
  const training: TrainingTask = {
    deciding: { metric: judging.measured ? "fid" : "loss", better: "lower" },
    evaluate: judging.metrics,
    async *batches(start) {
      const batches = cleanBatches(source!, input.shape, {
        ...run,
        start,
        epochs: Infinity,
        onSkip,
        onTotal: reporter.line,
      });
      for await (const { values, shape, labels, position, next } of batches) {
        const drawn = fold(key(run.seed), "diffusion", position.epoch, position.offset);
        const kept = dropLabels(labels, input.classes, DROPPED, drawn);
        const tensorsOf = noisedBatch(schedule, { values, shape, labels: kept }, drawn);
        const spans = partSpans(labels.length, partRows(run));
        yield {
          parts: spans.map((span) => ({ tensors: () => tensorsOf(span), counted: span[1] - span[0] })),
          next,
        };
      }
    },
  };
  return {
    model,
    layer: adapted,
    objective: generationObjective(asConditionalDiffusion(model, underRun(adapted, run))),
    examples: data.train.size,
    training,
    show: async (params, folder) => {
      try {
        await showSamples(test, options, params, folder);
      } catch (error) {
        reporter.line(`no pictures: ${(error as Error).message}`);
      }
    },
    close: async () => {
      opened.dispose();
      await source?.close();
    },
  };
}

async function evaluate(trained: TrainedModel, run: EvaluationRun): Promise<EvaluationReport> {
  const { model, layer, params } = trained;
  const { test } = await openImageData(run.data);
  using stack = new DisposableStack();
  const autoencoder = await openAutoencoderOf(model, run.vae);
  if (autoencoder !== undefined) stack.use(autoencoder);
  const subject = judged(model, asConditionalDiffusion(model, layer), test, autoencoder);
  const options = judgingOptions(run, model.name, subject);
  const judging = stack.use(await judge(subject, run, options));
  const metrics = await judging.metrics(params);
  const { samplingSteps, guidance, samples, seed } = options;
  const sampling = { samplingSteps, guidance, samples, seed, features: featuresOf(run, subject) };
  const notes = [
    ...subject.labelled
      ? []
      : [`judged without labels: ${subject.input.classes} classes, ${test.classes.length} in the data`],
    ...judging.measured
      ? []
      : ["no distance of samples: --features NAME|DIR names the model that tells pictures apart"],
  ];
  return { metrics, details: { ...metrics, sampling }, notes };
}

/** Paper, section 4.3. */
export const generation: TaskKind = {
  summary: "pictures of classes, by the Fréchet distance of samples",
  model: "dit-micro",
  data: "mnist",
  dataForms: imageDataForms,
  recipe: generationRecipeFor,
  open,
  evaluate,
  inWords: ({ fid, loss }) => `${fid === undefined ? "" : `FID ${fid.toFixed(2)}  `}loss ${loss.toFixed(4)}`,
};
