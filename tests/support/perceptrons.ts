/** Steps of full training of small perceptrons. @module */
import * as tf from "@tensorflow/tfjs-core";
import { adamw, gelu, layerNorm, type Optimiser, type Params, type PureStep, type StepState } from "../../dsl/mod.ts";
import { valueAndGradients } from "../../dsl/differentiate.ts";

/** Sizes of what perceptrons are given, and of their weights. */
export const [ROWS, WIDTH, HIDDEN]: readonly [number, number, number] = [256, 128, 256];

/** Numbers like any others. */
export function wave(shape: number[], scale: number, phase: number): tf.Tensor {
  const size = shape.reduce((product, each) => product * each, 1);
  return tf.tensor(Float32Array.from({ length: size }, (_, i) => scale * Math.sin(i * 0.7 + phase)), shape);
}

/** Weights of perceptrons in a row, each after a norm. */
function weights(blocks: number): Params {
  return Object.fromEntries(
    Array.from({ length: blocks }, (_, i) =>
      [
        [`${i}.gain`, tf.ones([WIDTH])],
        [`${i}.up`, wave([HIDDEN, WIDTH], 0.1, i)],
        [`${i}.down`, wave([WIDTH, HIDDEN], 0.1, i + 9)],
      ] as const).flat(),
  );
}

/** One step of full training. */
export function stepOf(blocks: number, optimiser: Optimiser = adamw({ weightDecay: 0.1 })): PureStep<Params> {
  return ({ frozen, trained, optimiser: state }, { x, rate }) => {
    const { loss, gradients } = valueAndGradients((params) => {
      let at: tf.Tensor = x;
      for (let i = 0; i < blocks; i++) {
        const normed = layerNorm(at, { weight: params[`${i}.gain`] }, 1e-6);
        const inner = gelu(tf.matMul(normed, params[`${i}.up`], false, true));
        at = tf.add(at, tf.matMul(inner, params[`${i}.down`], false, true));
      }
      return { loss: tf.mean(tf.square(at)) as tf.Scalar };
    })(trained);
    const next = optimiser.update(gradients, state, trained, rate as tf.Scalar);
    return [{ frozen, trained: next.params, optimiser: next.state }, { loss }];
  };
}

/** Where it starts. */
export function stateOf(blocks: number, optimiser: Optimiser = adamw()): StepState {
  const trained = weights(blocks);
  return { frozen: {}, trained, optimiser: optimiser.init(trained) };
}
