/**
 * Image generation as a task of the trainer.
 *
 * @module
 */
import { isSentToCard, type ValueType } from "../../dsl/compile/mod.ts";
import { OneloraError } from "../../dsl/error.ts";
import type { Layer } from "../../dsl/layer.ts";
import { firstBefore } from "../../dsl/ranks.ts";
import { Interruption } from "../../dsl/turn.ts";
import { asConditionalDiffusion, type Model } from "../../models/mod.ts";
import { matchClasses, sameClasses, someNames } from "../data/classes.ts";
import type { ImageDataset, ImageSplits } from "../data/dataset.ts";
import { imageDataForms, imageFacts, openImageData } from "../data/open.ts";
import type { Pixels } from "../data/png.ts";
import { isLabelledImage, type LabelledImage, ownImages } from "../data/own.ts";
import { heldBytes } from "../data/held.ts";
import { holdOutImages } from "../data/validation.ts";
import { methodOn, NO_METHOD, underRun } from "../trainer/method.ts";
import { staysOnDevice } from "../trainer/on_device.ts";
import type { Reporter } from "../trainer/observe.ts";
import type { EvaluationReport, Opened, PreparedTask, TaskKind, TaskStep } from "../trainer/task.ts";
import type { Run } from "../trainer/run_settings.ts";
import type { BatchSize, Needs } from "../trainer/needs.ts";
import type { TrainedModel } from "../trainer/prediction.ts";
import { forwardNeeds } from "../trainer/room.ts";
import type { TrainingTask } from "../trainer/training.ts";
import { type Autoencoder, autoencoderOf, openAutoencoder } from "./autoencoder.ts";
import { BATCH, HELD_OUT } from "./evaluate.ts";
import {
  featuresFor,
  featuresOf,
  type GenerationEvaluation,
  judge,
  judged,
  judgingOptions,
  showSamples,
} from "./judge.ts";
import { samplingGrid } from "./grid.ts";
import { samplingNeeds } from "./needs.ts";
import { diffusionInput, generationObjective } from "./objective.ts";
import { imageGrid } from "./pictures.ts";
import { distanceTitle, unfitGeneration } from "./fit.ts";
import { generationRecipeFor } from "./recipe.ts";
import { classNumber, sampleClasses } from "./sample.ts";
import type { DiffusionCoefficients } from "./schedule.ts";
import { type GenerationSettings, generationSettings } from "./settings.ts";
import { cleanSource } from "./source.ts";
import { generationBatches, heldPicture } from "./training.ts";

/** Where latents are kept. */
const LATENTS = "runs/latents";
/** A model whose classes are the data's, with a method on it; `none` leaves the model's own classes. */
function generatorFor(
  published: Model,
  run: Run<GenerationSettings>,
  classes: readonly string[],
): Pick<TrainedModel, "model" | "layer"> {
  const isKept = run.adapter === NO_METHOD || sameClasses(published.labels ?? [], classes) !== undefined;
  const model = isKept ? published : published.with({ labels: classes });
  return { model, layer: methodOn(model, run, model.joined) };
}

/** What is not kept of a model's classes, or how they are compared. */
function notesOnClasses(
  { labels: before = [], name, folder }: Model,
  now: Model,
  data: ImageDataset,
): readonly string[] {
  const { note } = matchClasses(now.labels ?? [], data.classes);
  const isKept = folder === undefined || `${now.labels}` === `${before}` ||
    before.every((each) => /^LABEL_\d+$/.test(each));
  return [
    ...isKept ? [] : [
      `the class table of ${name} (${someNames(before, 5)}) is not kept: the data has ${someNames(data.classes, 5)}`,
    ],
    ...note === undefined ? [] : [note],
  ];
}

/** Refuses data of several labels a picture: a diffusion model takes one. */
function checkLabels({ name, multiLabel }: ImageDataset): void {
  if (multiLabel !== true) return;
  const allowed = "one label a picture";
  throw new OneloraError({ attempted: `generating pictures like ${name}`, found: "several labels a picture", allowed });
}

