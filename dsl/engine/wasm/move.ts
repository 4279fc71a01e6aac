/**
 * Elements moved about: transposing, gathering, tiling.
 *
 * @module
 */

import * as tf from "@tensorflow/tfjs-core";
import type { Kernels } from "./kernel.ts";
import type { Heap } from "./module.ts";
import { isWords, size } from "./shape.ts";

/** The same permutation of fewer axes: axes of length 1 left out, axes that stay neighbours joined. */
function simplify(shape: readonly number[], perm: readonly number[]): { lengths: number[]; order: number[] } {
  const runs: number[][] = [];
  for (const axis of perm.filter((each) => shape[each] !== 1)) {
    const last = runs[runs.length - 1];
    // Between two neighbours there may be axes of length 1.
    const isNext = last !== undefined && axis > last[last.length - 1] &&
      shape.slice(last[last.length - 1] + 1, axis).every((length) => length === 1);
    if (isNext) last.push(axis);
    else runs.push([axis]);
  }
  const sorted = [...runs].sort((a, b) => a[0] - b[0]);
  return {
    lengths: sorted.map((run) => size(run.map((axis) => shape[axis]))),
    order: runs.map((run) => sorted.indexOf(run)),
  };
}

/** x with `count` copies of each of its first `batch` elements behind each other. */
function repeated(heap: Heap, x: tf.TensorInfo, axis: number, count: number): tf.TensorInfo {
  const [before, after] = [x.shape.slice(0, axis), x.shape.slice(axis)];
  const out = heap.output([...before, after[0] * count, ...after.slice(1)], x.dtype);
  heap.functions.repeat(heap.address(x), heap.address(out), size(before), count, size(after));
  return out;
}

/** Kernels of tf.transpose, tf.gather, tf.tile. */
export const movingKernels: Kernels = {
  Transpose: (heap, { inputs: { x }, attrs }) => {
    const { perm } = attrs as unknown as { readonly perm: readonly number[] };
    const { lengths, order } = simplify(x.shape, perm);
    const pattern = order.join();
    if (!isWords(x) || !["1,0", "0,2,1", "1,0,2", "0,2,1,3"].includes(pattern)) return undefined;
    // [batch, rows, columns, width], where the first and the last may be missing.
    const [batch, rows, columns, width = 1] = order[0] === 0 ? lengths : [1, ...lengths];
    const out = heap.output(perm.map((axis) => x.shape[axis]), x.dtype);
    const [from, to] = [heap.address(x), heap.address(out)];
    if (width === 1) heap.functions.transpose(from, to, batch, rows, columns);
    else heap.functions.transposeBlocks(from, to, batch, rows, columns, width);
    return out;
  },
  GatherV2: (heap, { inputs: { x, indices }, attrs }) => {
    const { axis, batchDims } = attrs as unknown as { readonly axis: number; readonly batchDims: number };
    if (!isWords(x) || indices.dtype !== "int32" || indices.shape.includes(0) || batchDims !== 0) return undefined;
    const [at] = tf.util.parseAxisParam(axis, x.shape);
    const length = x.shape[at];
    if (!heap.integers(indices).every((index) => index >= 0 && index < length)) return undefined;
    const [before, after] = [x.shape.slice(0, at), x.shape.slice(at + 1)];
    const out = heap.output([...before, ...indices.shape, ...after], x.dtype);
    const [from, list, to] = [x, indices, out].map(heap.address);
    heap.functions.gather(from, list, to, size(before), length, size(indices.shape), size(after));
    return out;
  },
  Tile: (heap, { inputs: { x }, attrs }) => {
    const { reps } = attrs as unknown as { readonly reps: readonly number[] };
    const axes = [...reps.keys()].filter((axis) => reps[axis] > 1);
    if (!isWords(x) || axes.length === 0 || reps.includes(0)) return undefined;
    return axes.reduce((tiled, axis) => {
      const next = repeated(heap, tiled, axis, reps[axis]);
      if (tiled !== x) heap.release(tiled);
      return next;
    }, x);
  },
};
