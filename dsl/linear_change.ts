/**
 * What adapters change in a linear layer, as data: an adapter is a pure function of the changes, a {@linkcode Reform}. It
 * never sees W, except that a gain may be computed of it, whose value merging keeps.
 *
 * In a training step numbers of x may be dropped out before a ΔW, see {@linkcode LowRank} and {@linkcode scaleRows}.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import type { Dropout } from "./ops/dropout.ts";
import type { LowRank } from "./ops/low_rank.ts";

/** ΔW that is not a product of thin matrices but has a cheap way to act on rows (MoRA). */
export interface RowOperator {
  /** ΔW x for every row: [n, k] -> [n, d]. */
  readonly apply: (x: tf.Tensor2D) => tf.Tensor2D;
  /** ΔW itself, [d, k]. */
  readonly matrix: () => tf.Tensor2D;
}

/** An unadapted layer's own parameters. */
export interface LinearBase {
  /** W0, [d, k]. */
  readonly weight: tf.Tensor2D;
  /** b0, [d]; zeros if absent. */
  readonly bias?: tf.Tensor1D;
  /** Whether W0 itself is trained (default false). */
  readonly trainsWeight?: boolean;
}

/** A gain that depends on W0 (DoRA's magnitudes over row norms): [d]. */
export type RowGain = (base: LinearBase) => tf.Tensor1D;

/** A gain of rows that acts on numbers some of which are dropped out. */
export interface DroppedGain<Gain> {
  /** The gain. */
  readonly gain: Gain;
  /** What is dropped out. */
  readonly dropout: Dropout;
}

/** A step in the making of a bias: a sum with, or a product by, a vector [d]. */
export type BiasStep = { readonly add: tf.Tensor1D } | { readonly scale: tf.Tensor1D };

/** What adapters change in a linear layer; W0 is not part of it. */
export interface LinearChange {
  /** Low-rank ΔW. */
  readonly lowRank: readonly LowRank[];
  /** Other ΔW. */
  readonly operators: readonly RowOperator[];
  /** [k]; ones if absent. */
  readonly inputScale?: tf.Tensor1D;
  /** [d]; ones if absent. */
  readonly gain?: RowGain;
  /** What acts on numbers some of which are dropped out, in a training step. */
  readonly dropped?: DroppedGain<RowGain>;
  /** What becomes of b0, in order. */
  readonly bias: readonly BiasStep[];
}

/** A layer without adapters: nothing is changed. */
export const unchanged: LinearChange = { lowRank: [], operators: [], bias: [] };

/** A pure addition to what adapters change. */
export type Reform = (change: LinearChange) => LinearChange;

/**
 * Adds ΔW = scale * up diag(mid) down.
 *
 * @param update The factors
 */
export function addLowRank(update: LowRank): Reform {
  return (change) => ({ ...change, lowRank: [...change.lowRank, update] });
}

/**
 * Adds a ΔW given by its action.
 *
 * @param operator The action and the matrix
 */
export function addOperator(operator: RowOperator): Reform {
  return (change) => ({ ...change, operators: [...change.operators, operator] });
}

/**
 * y -> y + beta.
 *
 * @param beta [d]
 */
export function addBias(beta: tf.Tensor1D): Reform {
  return (change) => ({ ...change, bias: [...change.bias, { add: beta }] });
}

/**
 * y -> gamma * y, bias included.
 *
 * @param gamma [d]
 */
export function scaleOutput(gamma: tf.Tensor1D): Reform {
  return (change) => scaleRows(gamma)({ ...change, bias: [...change.bias, { scale: gamma }] });
}

/**
 * W -> diag(gain) W, bias excluded. With dropout, of which x~ is what is left of x, W x + ΔW x~ becomes
 * W x + (gain - 1) * W x~ + gain * ΔW x~, as in PEFT's DoRA.
 *
 * @param gain [d], or a function of W0 that gives it
 * @param dropout What is dropped out of x before the gain, in a training step
 */
export function scaleRows(gain: tf.Tensor1D | RowGain, dropout?: Dropout): Reform {
  const own: RowGain = typeof gain === "function" ? gain : () => gain;
  if (dropout !== undefined) return (change) => ({ ...change, dropped: { gain: own, dropout } });
  return (change) => {
    const { gain: before } = change;
    return { ...change, gain: before === undefined ? own : (base) => tf.mul(before(base), own(base)) };
  };
}

/**
 * x -> scale * x: W -> W diag(scale), every ΔW included, wherever it is added.
 *
 * @param scale [k]
 */
export function scaleInput(scale: tf.Tensor1D): Reform {
  return (change) => ({
    ...change,
    inputScale: change.inputScale === undefined ? scale : tf.mul(change.inputScale, scale),
  });
}
