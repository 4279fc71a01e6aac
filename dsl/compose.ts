/**
 * Layers made of layers: one after the other, or added to what they are given.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import type { AnyLayer, Layer } from "./layer.ts";

/**
 * Parts applied one after the other: `x -> last(...(first(x)))`. Further inputs (a mask, a conditioning vector) go to
 * every part.
 *
 * @param parts Layers by name, in order
 */
export function serial(parts: Readonly<Record<string, AnyLayer>>): Layer<readonly [tf.Tensor, ...unknown[]]> {
  const names = Object.keys(parts);
  return {
    kind: "serial",
    params: {},
    parts,
    forward: (self, x, ...others) => names.reduce((value, name) => self.call(name, value, ...others), x),
  };
}

/**
 * `count` layers of one shape named 0, 1, ..., applied one after the other.
 *
 * @param count How many
 * @param layer The layer at an index
 */
export function stack(
  count: number,
  layer: (index: number) => AnyLayer,
): Layer<readonly [tf.Tensor, ...unknown[]]> {
  const layers = Array.from({ length: count }, (_, index) => [`${index}`, layer(index)]);
  return { ...serial(Object.fromEntries(layers)), kind: "stack" };
}

/**
 * `x -> last(...(first(x)))` like {@linkcode serial}, but of layers whose parts all live at one level: the published
 * names of a transformer block are siblings, whatever residual they belong to.
 *
 * @param layers Layers with distinct part and parameter names
 */
export function sequence<Rest extends readonly unknown[]>(
  ...layers: readonly Layer<readonly [tf.Tensor, ...Rest]>[]
): Layer<readonly [tf.Tensor, ...Rest]> {
  return {
    kind: "sequence",
    params: Object.assign({}, ...layers.map(({ params }) => params)),
    parts: Object.assign({}, ...layers.map(({ parts }) => parts)),
    forward: (self, x, ...rest) => layers.reduce((value, { forward }) => forward(self, value, ...rest), x),
  };
}

/**
 * `x -> x + inner(x)`; transparent to paths.
 *
 * @param inner The layer
 * @param part What of x the inner layer's result is added to (default all of it)
 */
export function residual<Rest extends readonly unknown[]>(
  inner: Layer<readonly [tf.Tensor, ...Rest]>,
  part: (x: tf.Tensor) => tf.Tensor = (x) => x,
): Layer<readonly [tf.Tensor, ...Rest]> {
  return { ...inner, forward: (self, x, ...rest) => tf.add(part(x), inner.forward(self, x, ...rest)) };
}
