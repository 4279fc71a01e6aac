/**
 * Rematerialisation (gradient checkpointing): a layer keeps its inputs only and computes everything inside it again when
 * its gradient is needed. Memory falls from all activations to one block's; time rises by one forward pass.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { apart } from "./compile/trace.ts";
import { type AnyLayer, type Layer, type Self, transform } from "./layer.ts";
import { withGradient } from "./ops/gradient.ts";
import type { Params } from "./tree.ts";

/** Runs a gradient inside another one's backward pass; tfjs has one tape at a time, so the outer one is put aside. */
function nested<Result>(gradient: () => Result): Result {
  const { state } = tf.engine();
  const outer = state.activeTape;
  try {
    return gradient();
  } finally {
    state.activeTape = outer;
  }
}

/**
 * The layer with its inside recomputed in the backward pass. Adapters inside it are trained as before.
 *
 * @param inner A layer whose first input and output are tensors; further inputs get no gradient
 */
export function rematerialised<Rest extends readonly unknown[]>(
  inner: Layer<readonly [tf.Tensor, ...Rest]>,
): Layer<readonly [tf.Tensor, ...Rest]> {
  return {
    ...inner,
    forward: (self: Self, x: tf.Tensor, ...rest: Rest) => {
      const trained = self.trained();
      const paths = Object.keys(trained);
      const at = (tensors: readonly tf.Tensor[]): Params =>
        Object.fromEntries(paths.map((path, i) => [path, tensors[i]]));
      return withGradient(
        [x, ...Object.values(trained)],
        (save) => {
          save(x, ...Object.values(trained));
          return inner.forward(self, x, ...rest);
        },
        (dy, saved) =>
          nested(() =>
            apart(() =>
              tf.grads((again: tf.Tensor, ...moving: tf.Tensor[]) =>
                inner.forward(self.withParams(at(moving)), again, ...rest)
              )(
                saved,
                dy,
              )
            )
          ),
      );
    },
  };
}

/**
 * Rematerialises every block of a model: the layers of each {@linkcode stack}.
 *
 * @param model The model
 */
export function rematerialiseBlocks<Model extends AnyLayer>(model: Model): Model {
  return transform((layer) =>
    layer.kind === "stack"
      ? {
        ...layer,
        parts: Object.fromEntries(
          Object.entries(layer.parts).map(([name, block]) => [name, rematerialised(block as Layer) as AnyLayer]),
        ),
      }
      : layer
  )(model);
}
