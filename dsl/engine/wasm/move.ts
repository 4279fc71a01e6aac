/**
 * Elements moved about: transposing, gathering, tiling.
 *
 * @module
 */

import * as tf from "@tensorflow/tfjs-core";
import { storedForm } from "../stored.ts";
import { bytesOfNumbers, codeOf } from "./forms.ts";
import type { Kernel, Kernels } from "./kernel.ts";
import type { Heap } from "./module.ts";
import { isWords, size } from "./shape.ts";
import { ofNumbers } from "./stored.ts";

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

/** Steps between the elements of a shape's axes. */
function strides(shape: readonly number[]): readonly number[] {
  return shape.map((_, axis) => size(shape.slice(axis + 1)));
}

/** An axis that is looped over: its length and its steps in what is read and in what is written. */
interface Loop {
  readonly length: number;
  readonly from: number;
  readonly to: number;
}

/**
 * Runs a function within loops: four it does itself, the longest first, which threads share; it is called for every round
 * of the others.
 */
function nest(loops: readonly Loop[], run: (from: number, to: number, four: readonly number[]) => void): void {
  const sorted = [...loops].sort((a, b) => b.length - a.length);
  const own = [
    ...sorted.slice(0, 4),
    ...Array<Loop>(Math.max(0, 4 - loops.length)).fill({ length: 1, from: 0, to: 0 }),
  ];
  const four = [...own.map(({ length }) => length), ...own.map(({ from }) => from * 4), ...own.map(({ to }) => to * 4)];
  const go = ([loop, ...rest]: readonly Loop[], from: number, to: number): void => {
    if (loop === undefined) run(from, to, four);
    else for (let i = 0; i < loop.length; i++) go(rest, from + i * loop.from * 4, to + i * loop.to * 4);
  };
  go(sorted.slice(4), 0, 0);
}

/** Any permutation: copies of runs, or transpositions of what is last on either side. */
function permuted(heap: Heap, x: tf.TensorInfo, out: tf.TensorInfo, lengths: number[], order: number[]): void {
  const [read, written] = [strides(lengths), strides(order.map((axis) => lengths[axis]))];
  const loops = order.map((axis, i): Loop => ({ length: lengths[axis], from: read[axis], to: written[i] }));
  const last = loops[loops.length - 1];
  const columns = loops.find(({ from }) => from === 1)!;
  const [from, to] = [heap.address(x), heap.address(out)];
  nest(loops.filter((loop) => loop !== last && loop !== columns), (begin, end, four) => {
    const around = [from + begin, to + end, ...four];
    if (last === columns) heap.functions.copyBlocks(...around, last.length);
    else heap.functions.permute(...around, last.length, columns.length, last.from * 4, columns.to * 4);
  });
}

/** x with some axes, not the last, in reverse. */
function reversed(heap: Heap, x: tf.TensorInfo, axes: readonly number[]): tf.TensorInfo | undefined {
  const flipped = x.shape.map((_, axis) => axes.includes(axis));
  const runs: { length: number; isFlipped: boolean }[] = [];
  x.shape.forEach((length, axis) => {
    const previous = runs[runs.length - 1];
    if (previous?.isFlipped === flipped[axis]) previous.length *= length;
    else runs.push({ length, isFlipped: flipped[axis] });
  });
  // Axes that are neighbours and all in reverse are one axis in reverse.
  const steps = strides(runs.map(({ length }) => length));
  const loops = runs.map(({ length, isFlipped }, i): Loop => ({
    length,
    from: isFlipped ? -steps[i] : steps[i],
    to: steps[i],
  }));
  const last = loops.pop();
  if (last === undefined || last.from < 0) return undefined;
  const begin = loops.reduce((sum, { length, from }) => from < 0 ? sum - (length - 1) * from : sum, 0);
  const out = heap.output(x.shape, x.dtype);
  const [from, to] = [heap.address(x) + begin * 4, heap.address(out)];
  nest(loops, (at, end, four) => heap.functions.copyBlocks(from + at, to + end, ...four, last.length));
  return out;
}

