/**
 * Image classification as a task of the trainer.
 *
 * @module
 */
import { adapt } from "../../adapters/mod.ts";
import { OneloraError } from "../../dsl/error.ts";
import type { Layer } from "../../dsl/layer.ts";
import { type Model, openModel } from "../../models/mod.ts";
import { imageDataForms, openImageData } from "../data/open.ts";
import { NO_METHOD, underRun } from "../trainer/run.ts";
import type { EvaluationReport, EvaluationRun, PreparedTask, Run, TaskKind, TrainedModel } from "../trainer/task.ts";
import type { Reporter } from "../trainer/train.ts";
import {
  classificationObjective,
  classificationTask,
  evaluateClassifier,
  type FeedSettings,
  scalarMetrics,
  squareImages,
} from "./classifier.ts";
import { recipeFor } from "./recipe.ts";

/** A model with a method on it and a fresh head of the right size. */
export interface AdaptedModel {
  /** The model's description. */
  readonly model: Model;
  /** Its adapted layer, head trainable. */
  readonly layer: Layer;
}

/**
 * Opens a model for a set of classes and places a method on it. The head's weights are kept if it is for these classes.
 *
 * @param run Model and method
 * @param classes Names of the classes
 */
export async function openAdapted(
  run: Pick<Run, "model" | "adapter" | "rank" | "alpha" | "target">,
  classes: readonly string[],
): Promise<AdaptedModel> {
  const model = await openModel(run.model, { labels: classes });
  const { rank, alpha, target, adapter } = run;
  if (adapter === NO_METHOD) return { model, layer: model.layer };
  const named = adapter.split("+").includes("head") ? adapter : `${adapter}+head`;
  return { model, layer: adapt(named, { rank, alpha, target })(model.layer) };
}

/** Tells of images that are left out. */
function saying({ line }: Reporter): Pick<FeedSettings, "onSkip" | "onTotal"> {
  return { onSkip: (text) => line(`skipped: ${text}`), onTotal: line };
}

async function open(run: Run, reporter: Reporter): Promise<PreparedTask> {
  const data = await openImageData(run.data);
  const { model, layer } = await openAdapted(run, data.train.classes);
  const image = squareImages(model);
  return {
    model,
    layer,
    objective: classificationObjective(underRun(layer, run)),
    examples: data.train.size,
    training: classificationTask(layer, image, data, {
      ...run,
      ...saying(reporter),
    }),
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
  run: EvaluationRun,
  reporter: Reporter,
): Promise<EvaluationReport> {
  const { test } = await openImageData(run.data);
  const notes = noteOnClasses(model, run.data, test.classes);
  const details = await evaluateClassifier(layer, params, squareImages(model), test, run.limit, {
    ...run,
    ...saying(reporter),
  });
  return { metrics: scalarMetrics(details), details, notes };
}

/** Paper, section 4.4. */
export const imageClassification: TaskKind = {
  summary: "classes of images, by accuracy",
  model: "vit-micro",
  data: "mnist",
  dataForms: imageDataForms,
  recipe: recipeFor,
  open,
  evaluate,
  inWords: ({ accuracy, loss }) => `accuracy ${(accuracy * 100).toFixed(2)} %  loss ${loss.toFixed(4)}`,
};
