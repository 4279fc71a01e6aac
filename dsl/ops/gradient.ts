/**
 * Operations with written gradients: the forward pass says what to keep, the backward pass gets only that.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { apart } from "../compile/trace.ts";

/**
 * An operation with its gradient: `y = forward(save)`, `[dx1, dx2, ...] = backward(dy, saved)`.
 *
 * Temporaries of either pass are freed at once; only what was saved lives until the backward pass.
 *
 * @param inputs The tensors that get gradients, in order
 * @param forward Computes y and passes what the gradient needs to `save`, once
 * @param backward The gradients of the inputs, in their order and shapes
 */
export function withGradient(
  inputs: readonly tf.Tensor[],
  forward: (save: (...tensors: tf.Tensor[]) => void) => tf.Tensor,
  backward: (dy: tf.Tensor, saved: tf.Tensor[]) => tf.Tensor[],
): tf.Tensor {
  const operation = tf.customGrad((...args: unknown[]) => {
    const save = args[args.length - 1] as tf.GradSaveFunc;
    return {
      value: forward((...tensors) => save(tensors)),
      // What the backward pass computes again must stay so: merged with the forward pass's, it would be kept until then.
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => apart(() => tf.tidy(() => backward(dy, saved))),
    };
  });
  return operation(...inputs);
}
