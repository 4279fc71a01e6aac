/**
 * Functions of single elements and of pairs.
 *
 * @module
 */

import type * as tf from "@tensorflow/tfjs-core";
import type { Kernel, Kernels } from "./kernel.ts";
import type { FunctionName } from "./functions.ts";
import { areFloats, areSame, size } from "./shape.ts";

/** out = f(x). */
function unary(name: FunctionName): Kernel {
  return (heap, { inputs: { x } }) => {
    if (!areFloats(x)) return undefined;
    const out = heap.output(x.shape);
    heap.functions[name](heap.address(x), heap.address(out), size(x.shape));
    return out;
  };
}

/** How b is laid along the rows of a. */
interface Layout {
  readonly rows: number;
  readonly width: number;
  /** Bytes from one row's b to the next. */
  readonly step: number;
  /** Whether a row has a single b. */
  readonly each: boolean;
}

/** Broadcasting of b to a: one element, a trailing part of the axes, or all axes but a last one of 1. */
function layout(a: readonly number[], b: readonly number[]): Layout | undefined {
  const [sizeA, sizeB] = [size(a), size(b)];
  if (b.length > a.length) return undefined;
  if (sizeB === 1) return { rows: 1, width: sizeA, step: 0, each: true };
  const trailing = b.slice(b.findIndex((length) => length !== 1));
  if (areSame(trailing, a.slice(a.length - trailing.length))) {
    return { rows: sizeA / sizeB, width: sizeB, step: 0, each: false };
  }
  return areSame(b, [...a.slice(0, -1), 1]) ? { rows: sizeB, width: sizeA / sizeB, step: 4, each: true } : undefined;
}

/**
 * out = f(a, b).
 *
 * @param name f, of the larger factor and the one that is broadcast to it
 * @param swapped f where the larger one is b; by default the same, for an f that does not mind which is which
 */
function binary(name: FunctionName, swapped: FunctionName = name): Kernel {
  return (heap, { inputs: { a, b } }) => {
    if (!areFloats(a, b)) return undefined;
    const inOrder = size(a.shape) >= size(b.shape);
    const [large, small]: readonly tf.TensorInfo[] = inOrder ? [a, b] : [b, a];
    const found = layout(large.shape, small.shape);
    if (found === undefined) return undefined;
    const { rows, width, step, each } = found;
    const out = heap.output(large.shape);
    const [from, other, to] = [large, small, out].map(heap.address);
    heap.functions[inOrder ? name : swapped](from, other, to, rows, width, step, Number(each));
    return out;
  };
}

/** Kernels of the functions that tfjs-wasm computes slowly or on one thread. */
export const elementwiseKernels: Kernels = {
  Exp: unary("exponential"),
  Tanh: unary("hyperbolicTangent"),
  Erf: unary("errorFunction"),
  Sigmoid: unary("logistic"),
  Sqrt: unary("squareRoot"),
  Rsqrt: unary("inverseSquareRoot"),
  Reciprocal: unary("inverse"),
  Maximum: binary("maximum"),
  Minimum: binary("minimum"),
  SquaredDifference: binary("squaredDifference"),
  Add: binary("add"),
  Multiply: binary("multiply"),
  Sub: binary("subtract", "subtractFrom"),
  RealDiv: binary("divide", "divideBy"),
};
