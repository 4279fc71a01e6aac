/**
 * Folding adapters into a model's own weights, and taking them out again.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { type AnyLayer, specs, walk } from "../dsl/layer.ts";
import { isLinear, type LinearLayer, merge, type Merged, plain, reformOf, unmerge } from "../dsl/linear.ts";
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

/** The change that a layer's adapters make, given the model's parameters. */
function reformAt(path: Path, layer: LinearLayer, params: Params): ReturnType<typeof reformOf> {
  return reformOf(layer.adapters, (name) => params[layer.params[name].shared ?? join(path, name)]);
}

/**
 * Folds every adapter of a model into weights and biases: afterwards the unadapted model computes the same.
 *
 * A layer without a bias gets one if its adapters add one.
 *
 * @param model The adapted model
 * @param params Its parameters
 */
export function mergeParams(model: AnyLayer, params: Params): MergedParams {
  const declared = specs(model);
  const { kept: base } = partition<tf.Tensor>((path) => declared[path]?.adapter === undefined)(params);
  const folded = new Map<Path, Merged>();
  for (const [path, layer] of adaptedLayers(model)) {
    folded.set(
      path,
      tf.tidy(() => {
        const bias = layer.shape.bias ? params[join(path, "bias")] as tf.Tensor1D : undefined;
        const { weight, bias: newBias, gain } = merge(
          reformAt(path, layer, params)(plain(params[join(path, "weight")] as tf.Tensor2D, bias)),
        );
        return { weight, ...(newBias && { bias: newBias }), ...(gain && { gain }) };
      }),
    );
  }
  const laid = (tensors: Iterable<readonly [Path, { weight: tf.Tensor; bias?: tf.Tensor }]>): Params => ({
    ...base,
    ...Object.fromEntries(
      [...tensors].flatMap(([path, { weight, bias }]) => [
        [join(path, "weight"), weight],
        ...(bias === undefined ? [] : [[join(path, "bias"), bias]]),
      ]),
    ),
  });
  return {
    params: laid(folded),
    unmerge: () =>
      laid(
        adaptedLayers(model).map(([path, layer]) => [
          path,
          tf.tidy(() => {
            const { weight, bias } = unmerge(folded.get(path)!, reformAt(path, layer, params), layer.shape.bias);
            return { weight, ...(bias && { bias }) };
          }),
        ]),
      ),
  };
}