async function openAutoencoderOf(model: Model, vae: string | undefined): Promise<Autoencoder | undefined> {
  const name = await autoencoderOf(model, vae);
  return name === undefined ? undefined : await openAutoencoder(name, model);
}

function step(model: Model, layer: Layer, { batch }: BatchSize): TaskStep {
  const latents: ValueType = { shape: [batch, ...diffusionInput(model).shape], dtype: "float32" };
  const each: ValueType = { shape: [batch, 1, 1, 1], dtype: "float32" };
  const whole: ValueType = { shape: [batch], dtype: "int32" };
  const coefficients: Readonly<Record<keyof DiffusionCoefficients, ValueType>> = {
    signal: each,
    spread: each,
    drift: each,
    smallest: each,
    largest: each,
    first: each,
  };
  return {
    batch: { clean: latents, noise: latents, timesteps: whole, labels: whole, ...coefficients },
    objective: generationObjective(asConditionalDiffusion(model, layer), model.process?.prediction),
  };
}

async function open(
  run: Run<GenerationSettings>,
  { model: published, data }: Opened<ImageSplits>,
  reporter: Reporter,
): Promise<PreparedTask> {
  checkLabels(data.train);
  const { model, layer: placed } = generatorFor(published, run, data.train.classes);
  for (const note of [...data.notes ?? [], ...notesOnClasses(published, model, data.train)]) {
    reporter.line(`note: ${note}`);
  }
  const input = diffusionInput(model);
  const layer = asConditionalDiffusion(model, placed);
  using stack = new DisposableStack();
  const autoencoder = await openAutoencoderOf(model, run.own.vae);
  if (autoencoder !== undefined) stack.use(autoencoder);
  const test = judged(model, layer, data.test, autoencoder);
  const { relabel } = judged(model, layer, data.train);
  const options = judgingOptions(run, run.model, test);
  const judging = stack.use(await judge(test, run, options));
  const onSkip = (line: string) => reporter.line(`skipped: ${line}`);
  const isMirrored = run.own.augment !== false;
  const examples = Math.min(run.limit ?? Infinity, data.train.size);
  const onDevice = staysOnDevice(
    run,
    autoencoder === undefined
      ? { examples, bytes: heldBytes(heldPicture(input), examples) }
      : "latents, which are drawn anew in every pass",
  );
  // Several processes find the latents that the first one has made.
  const source = run.adapter === NO_METHOD
    ? undefined
    : await firstBefore(() =>
      cleanSource(data.train, input, autoencoder, {
        mirrored: isMirrored && !onDevice,
        packed: onDevice || isSentToCard(),
        cache: LATENTS,
        strict: run.strict,
        onSkip,
        onLine: reporter.line,
      })
    );
  const opened = stack.move();
  const training: TrainingTask = {
    deciding: { metric: judging.measured ? "fid" : "loss", better: "lower" },
    evaluate: judging.metrics,
    batches: (start) => {
      const flip = isMirrored ? 0.5 : 0;
      const feed = { ...run, relabel, onDevice, flip, onSkip, onTotal: reporter.line, onLine: reporter.line };
      return generationBatches(source!, input, feed, start);
    },
  };
  return {
    model,
    layer: placed,
    objective: generationObjective(asConditionalDiffusion(model, underRun(placed, run)), input.process?.prediction),
    examples: data.train.size,
    held: data.held,
    evaluations: (evalBatch) => evaluationNeeds(model, data, { ...run, evalBatch }),
    training,
    show: options.samples === 0 ? undefined : async (params, folder) => {
      try {
        await showSamples(test, options, params, folder);
      } catch (error) {
        if (error instanceof Interruption) throw error;
        reporter.line(`no pictures: ${(error as Error).message}`);
      }
    },
    close: async () => {
      opened.dispose();
      await source?.close();
    },
  };
}

