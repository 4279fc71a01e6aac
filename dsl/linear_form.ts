/**
 * What a linear layer computes, adapted or not, is one value, a {@linkcode LinearForm}:
 *
 *     y = gain * ((W + sum of ΔW) (inputScale * x)) + bias   (paper Eq. 1: y = (W0 + ΔW) x)
 *
 * made of the layer's own parameters and of what adapters change, a {@linkcode LinearChange}. Evaluation, merging and
 * unmerging are defined once, here, for every method and every combination, so that they cannot disagree.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { rowsOfStep } from "./compile/trace.ts";
import { OneloraError } from "./error.ts";
import {
  type BiasStep,
  type DroppedGain,
  type LinearBase,
  type LinearChange,
  type RowOperator,
  unchanged,
} from "./linear_change.ts";
import {
  cheaper,
  droppedProduct,
  type Evaluation,
  type LowRank,
  lowRankMatrix,
  lowRankProduct,
  scaledLowRankProduct,
} from "./ops/low_rank.ts";
import { dropOut } from "./ops/dropout.ts";

/** What a linear layer computes: y = gain * ((W + sum of lowRank + sum of operators) (inputScale * x)) + bias. */
export interface LinearForm {
  /** W0, [d, k]. */
  readonly weight: tf.Tensor2D;
  /** Whether W0 itself is trained. */
  readonly trainsWeight: boolean;
  /** Low-rank ΔW. */
  readonly lowRank: readonly LowRank[];
  /** Other ΔW. */
  readonly operators: readonly RowOperator[];
  /** [k]; ones if absent. */
  readonly inputScale?: tf.Tensor1D;
  /** [d]; ones if absent. */
  readonly gain?: tf.Tensor1D;
  /** What acts on numbers some of which are dropped out, before `gain`. */
  readonly dropped?: DroppedGain<tf.Tensor1D>;
  /** [d]; zeros if absent. */
  readonly bias?: tf.Tensor1D;
}

/** One step of a bias; what is not there is zero. */
function stepped(bias: tf.Tensor1D | undefined, step: BiasStep): tf.Tensor1D | undefined {
  if ("add" in step) return bias === undefined ? step.add : tf.add(bias, step.add);
  return bias === undefined ? undefined : tf.mul(bias, step.scale);
}

/**
 * A layer's form.
 *
 * @param base Its own parameters
 * @param change What adapters change (default nothing)
 */
export function formOf(base: LinearBase, change: LinearChange = unchanged): LinearForm {
  return {
    weight: base.weight,
    trainsWeight: base.trainsWeight ?? false,
    lowRank: change.lowRank,
    operators: change.operators,
    inputScale: change.inputScale,
    gain: change.gain?.(base),
    dropped: change.dropped && { ...change.dropped, gain: change.dropped.gain(base) },
    bias: change.bias.reduce(stepped, base.bias),
  };
}

/**
 * y = gain * ((W + ΔW) (inputScale * x)) + bias.
 *
 * @param form What to compute
 * @returns A function of x [..., k] giving [..., d]
 */
export function evaluate(form: LinearForm): (x: tf.Tensor) => tf.Tensor {
  return (x) => {
    const [outFeatures, inFeatures] = form.weight.shape;
    const rows = x.size / inFeatures;
    const flat = scaledColumns(tf.reshape(x, [rows, inFeatures]) as tf.Tensor2D, form.inputScale);
    const isDropping = form.dropped !== undefined || form.lowRank.some(({ dropout }) => dropout !== undefined);
    if (isDropping) return tf.reshape(affine(droppedOut(form, flat), form), [...x.shape.slice(0, -1), outFeatures]);
    const rank = form.lowRank.reduce((sum, { up }) => sum + up.shape[1]!, 0);
    const { gain, bias } = form;
    const evaluation = cheaper(rowsOfStep(rows), outFeatures, inFeatures, rank);
    const isFoldable = !form.trainsWeight && form.operators.length === 0 && evaluation === "merged";
    const y = gain !== undefined && isFoldable
      ? scaledLowRankProduct(flat, form.weight, form.lowRank, { gain, bias })
      : affine(unscaled(form, flat, evaluation), form);
    return tf.reshape(y, [...x.shape.slice(0, -1), outFeatures]);
  };
}

/** x diag(scale). */
function scaledColumns(x: tf.Tensor2D, scale: tf.Tensor1D | undefined): tf.Tensor2D {
  return scale === undefined ? x : tf.mul(x, scale);
}

/** gain * z + bias. */
function affine(z: tf.Tensor, { gain, bias }: LinearForm): tf.Tensor {
  const scaled = gain === undefined ? z : tf.mul(z, gain);
  return bias === undefined ? scaled : tf.add(scaled, bias);
}

/**
 * U x + sum of ΔW x~, where U is W with every ΔW of which nothing is dropped out; with a dropped gain g
 * U x + (g - 1) * U x~ + g * sum of ΔW x~.
 */
