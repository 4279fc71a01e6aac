/**
 * Image classification as a task of the trainer.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import type { Layer } from "../../dsl/layer.ts";
import { type Model, openModel } from "../../models/mod.ts";
import { matchClasses } from "../data/classes.ts";
import type { ImageSplits } from "../data/dataset.ts";
import { type ImageSource, isLabelledImage, type LabelledImage, ownImages, readImage } from "../data/own.ts";
import { heldBytes } from "../data/held.ts";
import { holdOutImages } from "../data/validation.ts";
import { imageDataForms, imageFacts, openImageData } from "../data/open.ts";
import type { ClassificationMetrics } from "../metrics/classification.ts";
import type { MultiLabelMetrics } from "../metrics/multi_label.ts";
import { calibrationChart } from "../report/calibration.ts";
import { svgFile } from "../report/chart.ts";
import { methodOn, NO_METHOD, underRun } from "../trainer/method.ts";
import { staysOnDevice } from "../trainer/on_device.ts";
import type { EvaluationReport, Opened, PreparedTask, TaskKind, TaskStep } from "../trainer/task.ts";
import type { EvaluationRun, MethodSettings, Run } from "../trainer/run_settings.ts";
import type { TrainedModel } from "../trainer/prediction.ts";
import type { BatchSize, Needs } from "../trainer/needs.ts";
import { forwardNeeds } from "../trainer/room.ts";
import type { Reporter } from "../trainer/observe.ts";
import { evaluateFitted, scalarMetrics } from "./evaluate.ts";
import { EVALUATION_BATCH, type FeedSettings, squareImages, transformOptions } from "./feed.ts";
import { fitForEvaluation, fitForTraining, type LabelFit, takesSeveral } from "./labels.ts";
import { showMistakes } from "./mistakes.ts";
import { classificationObjective } from "./objective.ts";
import { classesOfPictures, type ClassProbability, predictClasses } from "./predict.ts";
import { recipeFor } from "./recipe.ts";
import { type ClassificationSettings, classificationSettings } from "./settings.ts";
import { classWeightsOf } from "./weights.ts";
import { classificationTask, heldPictures } from "./training.ts";

/** A model with a method on it and a fresh head of the right size. */
export interface AdaptedModel {
  /** The model's description. */
  readonly model: Model;
  /** Its adapted layer, head trainable. */
  readonly layer: Layer;
}

/** Pictures that mistakes are looked for in where no number is given. */
const SAMPLES = 200;

/** The head is trained with every method. */
const HEAD: readonly string[] = ["head"];

/**
 * Opens a model for a set of classes and places a method on it. A head that is for these classes, by name, is kept, in its
 * own order of them.
 *
 * @param run Model and method
 * @param classes Names of the classes
 */
export async function openAdapted(
  run: Pick<Run, "model"> & MethodSettings,
  classes: readonly string[],
): Promise<AdaptedModel> {
  const { model } = fitForTraining(await openModel(run.model), { classes });
  return { model, layer: methodOn(model, run, HEAD) };
}

/** A model for a data set's classes, and how they go together; without a method it stays as it is, if it knows them. */
function fitted(
  published: Model,
  run: MethodSettings & Pick<Run, "data" | "scratch">,
  { train }: ImageSplits,
): { readonly model: Model; readonly fit: LabelFit; readonly notes: readonly string[] } {
  if (run.adapter !== NO_METHOD) return fitForTraining(published, train);
  if (!matchClasses(published.labels ?? [], train.classes).indices.includes(-1)) {
    const { notes, ...fit } = fitForEvaluation(published, run.data, train);
    return { model: published, fit, notes };
  }
  const anew = fitForTraining(published, train);
  return { ...anew, notes: [...anew.notes, `the head is new and is not trained: ${run.adapter} trains nothing`] };
}

/** Tells of images that are left out. */
function saying({ line }: Reporter): Pick<FeedSettings, "onSkip" | "onTotal" | "onLine"> {
  return { onSkip: (text) => line(`skipped: ${text}`), onTotal: line, onLine: line };
}

function step(model: Model, layer: Layer, { batch }: BatchSize): TaskStep {
  const { channels, height, width } = model.image!;
  const pixels = { shape: [batch, channels, height, width], dtype: "float32" } as const;
  const several = takesSeveral(model);
  return {
    batch: several
      ? { pixels, targets: { shape: [batch, model.labels!.length], dtype: "float32" } }
      : { pixels, labels: { shape: [batch], dtype: "int32" } },
    objective: classificationObjective(layer, several),
  };
}

