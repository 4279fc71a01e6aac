/**
 * The memory and the work of a training step, foretold from the types of its tensors alone: nothing is allocated.
 *
 * @module
 */
import type { Params, Tree } from "../tree.ts";
import { planRun } from "./plan_run.ts";
import type { ValueType } from "./program.ts";
import type { PureStep } from "./step.ts";
import type { PlanOptions, StepPlan, StepTypes } from "./step_plan.ts";
import { trace } from "./trace.ts";

export type * from "./step_plan.ts";

/**
 * Types of the tensors that a function makes of tensors of given types; nothing is computed.
 *
 * @param f Function of a tree of tensors
 * @param types Types of its tensors
 */
export function typesOf(f: (tree: Params) => Params, types: Tree<ValueType>): Tree<ValueType> {
  let names: readonly string[] = [];
  const program = trace((inputs) => {
    const result = f(Object.fromEntries(Object.keys(types).map((name, i) => [name, inputs[i]])));
    names = Object.keys(result);
    return Object.values(result);
  }, Object.values(types));
  return Object.fromEntries(names.map((name, i) => [name, program.types[program.outputs[i]]]));
}

/**
 * Foretells what a step will take. On tensorflow it is planned as the one graph that it is run as there, elsewhere as the
 * program that {@linkcode compile} replays, whose {@linkcode planMemory} this agrees with byte for byte.
 *
 * @param step The pure step
 * @param types Types of everything it reads
 * @param options See {@linkcode PlanOptions}
 *
 * @example
 * ```ts
 * import { planStep, useBackend } from "@onelora/onelora/dsl";
 * import { assertEquals } from "@std/assert";
 * import * as tf from "@tensorflow/tfjs-core";
 * await useBackend("cpu");
 * const large = { shape: [1e6, 1e6], dtype: "float32" } as const;
 * const plan = planStep(
 *   ({ frozen, trained, optimiser }, { x }) => [
 *     { frozen, trained: { b: tf.add(trained.b, tf.sum(tf.matMul(x, frozen.w))) }, optimiser },
 *     { loss: tf.scalar(0) },
 *   ],
 *   { frozen: { w: large }, trained: { b: { shape: [], dtype: "float32" } }, optimiser: {}, batch: { x: large } },
 * );
 * assertEquals([plan.weights.float32, plan.productFlops], [4e12, 2e18]);
 * ```
 */
export function planStep<Batch extends Params>(
  step: PureStep<Batch>,
  types: StepTypes,
  options: PlanOptions = {},
): StepPlan {
  return planRun(step, types, options).plan;
}
