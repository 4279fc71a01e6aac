/**
 * What an adapter consists of that was made of others: LoRA's factors as its tensors, and its settings.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import type { Matrix } from "ml-matrix";
import { collectingGarbage } from "../../dsl/garbage.ts";
import { type AnyLayer, walk } from "../../dsl/layer.ts";
import { isLinear } from "../../dsl/linear.ts";
import { mapTree, type Params, type Path } from "../../dsl/tree.ts";
import type { AdapterSpec } from "../exchange/config.ts";
import { methodsOfWhole } from "../exchange/format.ts";
import { targetOf } from "../exchange/modules.ts";
import { loraMethod } from "../lora.ts";
import { adapt, joinMethods } from "../spec.ts";
import { type Factors, padded } from "./factors.ts";

/** An adapter that was made of others: what `saveAdapter` takes of it. */
export interface CombinedAdapter {
  /** Its methods. */
  readonly spec: AdapterSpec;
  /** The adapted model. */
  readonly layer: AnyLayer;
  /** Its tensors by path, all of them new, to be disposed by the caller. */
  readonly params: Params;
}

/**
 * Linear layers in the order of the model.
 *
 * @param model The model
 * @param paths Which of them
 */
export function linearPaths(model: AnyLayer, paths: ReadonlySet<Path>): readonly Path[] {
  return [...walk(model)].flatMap(([path, layer]) => isLinear(layer) && paths.has(path) ? [path] : []);
}

/**
 * A specification with the layers that were trained whole.
 *
 * @param model The model before it is adapted
 * @param adapter The method
 * @param spec Its settings
 * @param whole What was trained whole
 */
export function completed(
  model: AnyLayer,
  adapter: string,
  spec: Omit<AdapterSpec, "adapter">,
  whole: Params,
): AdapterSpec {
  const owners = new Set(
    [...walk(model)].filter(([path, { params }]) =>
      Object.entries(params).some(([name, { shared }]) => (shared ?? (path === "" ? name : `${path}.${name}`)) in whole)
    ).map(([path]) => path),
  );
  const { methods: names, others } = methodsOfWhole(model, owners);
  return { ...spec, adapter: joinMethods(adapter, names), ...others.length > 0 && { whole: others } };
}

/** Factors by layer as an adapter's tensors; those of one layer at a time are there. */
function tensorsOf(factors: ReadonlyMap<Path, () => Factors>, rank: number, name: string): Params {
  const givesWay = collectingGarbage();
  const tensor = (matrix: Matrix) => {
    const values = Float32Array.from(matrix.to1DArray());
    // Doubles, as factors, as a list of them, and what they were made of.
    givesWay(32 * values.length);
    return tf.tensor2d(values, [matrix.rows, matrix.columns]);
  };
  return Object.fromEntries(
    [...factors].flatMap(([path, made]) => {
      const { up, down } = padded(made(), rank);
      return [[`${path}.${name}.A`, tensor(down)], [`${path}.${name}.B`, tensor(up)]];
    }),
  );
}

/** Copies of tensors. */
export const copied: (tensors: Params) => Params = mapTree((tensor: tf.Tensor) => tensor.clone());

/** Factors as LoRA of a rank, s = 1. */
export function asLora(
  model: AnyLayer,
  factors: ReadonlyMap<Path, () => Factors>,
  rank: number,
  whole: Params,
): CombinedAdapter {
  const target = targetOf(model, linearPaths(model, new Set(factors.keys())));
  const spec = completed(model, loraMethod.name, { rank, alpha: rank, target }, whole);
  return {
    spec,
    layer: adapt(spec.adapter, spec)(model),
    params: { ...copied(whole), ...tensorsOf(factors, rank, loraMethod.name) },
  };
}
