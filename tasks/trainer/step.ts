/**
 * One training step as a pure function `(state, batch) -> [state, metrics]`.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { type Objective, valueAndGradients } from "../../dsl/differentiate.ts";
import type { Optimiser } from "../../dsl/optimise/mod.ts";
import { combine, type Params, type Tree } from "../../dsl/tree.ts";

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
 * The tensors of one batch: the task's inputs by name, `rate`, the learning rate of this step, `momentum`, where the
 * schedule moves it too, and where steps are computed in parts, `partWeight` and `lastPart` (see `GradientPart`). A batch
 * without a rate is only measured.
 */
export type BatchTensors = Params & {
  readonly rate?: tf.Scalar;
  readonly momentum?: tf.Scalar;
  readonly partWeight?: tf.Scalar;
  readonly lastPart?: tf.Scalar;
};

/** What a loss that is no mean over examples needs to know of a whole step before its parts are differentiated. */
export interface WholeStep {
  /** Scalars of a part. */
  readonly measure: (params: Params, batch: Params) => StepMetrics;
  /** From those of every part, scalars that each part's batch is given besides its own tensors. */
  readonly join: (parts: readonly Tree<number>[]) => Tree<number>;
}

/** Scalars a step reports: `loss` and the task's own. */
export type StepMetrics = Readonly<Record<string, tf.Scalar>>;

/** A pure training step. */
export type TrainStep = (state: TrainState, batch: BatchTensors) => readonly [TrainState, StepMetrics];

/**
 * Gradient of the objective, then the optimiser's update.
 *
 * @param objective The task's loss of all parameters and a batch
 * @param optimiser How gradients become new parameters
 * @param measure What is measured of a batch without a rate, which moves nothing
 */
export function trainStep(
  objective: (params: Params, batch: Params) => Objective,
  optimiser: Optimiser,
  measure: WholeStep["measure"] = () => ({}),
): TrainStep {
  return ({ frozen, trained, optimiser: state }, batch) => {
    const { rate, momentum, partWeight: weight, lastPart: last } = batch;
    if (rate === undefined) {
      const numbers = measure(combine(trained, frozen), batch);
      return [{ frozen, trained, optimiser: state }, { loss: tf.scalar(0), ...numbers }];
    }
    const { loss, metrics, gradients } = valueAndGradients((moving) => objective(combine(moving, frozen), batch))(
      trained,
    );
    const part = weight && last && { weight, last };
    const next = optimiser.update(gradients, state, trained, rate, momentum, part);
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
