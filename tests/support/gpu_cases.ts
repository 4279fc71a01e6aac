/**
 * Small computations that together need every kernel of compiled WebGPU programs.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { attention, type AttentionOptions, causalMask, gelu, layerNorm, paddingMask } from "../../dsl/mod.ts";

/** Numbers without structure, the same on every run. */
export function numbers(shape: number[], phase = 0): tf.Tensor {
  const size = shape.reduce((a, b) => a * b, 1);
  return tf.tensor(Float32Array.from({ length: size }, (_, i) => Math.sin(12.9898 * (i + 1) + phase)), shape);
}

function whole(shape: number[], below: number): tf.Tensor {
  const size = shape.reduce((a, b) => a * b, 1);
  return tf.tensor(Int32Array.from({ length: size }, (_, i) => (7 * i * i + 3 * i) % below), shape, "int32");
}

/** A computation, and what it is given. */
export interface GpuCase {
  readonly f: (...inputs: tf.Tensor[]) => readonly tf.Tensor[];
  readonly inputs: () => tf.Tensor[];
}

function of(f: GpuCase["f"], ...shapes: number[][]): GpuCase {
  return { f, inputs: () => shapes.map((shape, i) => numbers(shape, i)) };
}

/** A function's value and its gradients, each weighted so that none is trivially constant. */
function withGradients(f: (...inputs: tf.Tensor[]) => tf.Tensor, ...shapes: number[][]): GpuCase {
  return of((...inputs) => {
    const value = f(...inputs);
    return [value, ...tf.grads((...xs) => tf.mul(f(...xs), numbers(value.shape, 7)))(inputs)];
  }, ...shapes);
}

type Sides = readonly [m: number, n: number, k: number];

/** Products of all four ways that factors may lie, of some size. */
function products([m, n, k]: Sides, batch: number[] = []): GpuCase {
  return of(
    (a, b, ta, tb) => [
      tf.matMul(a, b),
      tf.matMul(ta, b, true),
      tf.matMul(a, tb, false, true),
      tf.matMul(ta, tb, true, true),
    ],
    [...batch, m, k],
    [...batch, k, n],
    [...batch, k, m],
    [...batch, n, k],
  );
}

