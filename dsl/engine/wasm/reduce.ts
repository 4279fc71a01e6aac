/**
 * Sums, means, maxima and softmax.
 *
 * @module
 */

import * as tf from "@tensorflow/tfjs-core";
import type { Kernel, Kernels } from "./kernel.ts";
import { areFloats, asRows } from "./shape.ts";

/** Lengths of axes that are reduced or kept together, in order, axes of length 1 left out. */
function groups(shape: readonly number[], axes: readonly number[]): { reduced: boolean; length: number }[] {
  const found: { reduced: boolean; length: number }[] = [];
  shape.forEach((length, axis) => {
    if (length === 1) return;
    const reduced = axes.includes(axis);
    const last = found[found.length - 1];
    if (last?.reduced === reduced) last.length *= length;
    else found.push({ reduced, length });
  });
  return found;
}

/** x as [before, reduced, after], if one run of axes is reduced. */
function split(shape: readonly number[], axes: readonly number[]): readonly [number, number, number] | undefined {
  const found = groups(shape, axes);
  const at = found.findIndex(({ reduced }) => reduced);
  if (at === -1 || found.filter(({ reduced }) => reduced).length > 1) return undefined;
  return [found[at - 1]?.length ?? 1, found[at].length, found[at + 1]?.length ?? 1];
}

/** The shape without the reduced axes, or with 1 in their places. */
function remaining(shape: readonly number[], axes: readonly number[], keepDims: boolean): number[] {
  return keepDims
    ? shape.map((length, axis) => axes.includes(axis) ? 1 : length)
    : shape.filter((_, axis) => !axes.includes(axis));
}

/** Attributes of tfjs's reductions. */
interface Attributes {
  readonly axis: number | number[];
  readonly reductionIndices: number | number[];
  readonly keepDims: boolean;
}

/** Sum over the axes, divided by their size for a mean. */
function sum(mean: boolean): Kernel {
  return (heap, { inputs: { x }, attrs }) => {
    const { axis, keepDims } = attrs as unknown as Attributes;
    const axes = tf.util.parseAxisParam(axis, x.shape);
    const parts = areFloats(x) ? split(x.shape, axes) : undefined;
    if (parts === undefined) return undefined;
    const [before, length, after] = parts;
    const out = heap.output(remaining(x.shape, axes, keepDims));
    const [from, to, divisor] = [heap.address(x), heap.address(out), mean ? length : 1];
    if (after === 1) heap.functions.sumRows(from, to, before, length, divisor);
    else heap.functions.sumColumns(from, to, before, length, after, divisor, after);
    return out;
  };
}

/** Kernels of tf.sum, tf.mean, tf.max and tf.softmax. */
export const reductionKernels: Kernels = {
  Sum: sum(false),
  Mean: sum(true),
  Max: (heap, { inputs: { x }, attrs }) => {
    const { reductionIndices, keepDims } = attrs as unknown as Attributes;
    const axes = tf.util.parseAxisParam(reductionIndices, x.shape);
    const parts = areFloats(x) ? split(x.shape, axes) : undefined;
    if (parts === undefined || parts[2] !== 1) return undefined;
    const out = heap.output(remaining(x.shape, axes, keepDims));
    heap.functions.maxRows(heap.address(x), heap.address(out), parts[0], parts[1]);
    return out;
  },
  Softmax: (heap, { inputs: { logits }, attrs }) => {
    const { dim } = attrs as unknown as { readonly dim: number };
    if (!areFloats(logits) || dim !== logits.shape.length - 1) return undefined;
    const { rows, width } = asRows(logits.shape);
    const out = heap.output(logits.shape);
    heap.functions.softmax(heap.address(logits), heap.address(out), rows, width);
    return out;
  },
};
