/**
 * A step as a program: what it is given and what it makes in one order, whichever engine runs or plans it.
 *
 * @module
 */
import type * as tf from "@tensorflow/tfjs-core";
import { mapTree, type Params, type Tree } from "../tree.ts";
import type { Moving } from "./moving.ts";
import type { Program, ValueType } from "./program.ts";
import type { PureStep } from "./step.ts";
import type { StepTypes } from "./step_plan.ts";
import { trace } from "./trace.ts";

/** A step that was traced. */
export interface TracedStep {
  /** Inputs: frozen weights, trained parameters, the optimiser's state, the batch. Results: what moves of them, metrics. */
  readonly program: Program;
  /** The names of its metrics. */
  readonly metrics: readonly string[];
  /** What it moves. */
  readonly moving: Moving;
}

/**
 * The types of tensors.
 *
 * @param params The tensors
 */
export const typesOf: (params: Params) => Tree<ValueType> = mapTree(({ shape, dtype }: tf.Tensor) => ({
  shape,
  dtype,
}));

/**
 * Traces a step.
 *
 * @param step The pure step
 * @param types Types of its state and a batch
 * @param target What it is traced for
 * @param besides More results, known once the step has returned (default: none)
 */
export function traceStep<Batch extends Params>(
  step: PureStep<Batch>,
  { frozen, trained, optimiser, batch }: StepTypes,
  target: Parameters<typeof trace>[2],
  besides: () => readonly tf.Tensor[] = () => [],
): TracedStep {
  const trees = [frozen, trained, optimiser, batch];
  let metrics: readonly string[] = [];
  const program = trace(
    (inputs) => {
      let next = 0;
      const [frozenNow, trainedNow, optimiserNow, given] = trees.map((tree) => mapTree(() => inputs[next++])(tree));
      const state = { frozen: frozenNow, trained: trainedNow, optimiser: optimiserNow };
      const [after, numbers] = step(state, given as Batch);
      metrics = Object.keys(numbers);
      return [
        ...Object.keys(trained).map((path) => after.trained[path]),
        ...Object.keys(optimiser).map((path) => after.optimiser[path]),
        ...Object.values(numbers),
        ...besides(),
      ];
    },
    trees.flatMap((tree) => Object.values(tree)),
    target,
  );
  const [first, count] = [Object.keys(frozen).length, Object.keys(trained).length + Object.keys(optimiser).length];
  const pairs = Array.from({ length: count }, (_, i) => [first + i, i] as const);
  return { program, metrics, moving: { pairs, gate: count + metrics.indexOf("loss") } };
}