/** Rows that a slice is made of, and where they begin; offsets and lengths in elements. */
interface Cut {
  readonly starts: readonly number[];
  /** Rows from each start, all as far apart. */
  readonly count: number;
  readonly stride: number;
  readonly width: number;
}

/** The part of a tensor that begins at `begin` and is `sizes` large. */
function cut(shape: readonly number[], begin: readonly number[], sizes: readonly number[]): Cut {
  const steps = strides(shape);
  const partial = [...shape.keys()].filter((axis) => sizes[axis] !== shape[axis]);
  // A row goes on to the last axis that is cut; the rows up to the cut before that are evenly spaced.
  const [last, before] = [partial.at(-1) ?? 0, partial.at(-2) ?? -1];
  let starts = [begin.reduce((sum, at, axis) => sum + at * steps[axis], 0)];
  for (let axis = 0; axis <= before; axis++) {
    starts = starts.flatMap((start) => Array.from({ length: sizes[axis] }, (_, i) => start + i * steps[axis]));
  }
  return {
    starts,
    count: size(sizes.slice(before + 1, last)),
    stride: steps[last] * shape[last],
    width: size(sizes.slice(last)),
  };
}

function sliced(heap: Heap, x: tf.TensorInfo, begin: readonly number[], sizes: readonly number[]): tf.TensorInfo {
  const out = heap.output(sizes, x.dtype);
  const { starts, count, stride, width } = cut(x.shape, begin, sizes);
  const [from, to] = [heap.address(x), heap.address(out)];
  starts.forEach((start, i) =>
    heap.functions.copyRows(from + start * 4, stride * 4, to + i * count * width * 4, width * 4, count, width)
  );
  return out;
}

/** Rows of a table, or elements of any axis. */
const gathered: Kernel = (heap, { inputs: { x, indices }, attrs }) => {
  const { axis, batchDims } = attrs as unknown as { readonly axis: number; readonly batchDims: number };
  if (!isWords(x) || indices.dtype !== "int32" || indices.shape.includes(0) || batchDims !== 0) return undefined;
  const [at] = tf.util.parseAxisParam(axis, x.shape);
  const length = x.shape[at];
  const areThere = (values: Int32Array) => values.every((index) => index >= 0 && index < length);
  if (!heap.check(indices, areThere, `GatherV2: an index is not in [0, ${length - 1}]`)) return undefined;
  const [before, after] = [x.shape.slice(0, at), x.shape.slice(at + 1)];
  const out = heap.output([...before, ...indices.shape, ...after], x.dtype);
  const [from, list, to] = [x, indices, out].map(heap.address);
  // ofNumbers has made float32 of all that is not to be read row by row.
  const form = storedForm(x);
  if (form !== undefined) {
    const width = size(after);
    heap.functions.gatherStored(
      ...[codeOf(form), from, list, to, size(indices.shape), width],
      bytesOfNumbers(form, width)!,
    );
  } else heap.functions.gather(from, list, to, size(before), length, size(indices.shape), size(after));
  return out;
};

