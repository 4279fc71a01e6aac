/** Rewrites after which activations are gone over once. @module */
import { assert, assertEquals } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import type { Pass } from "../../dsl/compile/passes.ts";
import type { Program } from "../../dsl/compile/program.ts";
import { halve } from "../../dsl/compile/tensorflow/half.ts";
import { centreSoftmaxGradients, joinColumnSums } from "../../dsl/compile/tensorflow/one_pass.ts";
import { asRows } from "../../dsl/compile/tensorflow/rows.ts";
import { simplify } from "../../dsl/compile/mod.ts";
import { trace } from "../../dsl/compile/trace.ts";
import { attention } from "../../dsl/mod.ts";
import { changedBy, testTidily } from "../support/passes.ts";

type Function = (inputs: readonly tf.Tensor[]) => tf.Tensor[];

function of(shape: readonly number[], seed: number, mean = 0): tf.Tensor {
  return tf.randomNormal([...shape], mean, 1, "float32", seed);
}

/** The program of a function before and after a pass, whose results are the same but for the order of sums. */
function changed(f: Function, given: readonly tf.Tensor[], pass: Pass): readonly [Program, Program] {
  const types = given.map(({ shape, dtype }) => ({ shape, dtype }));
  const before = simplify(asRows(simplify(trace((inputs) => f(inputs), types, { whole: true }))));
  return changedBy(pass, before, given);
}

function count({ calls }: Program, kernel: string): number {
  return calls.filter((call) => call.kernel === kernel).length;
}

testTidily("gradients of a softmax are computed from centred rows", () => {
  const mask = tf.tensor2d([[0, -1e9, -1e9], [0, 0, -1e9], [0, 0, 0]]);
  for (const given of [undefined, mask]) {
    const f: Function = ([q, k, v, dy]) => {
      const loss = (q: tf.Tensor, k: tf.Tensor, v: tf.Tensor) =>
        tf.sum(tf.mul(attention(q as tf.Tensor4D, k as tf.Tensor4D, v as tf.Tensor4D, { mask: given }), dy));
      return tf.grads(loss as (...args: tf.Tensor[]) => tf.Scalar)([q, k, v]);
    };
    const shape = [2, 2, 3, 4];
    const tensors = [of(shape, 1), of(shape, 2), of(shape, 3), of(shape, 4, 5)];
    const [before, after] = changed(f, tensors, centreSoftmaxGradients);
    assertEquals(count(after, "Mean"), count(before, "Mean") + 1);
  }
});

testTidily("what is no softmax is not centred", () => {
  const f: Function = ([y, dy]) => {
    const product = tf.mul(y, dy);
    return [tf.sub(product, tf.mul(y, tf.sum(product, 1, true)))];
  };
  const [before, after] = changed(f, [of([6, 5], 1), of([6, 5], 2)], centreSoftmaxGradients);
  assertEquals(after.calls.length, before.calls.length);
});

/** Sums down the columns of three matrices of many rows, and something made of two of them at the end. */
const columnSums: Function = ([a, b, c]) => {
  const [x, y, z] = [tf.sum(tf.square(a), 0), tf.sum(tf.sin(b), 0, true), tf.sum(c, 0)];
  return [tf.concat([x, tf.reshape(y, [-1])]), tf.mul(z, 2), tf.neg(x)];
};

testTidily("sums down the columns of many rows are added up together", () => {
  const given = [of([1156, 3], 1), of([1156, 5], 2), of([1024, 4], 3)];
  const [, after] = changed(columnSums, given, joinColumnSums);
  // Parts of both, and both; of other numbers of parts there is one alone, which stays.
  assertEquals(count(after, "Sum"), 4);
  const shapes = after.calls.filter(({ kernel }) => kernel === "Sum").map(({ outputs: [value] }) =>
    after.types[value].shape
  );
  assertEquals(shapes.map((shape) => `${shape}`).sort(), ["34,3", "34,5", "4", "8"]);
});

testTidily("sums that products wait for, few rows, and rows without a divisor near their root stay", () => {
  const f: Function = ([a, b, c]) => {
    const early = tf.sum(a, 0, true);
    return [tf.matMul(early as tf.Tensor2D, b as tf.Tensor2D), tf.sum(b, 0), tf.sum(c, 0), tf.sum(tf.square(c), 0)];
  };
  const given = [of([1156, 3], 1), of([3, 4], 2), of([1031, 4], 3)];
  const [before, after] = changed(f, given, joinColumnSums);
  assertEquals(after.calls.length, before.calls.length);
});

testTidily("parts of sums stay in float32 where else bf16 is used", () => {
  const f: Function = ([x, w, b]) => {
    const y = tf.matMul(x as tf.Tensor2D, w as tf.Tensor2D);
    return [tf.sum(tf.mul(y, b), 0), tf.sum(tf.square(y), 0)];
  };
  const given = [of([1156, 128], 1), of([128, 256], 2), of([1156, 1], 3)];
  const [, after] = changed(f, given, joinColumnSums);
  const { values, products } = halve(after, 0);
  assert(products.size > 0);
  const parts = after.calls.filter(({ kernel }) => kernel === "Concat").flatMap(({ inputs }) => inputs);
  assertEquals(parts.map((value) => after.types[value].shape), [[34, 256], [34, 256]]);
  assert(parts.every((value) => !values.has(value)));
});
