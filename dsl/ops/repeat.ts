/**
 * What every example of a batch gets alike.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { withGradient } from "./gradient.ts";

/**
 * A tensor once for each example. The gradient is the sum over the examples.
 *
 * @param x [1, ...]
 * @param examples How many, B
 * @returns [B, ...]
 */
export function forEach(x: tf.Tensor, examples: number): tf.Tensor {
  return withGradient(
    [x],
    () => tf.broadcastTo(x, [examples, ...x.shape.slice(1)]),
    (dy) => [tf.sum(dy, 0, true)],
  );
}
