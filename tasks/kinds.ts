/**
 * The tasks by name: the one place that knows them all.
 *
 * @module
 */
import { OneloraError, unknownName } from "../dsl/error.ts";
import type { StepPlan } from "../dsl/compile/mod.ts";
import type { Layer } from "../dsl/layer.ts";
import type { Model } from "../models/mod.ts";
import { monocularDepth } from "./depth/task.ts";
import { generation } from "./generation/task.ts";
import { imageClassification } from "./image_classification/task.ts";
import { reasoning } from "./reasoning/task.ts";
import { texts } from "./text/task.ts";
import { planTask, type TrainingPlanOptions } from "./trainer/plan.ts";
import type { BatchSize } from "./trainer/needs.ts";
import type { TaskKind, TaskStep } from "./trainer/task.ts";

/** The tasks, each with its types. */
export interface Tasks {
  /** Classes of images. */
  readonly "image-classification": typeof imageClassification;
  /** Worked answers to questions. */
  readonly reasoning: typeof reasoning;
  /** Depth of pictures. */
  readonly depth: typeof monocularDepth;
  /** Pictures of classes. */
  readonly generation: typeof generation;
  /** Chats and texts of one's own. */
  readonly text: typeof texts;
}

/** The name of a task. */
export type TaskName = keyof Tasks;

const tasks: Tasks = {
  "image-classification": imageClassification,
  reasoning,
  depth: monocularDepth,
  generation,
  text: texts,
};

/** The tasks by name; the first is the one that is meant where none is named. */
export const taskKinds: Readonly<Record<string, TaskKind>> = { ...tasks };

/** Their names. */
export const taskNames: readonly TaskName[] = Object.keys(tasks) as TaskName[];

/**
 * The task of that name.
 *
 * @param name One of {@linkcode taskNames}
 * @throws OneloraError for any other name
 */
export function taskKind(name: string): TaskKind {
  if (!Object.hasOwn(taskKinds, name)) throw unknownName("task", name, taskNames);
  return taskKinds[name];
}

/**
 * The task that trains a model, if there is one.
 *
 * @param model The model
 */
export function taskOf(model: Model): TaskKind | undefined {
  return Object.values(taskKinds).find((kind) => kind.trains(model));
}

/**
 * The task that trains a model.
 *
 * @param model The model
 * @param attempted What this is for
 * @throws OneloraError (exit code 2) for a model that no task trains
 */
export function requireTask(model: Model, attempted: string): TaskKind {
  const kind = taskOf(model);
  if (kind !== undefined) return kind;
  const allowed = Object.values(taskKinds).map(({ models }) => models).join(", ");
  throw new OneloraError({ attempted, found: `a ${model.family} model`, allowed }, { exitCode: 2 });
}

/**
 * The step that a model is trained by: cross entropy for classifiers of images, SILog for models of depth, the diffusion
 * loss for models of pictures, the response's cross entropy for language models.
 *
 * @param model The model
 * @param layer Its layer, adapted or not
 * @param size How much a step is given
 * @throws OneloraError (exit code 2) for a model that no task trains
 */
export function taskStep(model: Model, layer: Layer, size: BatchSize): TaskStep {
  return requireTask(model, `planning to train ${model.name}`).step(model, layer, size);
}

/**
 * Plans a training step of a model, by the task that trains it; no weights are allocated.
 *
 * @param model The model
 * @param layer Its layer with a method on it
 * @param options See {@linkcode TrainingPlanOptions}
 *
 * @example
 * ```ts
 * import { adapt } from "@onelora/onelora/adapters";
 * import { useBackend } from "@onelora/onelora/dsl";
 * import { openModel } from "@onelora/onelora/models";
 * import { planTraining } from "@onelora/onelora/tasks";
 * import { assertEquals } from "@std/assert";
 * await useBackend("cpu");
 * const model = await openModel("vit-base");
 * const { trained } = planTraining(model, adapt("1lora")(model.layer), { batch: 10, length: 0 });
 * assertEquals(trained, 82_944 * 4);
 * ```
 */
export function planTraining(model: Model, layer: Layer, options: TrainingPlanOptions): StepPlan {
  return planTask(requireTask(model, `planning to train ${model.name}`), model, layer, options);
}
