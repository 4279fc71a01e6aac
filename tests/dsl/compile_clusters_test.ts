/** What calls of a program are compiled into one kernel of a TensorFlow graph. @module */
import { assertEquals } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { type Program, useBackend } from "../../dsl/mod.ts";
import { apart, trace } from "../../dsl/compile/trace.ts";
import { replayer } from "../../dsl/compile/replay.ts";
import { clustersOf } from "../../dsl/compile/tensorflow/clusters.ts";
import { nothingHalved } from "../../dsl/compile/tensorflow/half.ts";
import { sinkTails } from "../../dsl/compile/tensorflow/sink.ts";
import { assertClose, withoutLeaks } from "../support/compare.ts";

const matrix = { shape: [6, 4], dtype: "float32" } as const;
const row = { shape: [4], dtype: "float32" } as const;

/** Kernels of each cluster. */
function kernels(program: Program): string[] {
  return clustersOf(program, 1, nothingHalved).map((cluster) => cluster.map((i) => program.calls[i].kernel).join(" "));
}

await useBackend("cpu");

Deno.test("a sum down columns is compiled with its terms, and apart from what makes what it reads", () => {
  const program = trace(([x, y, bias]) => {
    const dy = tf.mul(tf.exp(x), y);
    const gain = tf.sum(tf.mul(dy, tf.sub(y, bias)), 0);
    return [tf.matMul(dy, y, true), tf.div(gain, bias), tf.sum(dy, 0)];
  }, [matrix, matrix, row]);
  assertEquals(kernels(program), ["Exp Multiply", "Sub Multiply Sum", "Sum"]);
});

Deno.test("terms that something else reads too are not computed twice", () => {
  const program = trace(([x, y]) => {
    const product = tf.mul(x, y);
    return [tf.sum(product, 0), tf.matMul(tf.exp(product), y, true)];
  }, [matrix, matrix]);
  assertEquals(kernels(program), ["Multiply Exp", "Sum"]);
});

Deno.test("a norm of several gradients does not join the sums that it reads", () => {
  const program = trace(([x, y]) => {
    const gradients = [tf.sum(x, 0), tf.sum(y, 0)];
    return [tf.addN(gradients.map((each) => tf.sum(tf.square(each))))];
  }, [matrix, matrix]);
  assertEquals(kernels(program).slice(0, 2), ["Sum", "Sum"]);
});

/** Two backward passes: x W^T + c, with a number for each row, and what follows it. */
function tails([x, weight, column, gain]: readonly tf.Tensor[]): tf.Tensor[] {
  const dx = apart(() => tf.add(tf.matMul(x, weight, false, true), column));
  const reshaped = tf.reshape(dx, [2, 3, 4]);
  return [apart(() => tf.mul(tf.exp(reshaped), gain))];
}

const types = [matrix, { shape: [4, 4], dtype: "float32" }, { shape: [6, 1], dtype: "float32" }, row] as const;

Deno.test("the end of a backward pass moves into the region that reads it", () => {
  const program = trace(tails, types);
  const summary = ({ calls }: Program) => calls.map(({ kernel, region }) => [kernel, region]);
  const [first, second] = new Set(program.calls.map(({ region }) => region).filter((region) => region !== 0));
  const sunk = sinkTails(program);
  assertEquals(summary(sunk).filter(([kernel]) => ["BatchMatMul", "Add", "Exp"].includes(String(kernel))), [
    ["BatchMatMul", first],
    ["Add", second],
    ["Exp", second],
  ]);
  assertEquals(kernels(program), ["Exp Multiply"]);
  assertEquals(kernels(sunk), ["Add Reshape Exp Multiply"]);
});

Deno.test("a bias stays with its product", () => {
  const biased = [matrix, types[1], row, row] as const;
  const { calls } = sinkTails(trace(tails, biased));
  const regionOf = (kernel: string) => calls.find((call) => call.kernel === kernel)?.region;
  assertEquals(regionOf("Add"), regionOf("BatchMatMul"));
});

Deno.test("what two regions read stays where it is, and the results of a program too", () => {
  const program = trace(([x, y]) => {
    const sum = apart(() => tf.add(x, y));
    const result = apart(() => tf.add(x, x));
    return [apart(() => tf.exp(sum)), apart(() => tf.sqrt(sum)), result, apart(() => tf.exp(result))];
  }, [matrix, matrix]);
  assertEquals(sinkTails(program).calls, program.calls);
});

Deno.test("a program whose ends have moved computes the same", async () => {
  await withoutLeaks(() => {
    const inputs = types.map(({ shape }, i) => tf.randomNormal([...shape], 0, 1, "float32", i + 1));
    const program = trace(tails, types);
    const [before, after] = [program, sinkTails(program)].map((program) => replayer(program));
    assertClose(after.run(inputs)[0], before.run(inputs)[0], 0, "moved");
    [before, after].forEach(({ dispose }) => dispose());
    return Promise.resolve();
  });
});
