/**
 * One training step of every method, each with a small model, inputs and numbers of its own: graphs and functions take longest
 * to build, whatever is in them.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { adapt } from "../../adapters/mod.ts";
import {
  apply,
  init,
  isTrainable,
  key,
  type Layer,
  layerNormLayer,
  linear,
  mapTree,
  type Params,
  partition,
  serial,
  sgd,
  type StepState,
} from "../../dsl/mod.ts";
import { type BatchTensors, trainStep } from "../../tasks/mod.ts";
import { methods } from "./adapter_methods.ts";

/** A step of SGD with momentum, whose metrics are the loss of each method, by its name; the tensors are the caller's. */
export function joinedStep(): {
  readonly step: ReturnType<typeof trainStep>;
  readonly state: StepState;
  readonly batch: BatchTensors;
} {
  const model: Layer = serial({ up: linear(24, 36), norm: layerNormLayer(36, 1e-5), down: linear(36, 12) });
  const names = Object.keys(methods);
  // Methods for layers of a published model's names are placed on all of these two.
  const layers = names.map((name) => adapt(name === "ia3" ? "ia3" : methods[name])(model));
  const parts = layers.map((layer, i) => {
    const params = mapTree((tensor: tf.Tensor, path) =>
      tf.add(tensor, tf.randomNormal(tensor.shape, 0, 0.1, "float32", path.length + i))
    )(init(layer, key(0)));
    return partition<tf.Tensor>(isTrainable(layer))(params);
  });
  const joined = (of: readonly Params[]): Params =>
    Object.fromEntries(
      of.flatMap((each, i) => Object.entries(each).map(([path, tensor]) => [`${names[i]}/${path}`, tensor])),
    );
  const [trained, frozen] = [joined(parts.map(({ kept }) => kept)), joined(parts.map(({ rest }) => rest))];
  const partOf = (all: Params, name: string): Params =>
    Object.fromEntries(
      Object.entries(all).filter(([path]) => path.startsWith(`${name}/`))
        .map(([path, tensor]) => [path.slice(name.length + 1), tensor]),
    );
  const optimiser = sgd({ momentum: 0.9 });
  const step = trainStep((all, batch) => {
    const losses = names.map((name, i) =>
      tf.mean(tf.squaredDifference(apply(layers[i], partOf(all, name))(batch[`${name}.x`]), batch[`${name}.y`]))
    );
    // A sum: the gradients of each are those that it has alone.
    return {
      loss: tf.addN(losses) as tf.Scalar,
      metrics: Object.fromEntries(names.map((name, i) => [name, losses[i] as tf.Scalar])),
    };
  }, optimiser);
  const batch: BatchTensors = {
    ...Object.fromEntries(names.flatMap((name, i) => [
      [`${name}.x`, tf.randomNormal([5, 24], 0, 1, "float32", 1 + 2 * i)],
      [`${name}.y`, tf.randomNormal([5, 12], 0, 1, "float32", 2 + 2 * i)],
    ])),
    rate: tf.scalar(0.01),
  };
  const state: StepState = { frozen, trained, optimiser: optimiser.init(trained) };
  return { step, state, batch };
}