async function open(
  run: Run<ClassificationSettings>,
  { model: published, data }: Opened<ImageSplits>,
  reporter: Reporter,
): Promise<PreparedTask> {
  const { model, fit, notes } = fitted(published, run, data);
  for (const note of [...data.notes ?? [], ...notes]) reporter.line(`note: ${note}`);
  const layer = methodOn(model, run, HEAD);
  const image = squareImages(model);
  const { classWeights: setting, samples = SAMPLES } = run.own;
  const weights = setting === undefined ? undefined : await classWeightsOf(setting, data.train, fit);
  const examples = Math.min(run.limit ?? Infinity, data.train.size);
  const onDevice = staysOnDevice(
    run,
    run.own.augment === false
      ? { examples, bytes: heldBytes(heldPictures(transformOptions(image)), examples) }
      : "pictures that are cropped and mirrored anew in every pass (`augment`)",
  );
  return {
    model,
    layer,
    objective: classificationObjective(underRun(layer, run), fit.several, weights),
    examples: data.train.size,
    held: data.held,
    evaluations: (evalBatch) => evaluationNeeds(model, data, { ...run, evalBatch }),
    training: classificationTask(
      layer,
      image,
      data,
      { ...run, ...run.own, ...saying(reporter), onDevice },
      fit,
      weights,
    ),
    show: samples === 0 || fit.several ? undefined : async (params, folder) => {
      const limit = Math.min(samples, run.limit ?? Infinity);
      await showMistakes(layer, params, image, data.test, { ...run, ...saying(reporter), fit, limit }, folder);
    },
  };
}

async function evaluate(
  { model, layer, params }: TrainedModel,
  { test, notes: leftOut = [] }: ImageSplits,
  run: EvaluationRun<ClassificationSettings>,
  reporter: Reporter,
): Promise<EvaluationReport> {
  const { notes, ...fit } = fitForEvaluation(model, run.data, test);
  const feed = { ...run, ...saying(reporter) };
  const details = await evaluateFitted(layer, params, squareImages(model), test, fit, run.limit, feed);
  return { metrics: scalarMetrics(details), details, notes: [...leftOut, ...notes] };
}

/** What an evaluation takes: a batch of pictures. */
function evaluationNeeds(
  model: Model,
  { test }: ImageSplits,
  { limit = Infinity, evalBatch = EVALUATION_BATCH }: Pick<EvaluationRun, "limit" | "evalBatch">,
): Promise<Needs> {
  const batch = Math.min(evalBatch, test.size, limit);
  return Promise.resolve(forwardNeeds(imageClassification as TaskKind, model, { batch, length: 0 }));
}

/** Paper, section 4.4. */
export const imageClassification: TaskKind<
  ClassificationSettings,
  ImageSplits,
  LabelledImage,
  ImageSource,
  readonly ClassProbability[]
> = {
  name: "image-classification",
  summary: "classes of images, by accuracy",
  model: "vit-micro",
  data: "mnist",
  dataForms: imageDataForms,
  settings: classificationSettings,
  // The comparison that shows what the adapter is for.
  hub: { pipeline: "image-classification", python: "transformers.AutoModelForImageClassification" },
  baseline: { adapter: "head", name: "head only" },
  models: "a classifier of images",
  trains: ({ image, labels, signature: { outputs } }) =>
    image !== undefined && labels !== undefined && `${outputs}` === "logits",
  besides: () => HEAD,
  recipe: recipeFor,
  step,
  sizeInWords: ({ batch }) => `batch ${batch}`,
  openData: openImageData,
  exampleForm: "{ image, label }",
  takes: isLabelledImage,
  ownData: ownImages,
  holdOut: holdOutImages,
  dataFacts: imageFacts,
  open,
  evaluationNeeds,
  evaluationRows: () => EVALUATION_BATCH,
  evaluate,
  predict: async ({ model, layer, params }, image) =>
    await predictClasses(model, layer, params, await readImage(image)),
  pictures: classesOfPictures,
  chart: (name, details) => {
    const metrics = details as ClassificationMetrics | MultiLabelMetrics;
    if ("reliability" in metrics) return svgFile(calibrationChart([{ name, metrics }]));
    throw new OneloraError({
      attempted: "drawing calibration",
      found: "pictures of several labels",
      allowed: "pictures of one label",
    });
  },
  inWords: ({ accuracy, map, f1Micro, loss }) => {
    const percent = (share: number) => `${(share * 100).toFixed(2)} %`;
    const first = map === undefined ? `accuracy ${percent(accuracy)}` : `mAP ${percent(map)}  F1 ${percent(f1Micro)}`;
    return `${first}  loss ${loss.toFixed(4)}`;
  },
};