/** Kernels of tf.transpose, tf.reverse, tf.gather, tf.tile, tf.slice, tf.split, tf.concat, and what is written in place. */
export const movingKernels: Kernels = {
  Transpose: (heap, { inputs: { x }, attrs }) => {
    const { perm } = attrs as unknown as { readonly perm: readonly number[] };
    const { lengths, order } = simplify(x.shape, perm);
    const pattern = order.join();
    if (!isWords(x)) return undefined;
    const shape = perm.map((axis) => x.shape[axis]);
    if (order.length < 2) {
      const [out, width] = [heap.output(shape, x.dtype), size(shape)];
      heap.functions.copyRows(heap.address(x), width * 4, heap.address(out), width * 4, 1, width);
      return out;
    }
    if (!["1,0", "0,2,1", "1,0,2", "0,2,1,3"].includes(pattern)) {
      const out = heap.output(shape, x.dtype);
      permuted(heap, x, out, lengths, order);
      return out;
    }
    // [batch, rows, columns, width], where the first and the last may be missing.
    const [batch, rows, columns, width = 1] = order[0] === 0 ? lengths : [1, ...lengths];
    const out = heap.output(shape, x.dtype);
    const [from, to] = [heap.address(x), heap.address(out)];
    if (width === 1) heap.functions.transpose(from, to, batch, rows, columns);
    else heap.functions.transposeBlocks(from, to, batch, rows, columns, width);
    return out;
  },
  Reverse: (heap, { inputs: { x }, attrs }) => {
    const { dims } = attrs as unknown as { readonly dims: number | number[] };
    return isWords(x) ? reversed(heap, x, tf.util.parseAxisParam(dims, x.shape)) : undefined;
  },
  GatherV2: (heap, call) => {
    const [at] = tf.util.parseAxisParam(call.attrs.axis as number, call.inputs.x.shape);
    const form = storedForm(call.inputs.x);
    const isByRow = at === 0 &&
      (form === undefined || bytesOfNumbers(form, size(call.inputs.x.shape.slice(1))) !== undefined);
    return (isByRow ? gathered : ofNumbers(gathered))(heap, call);
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
  Slice: (heap, { inputs: { x }, attrs }) => {
    const asked = attrs as unknown as { readonly begin: number[]; readonly size: number[] };
    const [from, sizes] = tf.slice_util.parseSliceParams(x as tf.Tensor, asked.begin, asked.size);
    tf.slice_util.assertParamsValid(x as tf.Tensor, from, sizes);
    return isWords(x) && !sizes.includes(0) ? sliced(heap, x, from, sizes) : undefined;
  },
  SplitV: (heap, { inputs: { x }, attrs }) => {
    const { axis, numOrSizeSplits } = attrs as unknown as {
      readonly axis: number;
      readonly numOrSizeSplits: number | number[];
    };
    const [at] = tf.util.parseAxisParam(axis, x.shape);
    const lengths = tf.backend_util.prepareSplitSize(x as tf.Tensor, numOrSizeSplits, at);
    if (!isWords(x) || lengths.includes(0)) return undefined;
    let next = 0;
    return lengths.map((length) => {
      const begin = x.shape.map((_, each) => each === at ? next : 0);
      next += length;
      return sliced(heap, x, begin, x.shape.map((whole, each) => each === at ? length : whole));
    });
  },
  Concat: (heap, { inputs, attrs }) => {
    const parts = Object.values(inputs);
    const [axis] = tf.util.parseAxisParam((attrs as unknown as { readonly axis: number }).axis, parts[0].shape);
    if (parts.length === 1 || !parts.every((part) => isWords(part) && part.dtype === parts[0].dtype)) return undefined;
    tf.backend_util.assertParamsConsistent(parts.map(({ shape }) => shape), axis);
    const out = heap.output(tf.backend_util.computeOutShape(parts.map(({ shape }) => shape), axis), parts[0].dtype);
    const [count, step] = [size(out.shape.slice(0, axis)), size(out.shape.slice(axis)) * 4];
    let to = heap.address(out);
    for (const part of parts) {
      const width = size(part.shape.slice(axis));
      heap.functions.copyRows(heap.address(part), width * 4, to, step, count, width);
      to += width * 4;
    }
    return out;
  },
  // Rows [..., N, W] into [..., S, W], in place.
  WriteRows: (heap, { inputs: { into, rows }, attrs }) => {
    const { at } = attrs as unknown as { readonly at: number };
    const [length, width] = into.shape.slice(-2);
    const count = rows.shape[rows.shape.length - 2];
    heap.functions.copyRows(
      heap.address(rows),
      count * width * 4,
      heap.address(into) + at * width * 4,
      length * width * 4,
      size(into.shape.slice(0, -2)),
      count * width,
    );
    return [];
  },
};
