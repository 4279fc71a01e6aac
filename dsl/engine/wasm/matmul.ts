/**
 * Matrix products.
 *
 * @module
 */

import type * as tf from "@tensorflow/tfjs-core";
import type { Product } from "../interface.ts";
import { storedForm } from "../stored.ts";
import { bytesOfNumbers, codeOf } from "./forms.ts";
import type { Call, Kernels } from "./kernel.ts";
import type { Heap } from "./module.ts";
import { areFloats, areSame, size } from "./shape.ts";
import { ofNumbers } from "./stored.ts";

/** What a product is asked for, beside its two factors. */
interface Options {
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  readonly bias?: tf.TensorInfo;
  readonly relu: boolean;
}

/** The shape [..., rows, columns] of a factor, transposed if asked for. */
function dimensions({ shape }: tf.TensorInfo, transposed: boolean): readonly [rows: number, columns: number] {
  const [rows, columns] = shape.slice(-2);
  return transposed ? [columns, rows] : [rows, columns];
}

/** [..., n, k] by [..., k, m], where the leading axes are the same or one factor has a single matrix. */
function multiply(heap: Heap, a: tf.TensorInfo, b: tf.TensorInfo, options: Options): tf.TensorInfo | undefined {
  const { transposeA, transposeB, bias, relu } = options;
  if (!areFloats(a, b)) return undefined;
  const [rows, depth] = dimensions(a, transposeA);
  const [depthB, columns] = dimensions(b, transposeB);
  if (depth !== depthB) return undefined;
  const [outerA, outerB] = [a.shape.slice(0, -2), b.shape.slice(0, -2)];
  const [countA, countB] = [size(outerA), size(outerB)];
  if (!areSame(outerA, outerB) && countA !== 1 && countB !== 1) return undefined;
  const rank = Math.max(outerA.length, outerB.length);
  // With one matrix on a side, the other side's leading axes are the result's.
  const outer = countA === 1 && (countB > 1 || outerB.length === rank) ? outerB : outerA;
  const leading = [...Array(rank - outer.length).fill(1), ...outer];

  // A single right factor makes all the left ones one matrix.
  const joined = countB === 1 && !transposeA;
  const batch = joined ? 1 : Math.max(countA, countB);
  const out = heap.output([...leading, rows, columns]);
  heap.functions.matmul(
    batch,
    heap.address(a),
    countA === 1 ? 0 : rows * depth * 4,
    heap.address(b),
    countB === 1 ? 0 : depth * columns * 4,
    heap.address(out),
    joined ? countA * rows : rows,
    columns,
    depth,
    Number(transposeA),
    Number(transposeB),
    heap.work,
    bias === undefined ? 0 : heap.address(bias),
    Number(relu),
    (transposeA ? rows : depth) * 4,
    (transposeB ? depth : columns) * 4,
    columns * 4,
  );
  return out;
}

/** Most rows of a product whose matrix is read as it is stored; beyond, it is made float32 for the kernel of large products. */
const MOST_ROWS = 64;

/** Most numbers of its rows: four of them, in float32, have place in a thread's work area. */
const MOST_DEPTH = 2 ** 14;

/**
 * Whether a product in a text that is read on token by token reads its right factor as it is stored: few rows by a matrix,
 * [..., n, k] by [m, k] transposed.
 *
 * @param product The product
 */
export function readsRows({ shapes: [a, b], transposed }: Product): boolean {
  const depth = b[b.length - 1];
  const isMatrix = size(b.slice(0, -2)) === 1 && b.length <= a.length;
  const rows = size(a.slice(0, -1));
  return !transposed[0] && transposed[1] && isMatrix && rows <= MOST_ROWS && depth <= MOST_DEPTH && a.at(-1) === depth;
}

/** Few rows by a stored matrix. */
function multiplyStored(heap: Heap, a: tf.TensorInfo, b: tf.TensorInfo, options: Options): tf.TensorInfo | undefined {
  const { transposeA, transposeB, bias, relu } = options;
  const form = storedForm(b);
  if (!heap.ownProducts || form === undefined || storedForm(a) !== undefined || !areFloats(a, b) || relu) {
    return undefined;
  }
  if (!readsRows({ shapes: [a.shape, b.shape], transposed: [transposeA, transposeB] })) return undefined;
  const [columns, depth] = b.shape.slice(-2);
  const bytes = bytesOfNumbers(form, depth);
  if (bytes === undefined) return undefined;
  const out = heap.output([...a.shape.slice(0, -1), columns]);
  const [x, matrix, to] = [a, b, out].map(heap.address);
  const sizes = [size(a.shape.slice(0, -1)), columns, depth, bias === undefined ? 0 : heap.address(bias), columns * 4];
  if (form === "bf16") heap.functions.multiplyHalf(x, matrix, to, ...sizes);
  else heap.functions.multiplyStored(codeOf(form), x, matrix, to, ...sizes, bytes, heap.work);
  return out;
}

/** A product, whatever its factors are kept as. */
function product(heap: Heap, call: Call, options: Options): tf.TensorInfo | undefined {
  const { a, b } = call.inputs;
  return multiplyStored(heap, a, b, options) ??
    ofNumbers((_, { inputs: { a, b } }) => multiply(heap, a, b, options))(heap, call) as tf.TensorInfo | undefined;
}

/** Attributes of tfjs's kernels; those of the fused one come after. */
interface Attributes {
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  readonly activation: string;
}

/** Kernels of tf.matMul and tf.fused.matMul. */
export const productKernels: Kernels = {
  BatchMatMul: (heap, call) => {
    const { transposeA, transposeB } = call.attrs as unknown as Attributes;
    return product(heap, call, { transposeA, transposeB, relu: false });
  },
  _FusedMatMul: (heap, call) => {
    const { b, bias, preluActivationWeights } = call.inputs;
    const { transposeA, transposeB, activation } = call.attrs as unknown as Attributes;
    if (preluActivationWeights || !["linear", "relu"].includes(activation)) return undefined;
    const columns = b.shape[b.shape.length - (transposeB ? 2 : 1)];
    if (bias && !(areFloats(bias) && areSame(bias.shape, [columns]) && storedForm(bias) === undefined)) {
      return undefined;
    }
    return product(heap, call, { transposeA, transposeB, bias: bias ?? undefined, relu: activation === "relu" });
  },
};
