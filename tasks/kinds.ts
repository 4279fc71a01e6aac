/**
 * The paper's tasks by name.
 *
 * @module
 */
import { unknownName } from "../dsl/error.ts";
import { monocularDepth } from "./depth/task.ts";
import { generation } from "./generation/task.ts";
import { imageClassification } from "./image_classification/task.ts";
import { reasoning } from "./reasoning/task.ts";
import type { TaskKind } from "./trainer/task.ts";

/** The tasks. */
export const taskKinds: Readonly<Record<string, TaskKind>> = {
  "image-classification": imageClassification,
  "reasoning": reasoning,
  "depth": monocularDepth,
  "generation": generation,
};

/** Their names. */
export const taskNames: readonly string[] = Object.keys(taskKinds);

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