function droppedOut(form: LinearForm, x: tf.Tensor2D): tf.Tensor {
  const whole = { ...form, lowRank: form.lowRank.filter(({ dropout }) => dropout === undefined) };
  const rank = whole.lowRank.reduce((sum, { up }) => sum + up.shape[1]!, 0);
  const [outFeatures, inFeatures] = form.weight.shape;
  const product = (x: tf.Tensor2D) =>
    unscaled(whole, x, cheaper(rowsOfStep(x.shape[0]), outFeatures, inFeatures, rank));
  const updates = form.lowRank.flatMap((update) =>
    update.dropout === undefined ? [] : [droppedProduct(x, update, update.dropout)]
  );
  const { dropped } = form;
  if (dropped === undefined) return updates.reduce<tf.Tensor>((sum, each) => tf.add(sum, each), product(x));
  const { gain } = dropped;
  const left = product(dropOut(x, dropped.dropout) as tf.Tensor2D);
  return updates.reduce<tf.Tensor>(
    (sum, each) => tf.add(sum, tf.mul(each, gain)),
    tf.add(product(x), tf.mul(left, tf.sub(gain, 1))),
  );
}

/** (W + ΔW) x. */
function unscaled(form: LinearForm, x: tf.Tensor2D, evaluation: Evaluation): tf.Tensor {
  const product = form.trainsWeight
    ? form.lowRank.reduce(
      (sum, update) => tf.add(sum, tf.matMul(x, lowRankMatrix(update, x.shape[1]) as tf.Tensor2D, false, true)),
      tf.matMul(x, form.weight, false, true) as tf.Tensor,
    )
    : lowRankProduct(x, form.weight, form.lowRank, form.lowRank.length === 0 ? "factored" : evaluation);
  return form.operators.reduce((sum, { apply }) => tf.add(sum, apply(x)), product);
}

/** A plain linear layer that computes what an adapted one did, and what taking the adapters out again needs. */
export interface Merged {
  /** diag(gain) (W + ΔW) diag(inputScale), [d, k]. */
  readonly weight: tf.Tensor2D;
  /** [d] */
  readonly bias?: tf.Tensor1D;
  /** [d]; what the rows were scaled by. */
  readonly gain?: tf.Tensor1D;
}

/** W + sum of all ΔW. */
function updated(weight: tf.Tensor2D, change: Pick<LinearChange, "lowRank" | "operators">, sign: 1 | -1): tf.Tensor2D {
  const matrices = [
    ...change.lowRank.map((update) => lowRankMatrix(update, weight.shape[1])),
    ...change.operators.map(({ matrix }) => matrix()),
  ];
  return matrices.reduce<tf.Tensor2D>((sum, matrix) => sign === 1 ? tf.add(sum, matrix) : tf.sub(sum, matrix), weight);
}

/**
 * Folds everything into one weight and one bias.
 *
 * @param form What the layer computes
 */
export function merge(form: LinearForm): Merged {
  const weight = scaledColumns(updated(form.weight, form, 1), form.inputScale);
  return {
    weight: form.gain === undefined ? weight : tf.mul(weight, tf.expandDims(form.gain, 1)),
    bias: form.bias,
    gain: form.gain,
  };
}

/** A factor to divide by. */
function invertible(factor: tf.Tensor1D, what: string): tf.Tensor1D {
  if (tf.min(tf.abs(factor)).dataSync()[0] > 0) return factor;
  throw new OneloraError({
    attempted: "taking a merged adapter out again",
    found: `a factor of 0 for some ${what}: nothing of the weight is left there`,
    allowed: "factors other than 0; otherwise load the model again",
  });
}

/**
 * The inverse of {@linkcode merge}: W0 = diag(1 / gain) W diag(1 / inputScale) - ΔW, and the steps of the bias undone.
 *
 * @param merged What merge returned
 * @param change The change that was merged
 * @param hadBias Whether the layer had a bias before
 * @throws OneloraError if a gain or an input's factor is 0
 */
export function unmerge(merged: Merged, change: LinearChange, hadBias: boolean): LinearBase {
  const { gain } = merged;
  const rows = gain === undefined
    ? merged.weight
    : tf.div<tf.Tensor2D>(merged.weight, tf.expandDims(invertible(gain, "output"), 1));
  const columns = change.inputScale === undefined
    ? rows
    : tf.div<tf.Tensor2D>(rows, invertible(change.inputScale, "input"));
  const undone = (bias: tf.Tensor1D, step: BiasStep): tf.Tensor1D =>
    "add" in step ? tf.sub(bias, step.add) : tf.div(bias, invertible(step.scale, "output"));
  return {
    weight: updated(columns, change, -1),
    bias: hadBias && merged.bias !== undefined ? change.bias.reduceRight(undone, merged.bias) : undefined,
  };
}
