/**
 * Losses: one number for a batch.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { ownKernel } from "../engine/kernels.ts";
import { OneloraError } from "../error.ts";
import { withGradient } from "./gradient.ts";

/** Settings of {@linkcode crossEntropy}. */
export interface CrossEntropyOptions {
  /** Rows with this label do not count (PyTorch's is -100); without it every row counts. */
  readonly ignoreIndex?: number;
  /** ε: the target is 1 - ε at the label plus ε/C everywhere (default 0). */
  readonly labelSmoothing?: number;
  /**
   * What the sum over rows is divided by, instead of how many count, or of the sum of their weights, [].
   *
   * @internal
   */
  readonly total?: tf.Tensor;
  /** Weight of each class, [C]: the mean over rows becomes sum(w_label loss) / sum(w_label). Not with `labelSmoothing`. */
  readonly classWeights?: readonly number[];
}

/**
 * Mean over the counted rows of -sum_c target_c log softmax(logits)_c. If no row counts the loss is 0.
 *
 * Keeps the probabilities P; the gradient is (P - target) / (counted rows).
 *
 * @param logits [..., C]
 * @param labels int32, [...]
 * @param options See {@linkcode CrossEntropyOptions}
 *
 * @example
 * ```ts
 * import { crossEntropy, useBackend } from "@onelora/onelora/dsl";
 * import { assertAlmostEquals } from "@std/assert";
 * import * as tf from "@tensorflow/tfjs-core";
 * await useBackend("cpu");
 * const loss = crossEntropy(tf.zeros([2, 10]), tf.tensor1d([3, 7], "int32"));
 * assertAlmostEquals(loss.dataSync()[0], Math.log(10), 1e-6);
 * ```
 */
export function crossEntropy(logits: tf.Tensor, labels: tf.Tensor, options: CrossEntropyOptions = {}): tf.Tensor {
  const { ignoreIndex, labelSmoothing = 0, classWeights, total: all } = options;
  if (classWeights !== undefined && labelSmoothing > 0) {
    throw new OneloraError({
      attempted: "computing cross-entropy",
      found: "class weights and smoothed labels",
      allowed: "one of them",
    });
  }
  const classes = logits.shape[logits.rank - 1];
  const rows = labels.size;
  const offsets = Int32Array.from({ length: rows }, (_, row) => row * classes);
  return withGradient([logits], (save) => {
    const flat = tf.reshape(labels, [rows]);
    const counted = ignoreIndex === undefined ? undefined : tf.notEqual(flat, tf.scalar(ignoreIndex, "int32"));
    // An ignored label may lie outside the table: look at class 0 instead, its weight is 0.
    const looked = counted === undefined ? flat : tf.mul(flat, tf.cast(counted, "int32"));
    const own = classWeights === undefined ? undefined : tf.gather(tf.tensor1d([...classWeights]), looked);
    const ones = counted === undefined ? undefined : tf.cast(counted, "float32");
    const weights = own === undefined
      ? ones === undefined ? evenWeights(rows, all) : meanWeights(ones, all)
      : shares(ones === undefined ? own : tf.mul(own, ones), all);
    const at = tf.add(tf.tensor1d(offsets, "int32"), looked);

    const flatLogits = tf.reshape(logits, [rows, classes]);
    const parts = labelSmoothing === 0 && logits.size > 0
      ? ownKernel("SoftmaxParts", { logits: flatLogits })
      : undefined;
    if (parts !== undefined) {
      const [probabilities, top, total] = parts;
      save(probabilities, at, weights);
      const target = tf.sub(tf.gather(tf.reshape(logits, [rows * classes]), at), tf.reshape(top, [rows]));
      return tf.sum(tf.mul(weights, tf.sub(tf.log(tf.reshape(total, [rows])), target)));
    }
    const shifted = tf.sub(flatLogits, tf.max(flatLogits, 1, true));
    const picked = tf.gather(tf.reshape(shifted, [rows * classes]), at);
    const target = labelSmoothing === 0
      ? picked
      : tf.add(tf.mul(picked, 1 - labelSmoothing), tf.mul(tf.mean(shifted, 1), labelSmoothing));
    const exponentials = tf.exp(shifted);
    const total = tf.sum(exponentials, 1, true);
    save(tf.div(exponentials, total), at, weights);
    return tf.sum(tf.mul(weights, tf.sub(tf.log(tf.reshape(total, [rows])), target)));
  }, (dy, [probabilities, at, weights]) => {
    const scaled = tf.mul(weights, dy);
    const [shared, own] = [labelSmoothing / classes, 1 - labelSmoothing];
    const found = logits.size > 0
      ? ownKernel("CrossEntropyGrad", { p: probabilities, scaled }, { shared, own }, { at })
      : undefined;
    if (found !== undefined) return [tf.reshape(found[0], logits.shape)];
    const spread = labelSmoothing === 0 ? probabilities : tf.sub(probabilities, shared);
    const expected = tf.scatterND(tf.reshape(at, [rows, 1]), tf.mul(scaled, own), [rows * classes]);
    const gradient = tf.sub(tf.mul(spread, tf.reshape(scaled, [rows, 1])), tf.reshape(expected, [rows, classes]));
    return [tf.reshape(gradient, logits.shape)];
  });
}

