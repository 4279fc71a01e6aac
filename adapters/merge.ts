/**
 * Folding adapters into a model's own weights, and taking them out again.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { type AnyLayer, specs, walk } from "../dsl/layer.ts";
import { deltaOf, isUpdated } from "./weight_update.ts";
import { changeOf, isLinear, type LinearLayer } from "../dsl/linear.ts";
import { formOf, merge, type Merged, unmerge } from "../dsl/linear_form.ts";
import type { LinearChange } from "../dsl/linear_change.ts";
import { readable } from "../dsl/hold.ts";
import { join, type Params, partition, type Path } from "../dsl/tree.ts";

/** A model's parameters with its adapters folded in. */
export interface MergedParams {
  /** The base model's parameters: tensors of adapted layers are new, all others are the given ones. */
  readonly params: Params;
  /** The base model's parameters with the adapters taken out again (to rounding). */
  readonly unmerge: () => Params;
}

/** The adapted linear layers of a model. */
function adaptedLayers(model: AnyLayer): readonly (readonly [Path, LinearLayer])[] {
  return [...walk(model)].flatMap(([path, layer]) =>
    isLinear(layer) && layer.adapters.length > 0 ? [[path, layer] as const] : []
  );
}

/** A layer's parameters by name, as numbers: its own, and those that it shares. To be called within `tf.tidy`. */
function paramsAt(path: Path, layer: AnyLayer, params: Params): (name: string) => tf.Tensor {
  return (name) => readable(params[layer.params[name].shared ?? join(path, name)]);
}

/** The change that a layer's adapters make, given the model's parameters. */
function changeAt(path: Path, layer: LinearLayer, params: Params): LinearChange {
  return changeOf(layer.adapters, paramsAt(path, layer, params));
}

function foldLinear(path: Path, layer: LinearLayer, params: Params): Merged {
  return tf.tidy(() => {
    const param = paramsAt(path, layer, params);
    const bias = layer.shape.bias ? param("bias") as tf.Tensor1D : undefined;
    const [own, read] = [params[layer.params.weight.shared ?? join(path, "weight")] as tf.Tensor2D, param("weight")];
    const base = { weight: read as tf.Tensor2D, bias };
    const { weight, bias: newBias, gain } = merge(formOf(base, changeAt(path, layer, params)));
    return { weight: weight === read ? own : weight, ...(newBias && { bias: newBias }), ...(gain && { gain }) };
  });
}

/** Weights of embeddings and convolutions with their updates added, or taken away again. */
function foldUpdates(model: AnyLayer, params: Params, sign: 1 | -1, from: Params): Params {
  return Object.fromEntries(
    [...walk(model)].flatMap(([path, layer]) => {
      if (!isUpdated(layer)) return [];
      const delta = () => tf.mul(deltaOf(layer.update, paramsAt(path, layer, params)), sign);
      return [[join(path, "weight"), tf.tidy(() => tf.add(readable(from[join(path, "weight")]), delta()))]];
    }),
  );
}

/**
 * What layers that share a weight keep of it where only one of them was changed: a head whose table has an adapter keeps
 * the table as it was.
 */
function keptApart(model: AnyLayer, params: Params, changed: ReadonlySet<Path>): Params {
  return Object.fromEntries(
    [...walk(model)].flatMap(([path, layer]) =>
      Object.entries(layer.params).flatMap(([name, { shared, adapter }]) =>
        adapter === undefined && shared !== undefined && changed.has(shared) && !changed.has(join(path, name))
          ? [[join(path, name), params[shared]]]
          : []
      )
    ),
  );
}

/**
 * Folds every adapter of a model into weights and biases: afterwards the unadapted model computes the same.
 *
 * A layer without a bias gets one if its adapters add one, and layers that shared a weight get one each (a head that was the
 * table) if adapters changed it for one of them.
 *
 * @param model The adapted model
 * @param params Its parameters
 * @param onMerged Called with each linear layer's weight that takes the place of another, when it is merged, and its path; what
 *   it returns is taken
 *
 * @example
 * ```ts
 * import { adapt, mergeParams } from "@onelora/onelora/adapters";
 * import { apply, init, key, linear, serial, useBackend } from "@onelora/onelora/dsl";
 * import { assertEquals } from "@std/assert";
 * import * as tf from "@tensorflow/tfjs-core";
 *
 * await useBackend("cpu");
 * const base = serial({ up: linear(2, 2) });
 * const model = adapt("1lora")(base);
 * const params = { ...init(model, key(0)), "up.1lora.b": tf.tensor1d([1, 2]) };
 * const merged = mergeParams(model, params).params;
 * const x = tf.tensor2d([[0.5, 0.25]]);
 * const [adapted, folded] = [apply(model, params)(x), apply(base, merged)(x)];
 * assertEquals(tf.max(tf.abs(tf.sub(adapted, folded))).arraySync() as number < 1e-6, true);
 * ```
 */
export function mergeParams(
  model: AnyLayer,
  params: Params,
  onMerged: (path: Path, weight: tf.Tensor2D) => tf.Tensor2D = (_, weight) => weight,
): MergedParams {
  const declared = specs(model);
  const { kept: base } = partition<tf.Tensor>((path) => declared[path]?.adapter === undefined)(params);
  const folded = new Map(
    adaptedLayers(model).map(([path, layer]) => {
      const merged = foldLinear(path, layer, params);
      const weight = join(path, "weight");
      // Biases alone leave the weight as it is.
      const isNew = merged.weight !== params[layer.params.weight.shared ?? weight];
      return [path, isNew ? { ...merged, weight: onMerged(weight, merged.weight) } : merged];
    }),
  );
  const updated = foldUpdates(model, params, 1, params);
  const laid = (
    tensors: Iterable<readonly [Path, { weight: tf.Tensor; bias?: tf.Tensor }]>,
    others: Params,
  ): Params => ({
    ...base,
    ...others,
    ...Object.fromEntries(
      [...tensors].flatMap(([path, { weight, bias }]) => [
        [join(path, "weight"), weight],
        ...(bias === undefined ? [] : [[join(path, "bias"), bias]]),
      ]),
    ),
  });
  const changed = new Set([...[...folded.keys()].map((path) => join(path, "weight")), ...Object.keys(updated)]);
  return {
    params: laid(folded, { ...updated, ...keptApart(model, params, changed) }),
    unmerge: () =>
      laid(
        adaptedLayers(model).map(([path, layer]) => [
          path,
          tf.tidy(() => {
            const { weight, bias } = unmerge(folded.get(path)!, changeAt(path, layer, params), layer.shape.bias);
            return { weight, ...(bias && { bias }) };
          }),
        ]),
        foldUpdates(model, params, -1, updated),
      ),
  };
}
