/** A training step of each family's small models, with a state and a batch. @module */
import * as tf from "@tensorflow/tfjs-core";
import { adapt } from "../../adapters/mod.ts";
import { joinMethods } from "../../adapters/spec.ts";
import {
  adamw,
  fold,
  init,
  isTrainable,
  key,
  type Layer,
  mapTree,
  normal,
  type Params,
  partition,
  type ValueType,
} from "../../dsl/mod.ts";
import { fileOf } from "../../dsl/files/path.ts";
import { type Model, openModel } from "../../models/mod.ts";
import { labelNames } from "../../models/config.ts";
import {
  type BatchTensors,
  diffusionSchedule,
  linearBetas,
  type TaskStep,
  type TrainState,
  trainStep,
} from "../../tasks/mod.ts";
import { diffusionCoefficients } from "../../tasks/generation/schedule.ts";
import { taskStep } from "../../tasks/kinds.ts";

/** A step and what it reads; the tensors are the caller's. */
export interface MicroStep {
  /** The model. */
  readonly model: Model;
  /** Its layer with the method on it. */
  readonly layer: Layer;
  /** Loss of all parameters and a batch. */
  readonly objective: TaskStep["objective"];
  /** The step. */
  readonly step: ReturnType<typeof trainStep>;
  /** Where it starts. */
  readonly state: TrainState;
  /** What it is given. */
  readonly batch: BatchTensors;
}

/** Names of the micro models. */
export const microModels = ["vit-micro", "dpt-micro", "dit-micro", "llama-micro"] as const;

/** One model of each of their families, of as few blocks and as narrow as there are: what takes long to compile is shown on these. */
export const smallestModels = ["vit-rgb", "depth-metric", "dit-original", "llama-grouped"].map((name) =>
  fileOf(new URL(`../fixtures/${name}`, import.meta.url))
);

/** How much a step is given. */
export const microSize = { batch: 2, length: 12 };

function noise(name: string, shape: readonly number[], scale: number): tf.Tensor {
  const count = shape.reduce((size, length) => size * length, 1);
  return tf.tensor(normal(fold(key(7), name), count).map((z) => z * scale), [...shape]);
}

/** A tensor of a batch: labels and tokens are 1, 2, ..., everything else is noise around `centre`. */
function filled(name: string, { shape, dtype }: ValueType, centre: number): tf.Tensor {
  if (dtype === "int32") {
    const count = tf.util.sizeFromShape([...shape]);
    return tf.tensor(Int32Array.from({ length: count }, (_, i) => 1 + i % 8), [...shape]);
  }
  return tf.tidy(() => tf.add(noise(name, shape, 0.5), centre));
}

/**
 * A step of a method on a small model, all parameters moved off their first values: zeros would hide gradients.
 *
 * @param name Name of the model, or its folder
 * @param spec The method
 * @param change What else is done to the layer
 * @param size How much the step is given
 */
export async function microStep(
  name: string,
  spec: string,
  change: (layer: Layer) => Layer = (layer) => layer,
  size: typeof microSize = microSize,
): Promise<MicroStep> {
  const opened = await openModel(name);
  const model = opened.family === "vit" ? await openModel(name, { labels: labelNames(10) }) : opened;
  const always = [...model.joined, ...(model.family === "vit" ? ["head"] : [])];
  const layer = change(adapt(joinMethods(spec, always))(model.layer));
  const params: Params = tf.tidy(() =>
    mapTree((tensor: tf.Tensor, path) => tf.add(tensor, noise(path, tensor.shape, 0.05)))(init(layer, key(0)))
  );
  const { batch: types, objective } = taskStep(model, layer, size);
  const { kept: trained, rest: frozen } = partition<tf.Tensor>(isTrainable(layer))(params);
  const optimiser = adamw();
  const tensors = mapTree((type: ValueType, path) => filled(path, type, path === "depth" ? 4 : 0))(types);
  const coefficients = model.family === "dit"
    ? diffusionCoefficients(diffusionSchedule(linearBetas()), Int32Array.of(0, 400))
    : {};
  return {
    model,
    layer,
    objective,
    step: trainStep(objective, optimiser),
    state: { frozen, trained, optimiser: optimiser.init(trained) },
    batch: {
      ...tensors,
      ...coefficients,
      ...("weight" in types ? { weight: tf.scalar(1) } : {}),
      rate: tf.scalar(0.01),
    },
  };
}
