/** Products that are joined to larger ones, sums that take their place, and terms that are added again. @module */
import { assertEquals } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import type { Program } from "../../dsl/compile/program.ts";
import { joinProducts } from "../../dsl/compile/tensorflow/join_products.ts";
import { multiplyColumns, multiplyRankOne } from "../../dsl/compile/tensorflow/rank_one.ts";
import { addBiasesAgain } from "../../dsl/compile/tensorflow/values.ts";
import { simplify } from "../../dsl/compile/mod.ts";
import { removeDead } from "../../dsl/compile/passes.ts";
import { trace } from "../../dsl/compile/trace.ts";
import { adapt } from "../../adapters/mod.ts";
import { apply, gaussian, init, isTrainable, key, linear, partition } from "../../dsl/mod.ts";
import { changedBy, testTidily } from "../support/passes.ts";

/** Products of matrices, by the shape of what they make. */
function products({ calls, types }: Program): readonly string[] {
  return calls.filter(({ kernel }) => kernel === "BatchMatMul").map(({ outputs: [value] }) => `${types[value].shape}`);
}

function of(shape: readonly number[], seed: number): tf.Tensor {
  return tf.randomNormal([...shape], 0, 0.2, "float32", seed);
}

/** The program of a function before and after a pass, whose results are the same but for the order of sums. */
function changed(
  f: (inputs: readonly tf.Tensor[]) => tf.Tensor[],
  given: readonly tf.Tensor[],
  pass: (program: Program) => Program,
): readonly [Program, Program] {
  const before = simplify(trace((inputs) => f(inputs), given.map(({ shape, dtype }) => ({ shape, dtype }))));
  return changedBy(pass, before, given);
}

/** Gradients of three projections of the same activations, as attention has them, for a method. */
function projections(method: string): readonly [(inputs: readonly tf.Tensor[]) => tf.Tensor[], readonly tf.Tensor[]] {
  const layer = adapt(method)(linear(72, 80, { weight: gaussian(0.1) }));
  const params = [1, 2, 3].map((seed) => init(layer, key(seed)));
  const places = params.map((each) => partition<tf.Tensor>(isTrainable(layer))(each));
  const paths = Object.keys(places[0].kept);
  const f = ([x, ...given]: readonly tf.Tensor[]) => {
    const loss = (x: tf.Tensor, ...given: tf.Tensor[]) => {
      const parts = places.map(({ rest }, i) => {
        const trained = Object.fromEntries(paths.map((path, k) => [path, given[i * paths.length + k]]));
        return tf.tanh(apply(layer, { ...rest, ...trained })(x));
      });
      return tf.sum(tf.mul(tf.mul(parts[0], parts[1]), parts[2])) as tf.Scalar;
    };
    return tf.grads(loss)([x, ...given]);
  };
  return [f, [of([10, 72], 1), ...places.flatMap(({ kept }) => paths.map((path) => kept[path]))]];
}

for (const [method, gradients] of [["all", ["240,72"]], ["bitfit", []], ["1lora", ["10,1", "240,1"]]] as const) {
  testTidily(`${method}: three products of the same activations are one, and so are their gradients`, () => {
    const [f, given] = projections(method);
    const prepared = (program: Program) => multiplyRankOne(program);
    const [, after] = changed(f, given, (program) => removeDead(joinProducts(prepared(program))));
    assertEquals([...products(after)].sort(), ["10,240", "10,72", ...gradients].sort());
  });
}

testTidily("products stay where something else reads what they are of, or where weights depend on them", () => {
  const given = [[10, 72], [80, 72], [80, 72], [80, 72]].map(of);
  // The results themselves, and a product that reads one: parts of a matrix would be copied for both.
  const outputs = ([x, ...weights]: readonly tf.Tensor[]) => weights.map((w) => tf.matMul(x, w, false, true));
  assertEquals(...changed(outputs, given, joinProducts).map(products) as [string[], string[]]);
  const chained = ([x, a, b]: readonly tf.Tensor[]) => {
    const first = tf.tanh(tf.matMul(x, a, false, true));
    return [tf.tanh(tf.matMul(x, tf.mul(b, tf.sum(first)), false, true))];
  };
  assertEquals(...changed(chained, given, joinProducts).map(products) as [string[], string[]]);
  // A gradient that is read besides.
  const read = ([x, a, b]: readonly tf.Tensor[]) => {
    const [one, other] = [tf.tanh(tf.matMul(x, a, false, true)), tf.tanh(tf.matMul(x, b, false, true))];
    return [tf.add(tf.matMul(one, a), tf.matMul(other, b)), tf.sum(tf.square(one), 0)];
  };
  const [before, after] = changed(read, given, joinProducts);
  assertEquals(
    products(after).filter((shape) => shape === "10,72").length,
    products(before).filter((shape) => shape === "10,72").length,
  );
});

testTidily("products of a matrix and a column are sums", () => {
  const given = [[130, 140], [140, 1], [130, 1], [1, 140]].map(of);
  const f = ([x, column, other, row]: readonly tf.Tensor[]) => [
    tf.matMul(x, column),
    tf.matMul(x, other, true),
    tf.matMul(x, row, false, true),
  ];
  const [, after] = changed(f, given, multiplyColumns);
  assertEquals(products(after), []);
  const small = [[20, 30], [30, 1]].map(of);
  assertEquals(products(changed(([x, column]) => [tf.matMul(x, column)], small, multiplyColumns)[1]).length, 1);
});

testTidily("what is added to a product is added again for a reader that comes much later", () => {
  const given = [[300, 128], [128, 128], [128]].map(of);
  const f = ([x, w, bias]: readonly tf.Tensor[]) => {
    const sum = tf.add(tf.matMul(x, w), bias);
    let y: tf.Tensor = tf.tanh(sum);
    for (let i = 0; i < 70; i++) y = tf.sin(y);
    return [tf.mul(y, tf.exp(sum))];
  };
  const [before, after] = changed(f, given, addBiasesAgain);
  const adds = ({ calls }: Program) => calls.filter(({ kernel }) => kernel === "Add").length;
  assertEquals([adds(before), adds(after)], [1, 2]);
  assertEquals(products(after).length, 1);
});
