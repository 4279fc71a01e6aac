/**
 * Elementwise work on many small tensors as work on one vector: the same numbers from far fewer kernel calls (a vision
 * transformer under 1LoRA trains 72 vectors).
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { isRecordedWhole } from "../engine/kernels.ts";
import { OneloraError } from "../error.ts";
import type { Params, Path } from "../tree.ts";

/**
 * Tensors up to this many elements are joined; beyond it a copy costs more than a kernel call. A card copies a megabyte in the
 * time that it takes to start a kernel.
 */
const joinedSize = () => isRecordedWhole() ? 2 ** 18 : 2 ** 12;

/** Groups of paths to be worked on as one tensor: all small ones together, each large one alone. */
export function bundles(tree: Params, paths: readonly Path[] = Object.keys(tree)): Path[][] {
  const most = joinedSize();
  const small = paths.filter((path) => tree[path].size <= most);
  const large = paths.filter((path) => tree[path].size > most);
  return [...(small.length === 0 ? [] : [small]), ...large.map((path) => [path])];
}

/** The tensors of a bundle as one. */
export function joined(tree: Params, bundle: readonly Path[]): tf.Tensor {
  return bundle.length === 1 ? tree[bundle[0]] : tf.concat(bundle.map((path) => tf.reshape(tree[path], [-1])));
}

/** The inverse of {@linkcode joined}; `tree` gives the shapes. */
function parted(tensor: tf.Tensor, tree: Params, bundle: readonly Path[]): (readonly [Path, tf.Tensor])[] {
  if (bundle.length === 1) return [[bundle[0], tensor]];
  const parts = tf.split(tensor, bundle.map((path) => tree[path].size));
  return bundle.map((path, i) => [path, tf.reshape(parts[i], tree[path].shape)]);
}

/**
 * Applies an elementwise function of corresponding tensors of several trees.
 *
 * @param trees Trees with the same paths and shapes
 * @param f From one tensor of each tree, and one of their paths, to new tensors of the same shape
 * @param group Paths with different groups are never joined, so that `f` may depend on it
 * @returns A tree for each tensor that `f` returns
 */
export function elementwise(
  trees: readonly Params[],
  f: (tensors: readonly tf.Tensor[], group: boolean) => readonly tf.Tensor[],
  group: (path: Path, tensor: tf.Tensor) => boolean = () => true,
): Params[] {
  const [first] = trees;
  const paths = Object.keys(first);
  const made: Record<Path, tf.Tensor>[] = [];
  for (const value of [true, false]) {
    for (const bundle of bundles(first, paths.filter((path) => group(path, first[path]) === value))) {
      f(trees.map((tree) => joined(tree, bundle)), value).forEach((tensor, i) => {
        made[i] = { ...made[i], ...Object.fromEntries(parted(tensor, first, bundle)) };
      });
    }
  }
  return made;
}

/**
 * The part of a state that lives under a prefix, by the parameters' paths.
 *
 * @param state The whole state
 * @param prefix E.g. `m`
 * @param params Whose paths to look for
 * @throws OneloraError if one is missing: the state is of another optimiser or model
 */
export function under(state: Params, prefix: string, params: Params): Params {
  return Object.fromEntries(
    Object.keys(params).map((path) => {
      const tensor = state[`${prefix}.${path}`];
      if (tensor === undefined) {
        throw new OneloraError({
          attempted: "taking an optimiser step",
          found: `no "${prefix}.${path}" in the optimiser's state`,
          allowed: "a state of the same optimiser for the same parameters",
        });
      }
      return [path, tensor];
    }),
  );
}

/**
 * The inverse of {@linkcode under}.
 *
 * @param tree Tensors by the parameters' paths
 * @param prefix E.g. `m`
 */
export function prefixed(tree: Params, prefix: string): Params {
  return Object.fromEntries(Object.entries(tree).map(([path, tensor]) => [`${prefix}.${path}`, tensor]));
}

/**
 * Zeros in the shapes of the parameters, under a prefix.
 *
 * @param params The parameters
 * @param prefix E.g. `m`
 */
export function zerosUnder(params: Params, prefix: string): Params {
  return Object.fromEntries(
    // By a kernel, not from zeros in memory: a state that is only planned has none.
    Object.entries(params).map(([path, { shape }]) => [`${prefix}.${path}`, tf.fill(shape, 0)]),
  );
}
