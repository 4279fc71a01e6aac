/**
 * Questions about shapes.
 *
 * @module
 */

import type * as tf from "@tensorflow/tfjs-core";

/** Number of elements. */
export function size(shape: readonly number[]): number {
  return shape.reduce((product, length) => product * length, 1);
}

/** Whether these are float32 tensors with at least one element each. */
export function areFloats(...tensors: readonly tf.TensorInfo[]): boolean {
  return tensors.every(({ dtype, shape }) => dtype === "float32" && !shape.includes(0));
}

/** Whether a tensor has elements of four bytes, and at least one. */
export function isWords({ dtype, shape }: tf.TensorInfo): boolean {
  return (dtype === "float32" || dtype === "int32") && !shape.includes(0);
}

/** Whether two shapes are the same. */
export function areSame(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((length, i) => length === b[i]);
}

/** The shape as rows of its last axis. */
export function asRows(shape: readonly number[]): { readonly rows: number; readonly width: number } {
  const width = shape.length === 0 ? 1 : shape[shape.length - 1];
  return { rows: size(shape.slice(0, -1)), width };
}
