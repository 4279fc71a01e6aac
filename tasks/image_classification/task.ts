/**
 * Image classification as a task of the trainer.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import type { Layer } from "../../dsl/layer.ts";
import { type Model, openModel } from "../../models/mod.ts";
import type { ImageSplits } from "../data/dataset.ts";
import { type ImageSource, isLabelledImage, type LabelledImage, ownImages, readImage } from "../data/own.ts";
import { imageDataForms, imageFacts, openImageData } from "../data/open.ts";
import type { ClassificationMetrics } from "../metrics/classification.ts";
import { calibrationChart } from "../report/calibration.ts";
import { svgFile } from "../report/chart.ts";
import { methodOn, underRun } from "../trainer/method.ts";
import type {
  BatchSize,
  EvaluationReport,
  EvaluationRun,
  MethodSettings,
  Opened,
  PreparedTask,
  Run,
  TaskKind,
  TaskStep,
  TrainedModel,
} from "../trainer/task.ts";
import type { Reporter } from "../trainer/observe.ts";
import {
  classificationObjective,
  classificationTask,
  evaluateClassifier,
  type FeedSettings,
  scalarMetrics,
  squareImages,
} from "./classifier.ts";
import { classesOfPictures, type ClassProbability, predictClasses } from "./predict.ts";
import { recipeFor } from "./recipe.ts";
import { type ClassificationSettings, classificationSettings } from "./settings.ts";

/** A model with a method on it and a fresh head of the right size. */
export interface AdaptedModel {
  /** The model's description. */
  readonly model: Model;
  /** Its adapted layer, head trainable. */
  readonly layer: Layer;
}

/** The head is trained with every method. */
const HEAD: readonly string[] = ["head"];

/**
 * Opens a model for a set of classes and places a method on it. The head's weights are kept if it is for these classes.
 *
 * @param run Model and method
 * @param classes Names of the classes
 */
export async function openAdapted(
  run: Pick<Run, "model"> & MethodSettings,
  classes: readonly string[],
): Promise<AdaptedModel> {
  return adaptedTo(await openModel(run.model), run, classes);
}

function adaptedTo(published: Model, run: MethodSettings, classes: readonly string[]): AdaptedModel {
  const model = published.with({ labels: classes });
  return { model, layer: methodOn(model, run, HEAD) };
}

/** Tells of images that are left out. */
function saying({ line }: Reporter): Pick<FeedSettings, "onSkip" | "onTotal"> {
  return { onSkip: (text) => line(`skipped: ${text}`), onTotal: line };
}

function step(model: Model, layer: Layer, { batch }: BatchSize): TaskStep {
  const { channels, height, width } = model.image!;
  return {
    batch: {
      pixels: { shape: [batch, channels, height, width], dtype: "float32" },
      labels: { shape: [batch], dtype: "int32" },
    },
    objective: classificationObjective(layer),
  };
}

function open(
  run: Run<ClassificationSettings>,
  { model: published, data }: Opened<ImageSplits>,
  reporter: Reporter,
): PreparedTask {
  const { model, layer } = adaptedTo(published, run, data.train.classes);
  const image = squareImages(model);
  return {
    model,
    layer,
    objective: classificationObjective(underRun(layer, run)),
    examples: data.train.size,
    training: classificationTask(layer, image, data, { ...run, ...run.own, ...saying(reporter) }),
  };
}

/** Classes are compared by number, so there must be as many; that they go by other names may be right, and is said. */
function noteOnClasses({ name, labels = [] }: Model, data: string, classes: readonly string[]): readonly string[] {
  if (labels.length !== classes.length) {
    throw new OneloraError({
      attempted: `evaluating ${name} on ${data}`,
      found: `a model of ${labels.length} classes`,
      allowed: `one of the data's ${classes.length}: ${classes.slice(0, 20).join(", ")}`,
    });
  }
  const at = classes.findIndex((label, i) => label !== labels[i]);
  return at < 0 ? [] : [`classes compared by number; ${at} is "${labels[at]}" to the model, "${classes[at]}" here`];
}

async function evaluate(
  { model, layer, params }: TrainedModel,
  { test }: ImageSplits,
  run: EvaluationRun<ClassificationSettings>,
  reporter: Reporter,
): Promise<EvaluationReport> {
  const notes = noteOnClasses(model, run.data, test.classes);
  const details = await evaluateClassifier(layer, params, squareImages(model), test, run.limit, {
    ...run,
    ...saying(reporter),
  });
  return { metrics: scalarMetrics(details), details, notes };
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
  dataFacts: imageFacts,
  open: (run, opened, reporter) => Promise.resolve().then(() => open(run, opened, reporter)),
  evaluate,
  predict: async ({ model, layer, params }, image) =>
    await predictClasses(model, layer, params, await readImage(image)),
  pictures: classesOfPictures,
  chart: (name, details) => svgFile(calibrationChart([{ name, metrics: details as ClassificationMetrics }])),
  inWords: ({ accuracy, loss }) => `accuracy ${(accuracy * 100).toFixed(2)} %  loss ${loss.toFixed(4)}`,
};