/** The cases, by what they are about. */
export const gpuCases: Readonly<Record<string, GpuCase>> = {
  "products of fours": products([36, 24, 20]),
  "products of odd sizes": products([19, 11, 7], [3]),
  "a product with one factor for all": of((a, b) => [tf.matMul(a, b)], [3, 5, 6], [1, 6, 4]),
  "a product of a tensor with itself": of((a) => [tf.matMul(a, a, false, true)], [6, 8]),
  "a product and its bias": of((a, b, bias) => [tf.add(tf.matMul(a, b), bias)], [9, 8], [8, 12], [12]),
  "elementwise, broadcast": of(
    (a, b, c) => [tf.tanh(tf.add(tf.mul(a, b), c)), tf.sigmoid(tf.sub(a, c)), tf.expm1(tf.mul(b, 0.01))],
    [2, 3, 8],
    [8],
    [2, 1, 8],
  ),
  "masks and choices": of(
    (a, b) => {
      const isMore = tf.greater(a, b);
      const chosen = tf.where(isMore, tf.exp(a), tf.log(tf.add(tf.abs(b), 1)));
      return [
        chosen,
        tf.cast(tf.logicalOr(isMore, tf.lessEqual(a, -0.5)), "float32"),
        tf.relu(a),
        tf.clipByValue(b, -0.2, 0.3),
      ];
    },
    [5, 7],
    [5, 7],
  ),
  "whole numbers": {
    f: (a, b) => [tf.add(a, b), tf.cast(tf.notEqual(a, b), "int32"), tf.cast(a, "float32"), tf.sum(tf.mul(a, b), 1)],
    inputs: () => [whole([4, 6], 9), whole([4, 6], 7)],
  },
  "sums over axes": of((x) => [
    tf.sum(x),
    tf.sum(x, 0),
    tf.sum(x, -1, true),
    tf.sum(x, [0, 2]),
    tf.mean(x, [1, 2]),
    tf.max(x, 2),
    tf.min(x, 1),
  ], [70, 5, 12]),
  "a long sum": of((x) => [tf.sum(x), tf.sum(x, 0), tf.mean(x)], [1536, 4]),
  "softmax": of((x, y) => [tf.softmax(x), tf.softmax(y)], [2, 3, 17], [3, 128]),
  "movements": of(
    (x, y) => [
      tf.transpose(x, [2, 0, 1]),
      tf.slice(x, [1, 0, 4], [1, 3, 4]),
      tf.concat([x, y], 1),
      tf.pad(x, [[0, 0], [1, 2], [0, 0]]),
      tf.reverse(x, [0, 2]),
      tf.tile(x, [1, 2, 3]),
      tf.stack([tf.reshape(x, [2, 24]), tf.reshape(y, [2, 24])], 2),
      ...tf.split(x, [1, 2], 1),
      ...tf.unstack(y, 1),
      tf.stridedSlice(x, [0, 0, 1], [2, 3, 8], [1, 2, 3]),
      tf.zerosLike(x),
      tf.fill([3, 2], 0.25),
    ],
    [2, 3, 8],
    [2, 3, 8],
  ),
  "rows by number": {
    f: (x, at, more) => [
      tf.gather(x, at as tf.Tensor1D),
      tf.gather(x, at as tf.Tensor1D, 1),
      tf.scatterND(tf.expandDims(at, 1), more, [5, 4]),
      tf.unsortedSegmentSum(more, at as tf.Tensor1D, 6),
    ],
    inputs: () => [numbers([5, 6]), tf.tensor1d([3, 0, 3, 1, 3], "int32"), numbers([5, 4], 1)],
  },
  "GELU": withGradients((x) => gelu(tf.mul(x, 4)), [3, 20]),
  "GELU by tanh": withGradients((x) => gelu(tf.mul(x, 4), "tanh"), [3, 20]),
  "layer norm": withGradients((x, weight, bias) => layerNorm(x, { weight, bias }, 1e-6), [5, 24], [24], [24]),
  "attention": withGradients((q, k, v) => attention(q, k, v), [2, 2, 5, 8], [2, 2, 5, 8], [2, 2, 5, 8]),
  "attention with a mask": withGradients(
    (q, k, v) => attention(q, k, v, { mask: numbers([2, 1, 5, 5], 3) }),
    [2, 4, 5, 8],
    [2, 2, 5, 8],
    [2, 2, 5, 8],
  ),
  "attention in blocks, of grouped heads to keys that are no padding": withGradients(
    (q, k, v) => attention(q, k, v, { mask: numbers([2, 1, 1, 11], 3) }),
    [2, 4, 13, 8],
    [2, 1, 11, 8],
    [2, 1, 11, 8],
  ),
  "attention in blocks, causal, with padding and in a window": of(
    (q, k, v, x, y, z) => {
      const counts = tf.tensor2d([Array(18).fill(1), [...Array(11).fill(1), ...Array(7).fill(0)]]);
      const padding = paddingMask(counts);
      const padded: AttentionOptions = {
        mask: tf.minimum(causalMask(18), padding),
        causal: { mask: padding },
      };
      const windowed: AttentionOptions = { mask: causalMask(21, 0, 6), causal: { window: 6 } };
      // Padding's own results mean nothing.
      const first = (...[q, k, v]: tf.Tensor[]) =>
        tf.mul(attention(q, k, v, padded), tf.reshape(counts, [2, 1, 18, 1]));
      const second = (...[q, k, v]: tf.Tensor[]) => attention(q, k, v, windowed);
      return ([[first, [q, k, v]], [second, [x, y, z]]] as const).flatMap(([f, inputs]) => {
        const value = f(...inputs);
        return [value, ...tf.grads(f)([...inputs], numbers(value.shape, 7))];
      });
    },
    [2, 4, 18, 8],
    [2, 2, 18, 8],
    [2, 2, 18, 8],
    [1, 2, 21, 8],
    [1, 2, 21, 8],
    [1, 2, 21, 8],
  ),
  "convolutions": of(
    (x, w, one) => {
      const f = (x: tf.Tensor) => tf.conv2d(x as tf.Tensor4D, w as tf.Tensor4D, 2, "valid") as tf.Tensor;
      const value = f(x);
      return [
        value,
        tf.grad(f)(x, numbers(value.shape, 5)),
        tf.conv2d(x as tf.Tensor4D, one as tf.Tensor4D, 1, "same"),
      ];
    },
    [2, 7, 6, 4],
    [3, 3, 4, 8],
    [3, 3, 4, 3],
  ),
};
