/** What the tests of our kernels for tfjs-wasm share. @module */
import { assert, assertEquals } from "@std/assert";
import type { BackendWasm } from "@tensorflow/tfjs-backend-wasm";
import * as tf from "@tensorflow/tfjs-core";
import { useBackend } from "../../dsl/engine/mod.ts";
import { registerWasmKernels } from "../../dsl/engine/wasm/mod.ts";
import type { Variant } from "../../dsl/engine/wasm/module.ts";

/** Both ways in which the kernels are compiled. */
export const variants: readonly Variant[] = ["fused", "plain"];

/** Registers a test that runs once with each compilation of the kernels and must leave no tensor behind. */
export function testKernels(name: string, body: () => void | Promise<void>): void {
  for (const variant of variants) {
    Deno.test(`${name} (${variant})`, async () => {
      await useBackend("wasm");
      const registration = await registerWasmKernels(tf.backend() as BackendWasm, [variant]);
      assertEquals(registration?.variant, variant);
      const before = { tensors: tf.memory().numTensors, buffers: tf.backend().numDataIds() };
      try {
        tf.engine().startScope();
        await body();
      } finally {
        tf.engine().endScope();
        registration?.undo();
      }
      assertEquals({ tensors: tf.memory().numTensors, buffers: tf.backend().numDataIds() }, before);
    });
  }
}

/** Deterministic numbers of a normal distribution's size, in [-3, 3]. */
export function numbers(count: number, seed: number): Float32Array {
  let state = seed >>> 0 || 1;
  return Float32Array.from({ length: count }, () => {
    state = Math.imul(state, 1664525) + 1013904223 >>> 0;
    return (state / 2 ** 32 - 0.5) * 6;
  });
}

/** A tensor of them. */
export function random(shape: readonly number[], seed: number): tf.Tensor {
  return tf.tensor(numbers(tf.util.sizeFromShape([...shape]), seed), [...shape]);
}

/** Distance between neighbouring float32 numbers at x. */
export function ulp(x: number): number {
  return 2 ** (Math.max(Math.floor(Math.log2(Math.abs(x))), -126) - 23);
}

/** Asserts that every value is within `ulps` of the expected float64 number, and as infinite or not a number as it. */
export function assertUlps(values: ArrayLike<number>, expected: ArrayLike<number>, ulps: number, what: string): void {
  assertEquals(values.length, expected.length, what);
  for (let i = 0; i < values.length; i++) {
    const single = Math.fround(expected[i]);
    const same = Object.is(values[i], single) || values[i] === single;
    const error = Math.abs(values[i] - expected[i]) / ulp(expected[i]);
    assert(same || error <= ulps, `${what}: [${i}] is ${values[i]}, expected ${expected[i]}, off by ${error} ulp`);
  }
}

/** The same tensor computed by the cpu backend. */
export async function onCpu(compute: () => tf.Tensor): Promise<Float32Array> {
  await useBackend("cpu");
  const result = tf.tidy(compute);
  const values = await result.data<"float32">();
  result.dispose();
  await useBackend("wasm");
  return values;
}

/** Calls one of our kernels by name. */
export function call(name: string, inputs: tf.NamedTensorMap, attrs: tf.NamedAttrMap = {}): tf.Tensor[] {
  const result: tf.Tensor | tf.Tensor[] = tf.engine().runKernel(name, inputs, attrs);
  return Array.isArray(result) ? result : [result];
}

/** erf by its series below 3 and the continued fraction of erfc above, in float64. */
export function erf(x: number): number {
  if (Number.isNaN(x)) return NaN;
  const size = Math.abs(x);
  if (size > 6) return Math.sign(x);
  if (size < 3) {
    let [term, sum] = [x, x];
    for (let n = 1; Math.abs(term) > 1e-18 * Math.abs(sum); n++) {
      term *= -x * x / n;
      sum += term / (2 * n + 1);
    }
    return 2 / Math.sqrt(Math.PI) * sum;
  }
  let fraction = size;
  for (let n = 60; n > 0; n--) fraction = size + n / 2 / fraction;
  return Math.sign(x) * (1 - Math.exp(-size * size) / (Math.sqrt(Math.PI) * fraction));
}

/** SHA-256 of the bytes of each of a case's results: comparing those takes seconds, and so does a `tidy` that returns them. */
export async function bytesOf(compute: () => tf.Tensor | tf.Tensor[]): Promise<readonly string[]> {
  const outputs = tf.tidy(() => [compute()].flat());
  const digests = await Promise.all(outputs.map(async (each) => {
    const bytes = new Uint8Array((await each.data()).slice().buffer);
    return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
  }));
  tf.dispose(outputs);
  return digests;
}