async function evaluate(
  { model, layer, params }: TrainedModel,
  { test, notes: leftOut = [] }: ImageSplits,
  run: GenerationEvaluation,
): Promise<EvaluationReport> {
  checkLabels(test);
  using stack = new DisposableStack();
  const autoencoder = await openAutoencoderOf(model, run.own.vae);
  if (autoencoder !== undefined) stack.use(autoencoder);
  const subject = judged(model, asConditionalDiffusion(model, layer), test, autoencoder);
  const options = judgingOptions(run, model.name, subject);
  const judging = stack.use(await judge(subject, run, options));
  const metrics = await judging.metrics(params);
  const { samplingSteps, guidance, samples, seed } = options;
  const sampling = { samplingSteps, guidance, samples, seed, features: featuresOf(run, subject) };
  const notes = [
    ...leftOut,
    ...notesOnClasses(model, model, test),
    ...subject.relabel !== undefined ? [] : [
      `judged without labels: ${subject.input.classes} classes, ${test.classes.length} in the data, not all by a name of its own`,
    ],
    ...judging.measured || options.samples === 0
      ? []
      : ["no distance of samples: `features` names the model that tells pictures apart"],
  ];
  return { metrics, details: { ...metrics, sampling }, notes };
}

/** What an evaluation takes: the loss of held-out images, and sampling. */
async function evaluationNeeds(model: Model, { test }: ImageSplits, run: GenerationEvaluation): Promise<Needs> {
  const { own: recipe } = generationRecipeFor(model.name, run.data);
  const { samples: count = recipe.samples, guidance = recipe.guidance, vae } = run.own;
  const { limit = Infinity, evalBatch = BATCH } = run;
  const images = Math.min(limit, test.size, evalBatch);
  const batch = Math.min(images, HELD_OUT, BATCH);
  const loss = forwardNeeds(generation as TaskKind, model, { batch, length: 0 });
  const features = (channels: number) => featuresFor(run, channels);
  const sizes = { count, guidance, vae, batchSize: run.evalBatch, features, images };
  return await samplingNeeds(model, sizes, loss);
}

/** Paper, section 4.3. */
export const generation: TaskKind<GenerationSettings, ImageSplits, LabelledImage, string | number, Pixels> = {
  name: "generation",
  summary: "pictures of classes, by the Fréchet distance of samples",
  model: "dit-micro",
  data: "mnist",
  dataForms: imageDataForms,
  settings: generationSettings,
  hub: { pipeline: "unconditional-image-generation", python: "diffusers.DiTTransformer2DModel" },
  baseline: { adapter: NO_METHOD, name: "unadapted" },
  unfit: unfitGeneration,
  metricTitle: distanceTitle,
  models: "a dit model",
  trains: ({ signature: { inputs } }) => `${inputs.map(({ name }) => name)}` === "latents,timesteps,labels",
  besides: ({ joined }) => joined,
  recipe: generationRecipeFor,
  step,
  sizeInWords: ({ batch }) => `batch ${batch}`,
  openData: (spec, { strict }) => openImageData(spec, { strict }),
  exampleForm: "{ image, label }",
  takes: isLabelledImage,
  ownData: ownImages,
  holdOut: holdOutImages,
  dataFacts: imageFacts,
  open,
  evaluationNeeds,
  evaluationRows: () => BATCH,
  evaluate,
  predict: async (trained, label, { own, seed = 0 }) => {
    const labels = Int32Array.of(classNumber(trained.model, label));
    const { values, shape } = await sampleClasses(trained, labels, seed, own);
    return imageGrid(values, shape, { padding: 0 });
  },
  making: samplingGrid,
  inWords: ({ fid, loss }) =>
    `${fid === undefined ? "" : `Fréchet distance ${fid.toFixed(2)}  `}loss ${loss.toFixed(4)}`,
};
