/**
 * Our kernels for tfjs-wasm against tfjs-wasm's, in one run: `deno run --allow-read --ignore-env scripts/tools/bench/kernels.ts`.
 *
 * @module
 */

import type { BackendWasm } from "@tensorflow/tfjs-backend-wasm";
import * as tf from "@tensorflow/tfjs-core";
import { registerWasmKernels } from "../../../dsl/engine/wasm/mod.ts";

/** One thing to measure. */
interface Case {
  readonly name: string;
  /** Floating-point operations of a product, bytes read and written of everything else. */
  readonly work: number;
  readonly unit: "GFLOP/s" | "GB/s";
  readonly run: () => tf.Tensor;
}

function product(a: readonly number[], b: readonly number[], transposeA = false, transposeB = false): Case {
  const [left, right] = [a, b].map((shape, i) => tf.randomNormal([...shape], 0, 1, "float32", i + 1));
  const columns = b[b.length - (transposeB ? 2 : 1)];
  const name = `[${a}]${transposeA ? "ᵀ" : ""} by [${b}]${transposeB ? "ᵀ" : ""}`;
  const run = () => tf.matMul(left, right, transposeA, transposeB);
  return { name, work: 2 * left.size * columns, unit: "GFLOP/s", run };
}

function pass(name: string, tensors: number, run: () => tf.Tensor): Case {
  return { name, work: tensors * 3200 * 384 * 4, unit: "GB/s", run };
}

/** Least time of a call, in milliseconds, over about a tenth of a second. */
function measure({ run }: Case): number {
  let least = Infinity;
  const end = performance.now() + 150;
  for (let i = 0; i < 8 || performance.now() < end; i++) {
    const began = performance.now();
    run().dispose();
    least = Math.min(least, performance.now() - began);
  }
  return least;
}

await import("@tensorflow/tfjs-backend-wasm");
await tf.setBackend("wasm");
// Before anything is allocated, as `useBackend` does it: V8 then knows the kernels' constant addresses to be in bounds.
const registration = await registerWasmKernels(tf.backend() as BackendWasm);
if (registration === undefined) throw new Error("this JavaScript engine has no SIMD");
const own = registration.names.map((name) => tf.getKernel(name, "wasm"));
registration.undo();

const [x, y] = [tf.randomNormal([3200, 384], 0, 1, "float32", 1), tf.randomNormal([3200, 384], 0, 1, "float32", 1)];
const heads = tf.randomNormal([64, 50, 4, 96], 0, 1, "float32", 1);
const scores = tf.randomNormal([256, 50, 50], 0, 1, "float32", 1);
const rows = tf.range(0, 3200, 1, "int32");
const cases: readonly Case[] = [
  product([3200, 96], [96, 384]),
  product([3200, 96], [384, 96], false, true),
  product([3200, 384], [96, 384], false, true),
  product([3200, 96], [3200, 384], true),
  product([256, 50, 24], [256, 50, 24], false, true),
  product([256, 50, 50], [256, 50, 24]),
  product([256, 50, 50], [256, 50, 24], true),
  product([12, 197, 64], [12, 197, 64], false, true),
  product([197, 768], [768, 3072]),
  product([1970, 768], [768, 768], false, true),
  product([1, 768], [768, 3072]),
  product([1, 768], [3072, 768], false, true),
  product([4, 768], [768, 3072]),
  product([3200, 96], [96, 10]),
  ...Object.entries({ exp: tf.exp, tanh: tf.tanh, erf: tf.erf, sigmoid: tf.sigmoid, rsqrt: tf.rsqrt })
    .map(([name, f]) => pass(name, 2, () => f(x))),
  pass("maximum", 3, () => tf.maximum(x, y)),
  pass("squared difference", 3, () => tf.squaredDifference(x, y)),
  pass("sum, first axis", 1, () => tf.sum(x, 0)),
  pass("sum, last axis", 1, () => tf.sum(x, -1)),
  pass("max, last axis", 1, () => tf.max(x, -1)),
  pass("softmax of 384", 2, () => tf.softmax(x)),
  { ...pass("softmax of 50", 2, () => tf.softmax(scores)), work: 2 * 4 * scores.size },
  pass("transpose", 2, () => tf.transpose(x)),
  pass("transpose 0,2,1,3", 2, () => tf.transpose(heads, [0, 2, 1, 3])),
  pass("transpose 0,2,3,1", 2, () => tf.transpose(heads, [0, 2, 3, 1])),
  pass("gather rows", 2, () => tf.gather(x, rows)),
  pass("tile", 1, () => tf.tile(tf.ones([384]), [3200])),
];

const theirs = cases.map(measure);
for (const kernel of own) {
  if (tf.getKernel(kernel.kernelName, "wasm")) tf.unregisterKernel(kernel.kernelName, "wasm");
  tf.registerKernel(kernel);
}
const ours = cases.map(measure);
console.log(
  `${"".padEnd(36)}${"tfjs-wasm".padStart(18)}${`ours (${registration.variant})`.padStart(18)}${"ratio".padStart(8)}`,
);
cases.forEach(({ name, work, unit }, i) => {
  const speed = (milliseconds: number) => `${(work / milliseconds / 1e6).toFixed(1)} ${unit}`.padStart(18);
  console.log(`${name.padEnd(36)}${speed(theirs[i])}${speed(ours[i])}${(theirs[i] / ours[i]).toFixed(1).padStart(8)}`);
});
