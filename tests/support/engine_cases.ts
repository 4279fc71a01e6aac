/**
 * Small computations with known gradients, run on every backend that a machine has.
 *
 * @module
 */

import * as tf from "@tensorflow/tfjs-core";
import { drawAt, drawing, drawWords } from "../../dsl/draw.ts";
import { dropOut } from "../../dsl/ops/dropout.ts";
import { key } from "../../dsl/random.ts";

/** Numbers in [-1, 1) without structure, the same on every run. */
function numbers(shape: number[], phase: number): tf.Tensor {
  const size = shape.reduce((a, b) => a * b, 1);
  return tf.tensor(Array.from({ length: size }, (_, i) => Math.sin(12.9898 * (i + 1) + phase)), shape);
}

/** One value, or several, computed from fixed inputs. */
export type Case = () => tf.Tensor | tf.Tensor[];

/** A function's value followed by its gradients, each weighted so that no gradient is trivially constant. */
function withGradients(f: (...inputs: tf.Tensor[]) => tf.Tensor, ...shapes: number[][]): Case {
  return () => {
    const inputs = shapes.map((shape, i) => numbers(shape, i));
    const value = f(...inputs);
    return [value, ...tf.grads((...xs) => tf.mul(f(...xs), numbers(value.shape, 7)))(inputs)];
  };
}

/** What models and their gradients are made of. */
export const modelCases: Readonly<Record<string, Case>> = {
  "dropout": withGradients((x) => {
    const draw = drawAt(drawing({}, drawWords(key(5))), "case")!;
    return dropOut(x, { rate: 0.4, draw });
  }, [6, 7]),
  "matrix product": withGradients((a, b) => tf.matMul(a, b, false, true), [3, 4], [5, 4]),
  "batched matrix product": withGradients((a, b) => tf.matMul(a, b), [2, 3, 4], [2, 4, 5]),
  "broadcast sum and product": withGradients((a, b) => tf.mul(tf.add(a, b), b), [2, 3, 4], [4]),
  "softmax": withGradients((x) => tf.softmax(x), [3, 5]),
  "logarithm of softmax": withGradients((x) => tf.logSoftmax(x), [3, 5]),
  "exact GELU": withGradients((x) => tf.mul(x, tf.add(tf.erf(tf.div(x, Math.SQRT2)), 1)), [3, 4]),
  "tanh and sigmoid": withGradients((x) => tf.mul(tf.tanh(x), tf.sigmoid(x)), [3, 4]),
  "moments": withGradients((x) => {
    const { mean, variance } = tf.moments(x, -1, true);
    return tf.mul(tf.sub(x, mean), tf.rsqrt(tf.add(variance, 1e-5)));
  }, [3, 8]),
  "convolution": withGradients(
    (x, w) => tf.conv2d(x as tf.Tensor4D, w as tf.Tensor4D, 2, "same"),
    [2, 6, 6, 3],
    [3, 3, 3, 4],
  ),
  "depthwise convolution": withGradients(
    (x, w) => tf.depthwiseConv2d(x as tf.Tensor4D, w as tf.Tensor4D, 1, "valid"),
    [1, 5, 5, 2],
    [3, 3, 2, 2],
  ),
  "transposed convolution": withGradients(
    (x, w) => tf.conv2dTranspose(x as tf.Tensor4D, w as tf.Tensor4D, [1, 6, 6, 2], 2, "same"),
    [1, 3, 3, 4],
    [3, 3, 2, 4],
  ),
  "bilinear interpolation": withGradients((x) => tf.image.resizeBilinear(x as tf.Tensor4D, [5, 7]), [1, 3, 3, 2]),
  "embedding lookup": withGradients((x) => tf.gather(x, tf.tensor1d([2, 0, 2, 1], "int32")), [4, 3]),
  "slice, concatenation, transposition": withGradients(
    (a, b) => tf.transpose(tf.concat([tf.slice(a, [1, 0], [2, 3]), b], 0), [1, 0]),
    [4, 3],
    [2, 3],
  ),
};

/** One case for each kernel that wasm borrows from the cpu backend. */
export const borrowedCases: Readonly<Record<string, Case>> = {
  Complex: () => complexNumbers(),
  Real: () => tf.real(complexNumbers()),
  Imag: () => tf.imag(complexNumbers()),
  ComplexAbs: () => tf.abs(complexNumbers()),
  FFT: () => tf.fft(complexNumbers()),
  IFFT: () => tf.ifft(complexNumbers()),
  Conv2DBackpropFilter: modelCases["convolution"],
  DepthwiseConv2dNativeBackpropFilter: modelCases["depthwise convolution"],
  DepthwiseConv2dNativeBackpropInput: modelCases["depthwise convolution"],
  Einsum: () => tf.einsum("bij,bkj->bik", numbers([2, 3, 4], 0), numbers([2, 5, 4], 1)),
  UnsortedSegmentSum: withGradients(
    (x) => tf.unsortedSegmentSum(x, tf.tensor1d([2, 0, 2, 1], "int32"), 3),
    [4, 3],
  ),
  RaggedGather: () => {
    const splits = tf.tensor1d([0, 2, 3], "int32");
    const gathered = tf.raggedGather([splits], numbers([3, 2], 0), tf.tensor1d([1, 0, 1], "int32"), 1);
    return [...gathered.outputNestedSplits, gathered.outputDenseValues];
  },
  RaggedRange: () => {
    const [starts, limits, deltas] = [[0, 5], [3, 9], [1, 2]].map((values) => tf.tensor1d(values, "int32"));
    const range = tf.raggedRange(starts, limits, deltas);
    return [range.rtNestedSplits, range.rtDenseValues];
  },
  RaggedTensorToTensor: () =>
    tf.raggedTensorToTensor(tf.tensor1d([2, 3], "int32"), tf.tensor1d([1, 2, 3]), tf.scalar(9), [
      tf.tensor1d([0, 2, 3], "int32"),
    ], ["ROW_SPLITS"]),
  StaticRegexReplace: () => tf.string.staticRegexReplace(tf.tensor1d(["one lora", "two"]), "o", "0", true),
};

/** Complex numbers of shape [2, 4]. */
function complexNumbers(): tf.Tensor {
  return tf.complex(numbers([2, 4], 0), numbers([2, 4], 1));
}

/** A case's outputs as plain data; leaves no tensor behind. */
export async function run(compute: Case): Promise<{ shape: number[]; values: (number | string)[] }[]> {
  const outputs = tf.tidy(() => compute());
  const results = [];
  for (const output of Array.isArray(outputs) ? outputs : [outputs]) {
    results.push({ shape: output.shape, values: [...await output.data() as ArrayLike<number> & Iterable<number>] });
    output.dispose();
  }
  return results;
}
