/**
 * Sums and means along one axis. tfjs would take their gradients by as many ones as there are numbers; here they are spread by one
 * column of them.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { withGradient } from "./gradient.ts";

/** The same number for each place of an axis. */
function spread(dy: tf.Tensor, { shape }: tf.Tensor, axis: number): tf.Tensor {
  const ones = tf.ones([shape[axis], ...shape.slice(axis + 1).map(() => 1)]);
  return tf.mul(tf.expandDims(dy, axis), ones);
}

/**
 * The sum along an axis. The gradient is dy at each of its places.
 *
 * @param x [..., n, ...]
 * @param axis Where n is, counted from 0
 * @returns [..., ...]
 */
export function sumAlong(x: tf.Tensor, axis: number): tf.Tensor {
  return withGradient([x], () => tf.sum(x, axis), (dy) => [spread(dy, x, axis)]);
}

/**
 * The mean along an axis. The gradient is dy / n at each of its places.
 *
 * @param x [..., n, ...]
 * @param axis Where n is, counted from 0
 * @returns [..., ...]
 */
export function meanAlong(x: tf.Tensor, axis: number): tf.Tensor {
  return withGradient([x], () => tf.mean(x, axis), (dy) => [spread(tf.div(dy, x.shape[axis]), x, axis)]);
}
