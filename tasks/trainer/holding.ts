/**
 * What a task keeps a model's frozen weights as.
 *
 * @module
 */
import type { Holding } from "../../models/checkpoint/forms.ts";
import type { TaskKind } from "./task.ts";

/**
 * Of what is asked for, what a task takes: bfloat16 all, fewer bits those of language models.
 *
 * @param kind The task
 * @param asked What is asked for
 */
export function holdingOf(
  { compact }: Pick<TaskKind, "compact">,
  { precision, quantise, reading }: Holding,
): Holding {
  return { precision, reading, ...compact === undefined ? {} : { quantise } };
}