/** Weights as shares of their sum, which is 0 only where all are. */
function shares(weights: tf.Tensor, total: tf.Tensor = tf.sum(weights)): tf.Tensor {
  return tf.divNoNan(weights, total);
}

/** 1 / (number of rows) for each. */
function evenWeights(rows: number, total: tf.Tensor | undefined): tf.Tensor {
  return total === undefined ? tf.fill([rows], 1 / rows) : tf.div(tf.ones([rows]), total);
}

/** 1 / (number counted) where counted, else 0. */
function meanWeights(counted: tf.Tensor, total: tf.Tensor = tf.maximum(tf.sum(counted), 1)): tf.Tensor {
  return tf.div(counted, total);
}

/**
 * Binary cross-entropy of logits x and targets t: mean(max(x, 0) - x t + ln(1 + e^-|x|)), every entry a question of its own.
 * The targets get no gradient; that of x is (sigmoid(x) - t) / entries. With weights w of the targets' share, as PyTorch's
 * `pos_weight`: mean((1 - t) x + (1 + (w - 1) t) (max(-x, 0) + ln(1 + e^-|x|))).
 *
 * @param logits Any shape
 * @param targets The same shape, 0 to 1
 * @param positiveWeights w by the last axis (default 1)
 * @param total What the sum over rows of their means is divided by (default: how many rows there are), []
 *
 * @example
 * ```ts
 * import { binaryCrossEntropy, useBackend } from "@onelora/onelora/dsl";
 * import { assertAlmostEquals } from "@std/assert";
 * import * as tf from "@tensorflow/tfjs-core";
 * await useBackend("cpu");
 * const loss = binaryCrossEntropy(tf.zeros([2, 3]), tf.ones([2, 3]));
 * assertAlmostEquals(loss.dataSync()[0], Math.log(2), 1e-6);
 * ```
 */
export function binaryCrossEntropy(
  logits: tf.Tensor,
  targets: tf.Tensor,
  positiveWeights?: readonly number[],
  total?: tf.Tensor,
): tf.Tensor {
  if (positiveWeights !== undefined) return weighedBinaryCrossEntropy(logits, targets, positiveWeights, total);
  return withGradient([logits], (save) => {
    save(tf.sub(tf.sigmoid(logits), targets));
    const rest = tf.log(tf.add(tf.exp(tf.neg(tf.abs(logits))), 1));
    return overRows(tf.add(tf.sub(tf.relu(logits), tf.mul(logits, targets)), rest), total);
  }, (dy, [difference]) => [tf.mul(difference, tf.div(dy, entriesOf(logits, total)))]);
}

/** The mean over all entries, or the sum over rows, means each, by a total of rows. */
function overRows(losses: tf.Tensor, total: tf.Tensor | undefined): tf.Tensor {
  // Divided first: so parts add up to the whole, to the last bit.
  return tf.sum(tf.div(losses, entriesOf(losses, total)));
}

/** Entries that losses are divided by. */
function entriesOf({ size, shape }: tf.Tensor, total: tf.Tensor | undefined): tf.Tensor | number {
  return total === undefined ? size : tf.mul(total, size / shape[0]);
}

/** {@linkcode binaryCrossEntropy} with weights; d/dx = ((1 + (w - 1) t) sigmoid(x) - w t) / entries. */
function weighedBinaryCrossEntropy(
  logits: tf.Tensor,
  targets: tf.Tensor,
  weights: readonly number[],
  total: tf.Tensor | undefined,
): tf.Tensor {
  return withGradient([logits], (save) => {
    const positive = tf.tensor1d([...weights]);
    const factor = tf.add(tf.mul(targets, tf.sub(positive, 1)), 1);
    save(tf.sub(tf.mul(factor, tf.sigmoid(logits)), tf.mul(targets, positive)));
    const rest = tf.add(tf.relu(tf.neg(logits)), tf.log(tf.add(tf.exp(tf.neg(tf.abs(logits))), 1)));
    return overRows(tf.add(tf.mul(tf.sub(1, targets), logits), tf.mul(factor, rest)), total);
  }, (dy, [difference]) => [tf.mul(difference, tf.div(dy, entriesOf(logits, total)))]);
}

/**
 * Mean squared error: mean((prediction - target)²). The target gets no gradient.
 *
 * @param prediction Any shape
 * @param target The same shape
 */
export function mse(prediction: tf.Tensor, target: tf.Tensor): tf.Tensor {
  return withGradient([prediction], (save) => {
    const difference = tf.sub(prediction, target);
    save(difference);
    return tf.mean(tf.square(difference));
  }, (dy, [difference]) => [tf.mul(difference, tf.mul(dy, 2 / prediction.size))]);
}
