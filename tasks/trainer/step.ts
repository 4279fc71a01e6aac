/**
 * One training step as a pure function `(state, batch) -> [state, metrics]`.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { type Objective, valueAndGradients } from "../../dsl/differentiate.ts";
import type { Optimiser } from "../../dsl/optimise/mod.ts";
import { combine, type Params, type Tree } from "../../dsl/tree.ts";
import { isInShares, SHARES, type StepRun } from "./parts.ts";
import { engineInUse } from "../../dsl/engine/in_use.ts";
import { sumsInShares } from "../../dsl/compile/trace.ts";

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

/** Has sums over a batch's examples be made share by share, as the engine in use and a run's steps take them. */
function inSharesOf(run: StepRun | undefined): (batch: Params) => void {
  const { batchSize: usual, accumulate: parts = 1 } = run ?? { batchSize: 1, accumulate: Infinity };
  // Where examples are not the same in any batch, sums of them need not be.
  const shares = engineInUse().isBatchInvariant ? SHARES / parts : 0;
  return isInShares(parts) ? (batch) => markExamples(batch, { shares, usual }) : () => {};
}

/** Says which tensors hold a batch's examples: most have an entry for each. */
function markExamples(batch: Params, shares: { readonly shares: number; readonly usual: number }): void {
  const tensors = Object.values(batch).filter(({ rank }) => rank > 0);
  const counts = new Map<number, number>();
  for (const { shape: [length] } of tensors) counts.set(length, (counts.get(length) ?? 0) + 1);
  const [[examples] = [1]] = [...counts].toSorted(([, one], [, other]) => other - one);
  sumsInShares(tensors.filter(({ shape: [length] }) => length === examples), { examples, ...shares });
}

/**
 * Gradient of the objective, then the optimiser's update.
 *
 * @param objective The task's loss of all parameters and a batch
 * @param optimiser How gradients become new parameters
 * @param measure What is measured of a batch without a rate, which moves nothing
 * @param run The run whose steps it takes; without one, sums over a batch have any order
 */
export function trainStep(
  objective: (params: Params, batch: Params) => Objective,
  optimiser: Optimiser,
  measure: WholeStep["measure"] = () => ({}),
  run?: { readonly batchSize: number; readonly accumulate?: number },
): TrainStep {
  const inShares = inSharesOf(run);
  return ({ frozen, trained, optimiser: state }, batch) => {
    inShares(batch);
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
 * A step in two halves, between which gradients may be added to those of others: `gradient` computes a part's, `update` takes the
 * sum of all parts'.
 *
 * @internal
 */
export interface StepHalves {
  /**
   * Its state is frozen parameters and `gradient`, [all trained numbers], of the optimiser's; its batch the task's inputs, the trained
   * parameters under {@linkcode MOVING}, and what the part divides by, `counted`. A batch without that is only measured.
   */
  readonly gradient: TrainStep;
  /** Its state is the trained parameters and the optimiser's; its batch `sum`, the `weights` in it, `rate` and `momentum`. */
  readonly update: TrainStep;
}

/** Before the paths of trained parameters in the batch of a step's first half. */
export const MOVING = "moving/";

/**
 * A step in two halves; one after the other they do what {@linkcode trainStep} does.
 *
 * @param objective The task's loss of all parameters and a batch
 * @param optimiser How gradients become new parameters
 * @param measure What is measured of a batch that moves nothing
 * @param run The run whose steps it takes; without one, sums over a batch have any order
 */
export function stepHalves(
  objective: (params: Params, batch: Params) => Objective,
  optimiser: Optimiser,
  measure: WholeStep["measure"] = () => ({}),
  run?: StepRun,
): StepHalves {
  const inShares = inSharesOf(run);
  return {
    gradient: ({ frozen, trained: nothing, optimiser: state }, batch) => {
      const [trained, inputs]: [Record<string, tf.Tensor>, Record<string, tf.Tensor>] = [{}, {}];
      for (const [name, tensor] of Object.entries(batch as Params)) {
        if (name.startsWith(MOVING)) trained[name.slice(MOVING.length)] = tensor;
        else inputs[name] = tensor;
      }
      inShares(inputs);
      if (inputs.counted === undefined) {
        const numbers = measure(combine(trained, frozen), inputs);
        return [{ frozen, trained: nothing, optimiser: state }, { loss: tf.scalar(0), ...numbers }];
      }
      const found = valueAndGradients((moving) => objective(combine(moving, frozen), inputs))(trained);
      const flat = tf.concat(Object.keys(trained).map((path) => tf.reshape(found.gradients[path], [-1])));
      return [{ frozen, trained: nothing, optimiser: { gradient: flat } }, { loss: found.loss, ...found.metrics }];
    },
    update: ({ frozen, trained, optimiser: state }, batch) => {
      const { rate, momentum, sum, weights } = batch as Params & BatchTensors & { readonly rate: tf.Scalar };
      const paths = Object.keys(trained);
      const parts = tf.split(tf.div(sum, weights), paths.map((path) => trained[path].size));
      const gradients = Object.fromEntries(
        paths.map((path, i) => [path, tf.reshape(parts[i], trained[path].shape)]),
      );
      const next = optimiser.update(gradients, state, trained, rate, momentum, {
        weight: tf.onesLike(rate),
        last: tf.onesLike(rate),
      });
      return [{ frozen, trained: next.params, optimiser: next.state }, { loss: tf.zerosLike(rate) }];
    },
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
