/**
 * Random numbers of a run's steps: each part of a step has words of its own, which follow from the run's seed, the step's place
 * in the data and the part's place in the step. So a run that goes on draws what it would have drawn, and several processes draw
 * what one draws that accumulates the same parts.
 *
 * @module
 */
import { drawing, drawWords } from "../../dsl/draw.ts";
import type { Objective } from "../../dsl/differentiate.ts";
import { drawsAnything, type Layer } from "../../dsl/layer.ts";
import { fold, key } from "../../dsl/random.ts";
import type { Params } from "../../dsl/tree.ts";
import type { Position } from "../data/stream.ts";
import type { TaskBatch } from "./parts.ts";
import type { PreparedTask } from "./task.ts";

/** The words' name among a batch's tensors. */
export const DRAWS = "draws";

/** Any function of parameters and a batch, given the words in the batch. */
function withWords<Result>(f: (params: Params, batch: Params) => Result): (params: Params, batch: Params) => Result {
  return (params, { [DRAWS]: words, ...batch }) => f(words === undefined ? params : drawing(params, words), batch);
}

/**
 * A loss whose layers draw by the words in a batch.
 *
 * @param objective The task's
 */
export function drawingObjective(
  objective: (params: Params, batch: Params) => Objective,
): (params: Params, batch: Params) => Objective {
  return withWords(objective);
}

async function* withDraws(
  batches: AsyncGenerator<TaskBatch, void, void>,
  start: Position,
  seed: number,
): AsyncGenerator<TaskBatch, void, void> {
  const draws = fold(key(seed), "draws");
  let at = start;
  for await (const { parts, next } of batches) {
    const { epoch, offset } = at;
    yield {
      parts: parts.map((given, part) => ({
        ...given,
        tensors: () => ({ ...given.tensors(), [DRAWS]: drawWords(fold(draws, epoch, offset, part)) }),
      })),
      next,
    };
    at = next;
  }
}

/**
 * A task whose steps draw random numbers, where its layer does; any other stays as it is. Evaluations draw none.
 *
 * @param prepared The task
 * @param layer Its adapted layer
 * @param seed The run's seed
 */
export function drawingTask(prepared: PreparedTask, layer: Layer, seed: number): PreparedTask {
  if (!drawsAnything(layer)) return prepared;
  const { objective, whole, training } = prepared;
  return {
    ...prepared,
    objective: drawingObjective(objective),
    whole: whole && { ...whole, measure: withWords(whole.measure) },
    training: { ...training, batches: (start) => withDraws(training.batches(start), start, seed) },
  };
}
