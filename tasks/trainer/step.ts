/**
 * One training step as a pure function `(state, batch) -> [state, metrics]`.
 *
 * @module
 */
import type * as tf from "@tensorflow/tfjs-core";
import { type Objective, valueAndGradients } from "../../dsl/differentiate.ts";
import type { Optimiser } from "../../dsl/optimise/mod.ts";
import { combine, type Params } from "../../dsl/tree.ts";

/** Everything a step reads and writes. */
export interface TrainState {
  /** Parameters that stay as they are. */
  readonly frozen: Params;
  /** Parameters that training moves. */
  readonly trained: Params;
  /** The optimiser's state. */
  readonly optimiser: Params;
}

/**
 * The tensors of one batch: the task's inputs by name, `rate`, the learning rate of this step, and `momentum`, where the
 * schedule moves it too.
 */
export type BatchTensors = Params & { readonly rate: tf.Scalar; readonly momentum?: tf.Scalar };

/** Scalars a step reports: `loss` and the task's own. */
export type StepMetrics = Readonly<Record<string, tf.Scalar>>;

/** A pure training step. */
export type TrainStep = (state: TrainState, batch: BatchTensors) => readonly [TrainState, StepMetrics];

/**
 * Gradient of the objective, then the optimiser's update.
 *
 * @param objective The task's loss of all parameters and a batch
 * @param optimiser How gradients become new parameters
 */
export function trainStep(
  objective: (params: Params, batch: Params) => Objective,
  optimiser: Optimiser,
): TrainStep {
  return ({ frozen, trained, optimiser: state }, batch) => {
    const { loss, metrics, gradients } = valueAndGradients((moving) => objective(combine(moving, frozen), batch))(
      trained,
    );
    const next = optimiser.update(gradients, state, trained, batch.rate, batch.momentum);
    return [{ frozen, trained: next.params, optimiser: next.state }, { loss, ...metrics }];
  };
}

/**
 * Disposes every tensor of some trees.
 *
 * @param trees Trees of a state or a batch
 */
export function free(...trees: readonly Params[]): void {
  for (const tree of trees) for (const tensor of Object.values(tree)) tensor.dispose();
}
