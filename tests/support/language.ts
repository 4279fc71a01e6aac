/** Losses of texts with padding. @module */
import * as tf from "@tensorflow/tfjs-core";
import { crossEntropy } from "../../dsl/mod.ts";

/** Mean cross-entropy of every token that has a real one before it, [B, N, V] and [B, N] twice -> []. */
export function languageLoss(logits: tf.Tensor, ids: tf.Tensor, mask: tf.Tensor): tf.Scalar {
  const [batch, length, vocabulary] = logits.shape;
  const next = (tensor: tf.Tensor) => tf.slice(tensor, [0, 1], [batch, length - 1]);
  const previous = tf.slice(mask, [0, 0], [batch, length - 1]);
  const counts = tf.mul(next(mask), previous);
  const labels = tf.sub(tf.mul(next(ids), counts), tf.mul(tf.sub(1, counts), 100));
  const scores = tf.slice(logits, [0, 0, 0], [batch, length - 1, vocabulary]);
  return crossEntropy(scores, tf.cast(labels, "int32"), { ignoreIndex: -100 }) as tf.Scalar;
}

/** [B, N, D] with zeros where the mask [B, N] has them. */
export function whereReal(tensor: tf.Tensor, mask: tf.Tensor): tf.Tensor {
  return tf.mul(tensor, tf.expandDims(mask, -1));
}
