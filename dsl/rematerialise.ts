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

/** Whether an input of a layer can have a gradient. */
function isDifferentiable(input: unknown): input is tf.Tensor {
  return input instanceof tf.Tensor && input.dtype === "float32";
}

/**
 * The layer with its inside recomputed in the backward pass. Adapters inside it are trained as before.
 *
 * @param inner A layer whose output is a tensor. Its inputs that are tensors of numbers get gradients; what it takes in
 * records (a mask, angles) gets none
 */
export function rematerialised<Inputs extends readonly unknown[]>(inner: Layer<Inputs>): Layer<Inputs> {
  return {
    ...inner,
    forward: (self: Self, ...inputs: Inputs) => {
      const trained = self.trained();
      const paths = Object.keys(trained);
      const at = (tensors: readonly tf.Tensor[]): Params =>
        Object.fromEntries(paths.map((path, i) => [path, tensors[i]]));
      const sources = inputs.filter(isDifferentiable);
      const all = [...sources, ...Object.values(trained)];
      /** The layer's output again, from what was saved. */
      const again = (saved: readonly tf.Tensor[]): tf.Tensor => {
        let next = 0;
        const same = inputs.map((input) => isDifferentiable(input) ? saved[next++] : input) as unknown as Inputs;
        return inner.forward(self.withParams(at(saved.slice(next))), ...same);
      };
      return withGradient(
        all,
        (save) => {
          save(...all);
          return inner.forward(self, ...inputs);
        },
        (dy, saved) => {
          const { grads } = nested(() => apart(() => tf.engine().gradients(() => again(saved), saved, dy, true)));
          const found: readonly (tf.Tensor | undefined)[] = grads;
          return saved.map(({ shape }, i) => found[i] ?? tf.fill(shape, 0));
        },
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
