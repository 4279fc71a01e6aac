/**
 * Initialisers as data. A random one draws from the key of the parameter's path, so a parameter's initial value depends
 * on the seed and its own name only, not on what else the model holds.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { fold, type Key, normal, uniform } from "./random.ts";
import { type Path, sizeOf } from "./tree.ts";

/** How a parameter gets its first value. */
export type Initialiser =
  /** Every element is `value`. */
  | { readonly kind: "constant"; readonly value: number }
  /** N(0, std^2). */
  | { readonly kind: "normal"; readonly std: number }
  /** U(-limit, limit). */
  | { readonly kind: "uniform"; readonly limit: number }
  /** Computed from other parameters of the same layer, e.g. DoRA's magnitudes from the weight's row norms. */
  | {
    readonly kind: "derived";
    readonly from: readonly string[];
    readonly derive: (...sources: tf.Tensor[]) => tf.Tensor;
  };

/** All zeros. */
export const zeros: Initialiser = { kind: "constant", value: 0 };

/** All ones. */
export const ones: Initialiser = { kind: "constant", value: 1 };

/**
 * Every element is `value`.
 *
 * @param value The element
 */
export function constant(value: number): Initialiser {
  return { kind: "constant", value };
}

/**
 * N(0, std^2).
 *
 * @param std Standard deviation
 */
export function gaussian(std: number): Initialiser {
  return { kind: "normal", std };
}

/**
 * U(-limit, limit).
 *
 * @param limit Half the width
 */
export function between(limit: number): Initialiser {
  return { kind: "uniform", limit };
}

/**
 * Computed from other parameters of the same layer.
 *
 * @param from Names of the parameters it needs
 * @param derive Their function
 */
export function derived(
  from: readonly string[],
  derive: (...sources: tf.Tensor[]) => tf.Tensor,
): Initialiser {
  return { kind: "derived", from, derive };
}

/**
 * The initial tensor of one parameter.
 *
 * @param initialiser How; not a derived one
 * @param shape Shape
 * @param key The run's key; the parameter's own is `fold(key, path)`
 * @param path The parameter's path
 */
export function draw(
  initialiser: Exclude<Initialiser, { kind: "derived" }>,
  shape: readonly number[],
  key: Key,
  path: Path,
): tf.Tensor {
  const dimensions = [...shape];
  switch (initialiser.kind) {
    case "constant":
      return tf.fill(dimensions, initialiser.value);
    case "normal":
      return tf.tensor(normal(fold(key, path), sizeOf(shape)).map((z) => z * initialiser.std), dimensions);
    case "uniform":
      return tf.tensor(
        uniform(fold(key, path), sizeOf(shape)).map((u) => (2 * u - 1) * initialiser.limit),
        dimensions,
      );
  }
}
