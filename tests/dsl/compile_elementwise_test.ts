import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import type { BackendWasm } from "@tensorflow/tfjs-backend-wasm";
import * as tf from "@tensorflow/tfjs-core";
import { compile, useBackend } from "../../dsl/mod.ts";
import { registerWasmKernels } from "../../dsl/engine/wasm/mod.ts";
import { microModels, microStep } from "../support/micro_steps.ts";
import { onCpu, random, testKernels } from "../support/wasm_kernels.ts";

/** What is computed from x and y, tensors of 4 x 6 x 35, and things that are broadcast to them. */
const functions: Readonly<Record<string, (x: tf.Tensor, y: tf.Tensor) => tf.Tensor>> = {
  arithmetic: (x, y) => tf.div(tf.sub(tf.mul(x, y), tf.add(x, 0.5)), tf.add(tf.abs(y), 1)),
  extremes: (x, y) => tf.maximum(tf.minimum(x, y), tf.neg(tf.square(x))),
  roots: (x, y) => tf.mul(tf.rsqrt(tf.add(tf.abs(x), 1)), tf.sqrt(tf.reciprocal(tf.add(tf.square(y), 2)))),
  exponentials: (x, y) => tf.mul(tf.exp(x), tf.sigmoid(y)),
  "linear units": (x, y) =>
    tf.mul(
      tf.add(tf.relu(x), tf.mul(tf.step(y, 0.25), tf.clipByValue(x, -1, 0.5))),
      tf.sub(tf.clipByValue(y, -Infinity, 1), tf.clipByValue(x, 0.5, Infinity)),
    ),
  comparisons: (x, y) =>
    tf.where(
      tf.logicalOr(tf.logicalAnd(tf.less(x, y), tf.greaterEqual(x, -1)), tf.logicalNot(tf.lessEqual(y, 2))),
      tf.squaredDifference(x, y),
      tf.cast(tf.notEqual(tf.relu(x), 0), "float32"),
    ),
  "rows, columns and numbers": (x, y) => {
    const [row, column] = [tf.slice(y, [0, 0, 0], [1, 1, 35]), tf.slice(y, [0, 0, 0], [4, 1, 1])];
    const middle = tf.slice(x, [0, 0, 0], [1, 6, 1]);
    const plane = tf.slice(x, [0, 0, 0], [4, 1, 35]);
    return tf.mul(tf.add(tf.mul(tf.sub(row, x), column), tf.mul(middle, 3)), plane);
  },
  "other shapes of the same tensor": (x, y) => {
    const flat = tf.reshape(tf.mul(x, 2), [24, 35]);
    const scaled = tf.mul(flat, tf.reshape(tf.slice(y, [0, 0, 0], [4, 6, 1]), [24, 1]));
    return tf.add(tf.reshape(scaled, [4, 6, 35]), tf.reshape(tf.slice(x, [0, 0, 0], [1, 6, 35]), [6, 35]));
  },
  "a result read in between": (x, y) => {
    const product = tf.mul(x, y);
    return tf.add(product, tf.mul(tf.sum(product, -1, true), tf.sub(product, 1)));
  },
};

for (const [name, f] of Object.entries(functions)) {
  testKernels(`${name}: one kernel computes what many do`, async () => {
    const [x, y] = [random([4, 6, 35], 1), random([4, 6, 35], 2)];
    const [fused, plain] = [compile(f), compile(f, { fuse: false })];
    const kernels = fused.program(x, y).calls.map(({ kernel }) => kernel);
    assertEquals(kernels.filter((kernel) => kernel === "Elementwise").length, name.includes("between") ? 2 : 1);
    const [found, expected] = [fused(x, y), plain(x, y)].map((tensor) => tensor.dataSync());
    const reference = await onCpu(() => f(x, y));
    assertEquals(found.length, 4 * 6 * 35);
    // Those of tfjs's own kernels may round otherwise than ours.
    found.forEach((value, i) => assertAlmostEquals(value, expected[i], 1e-6 * Math.abs(expected[i]), `${i}`));
    found.forEach((value, i) => assertAlmostEquals(value, reference[i], 1e-5 * (1 + Math.abs(reference[i])), `${i}`));
    fused.dispose();
    plain.dispose();
  });
}

testKernels("NaN and infinities go through as they do through the kernels one by one", () => {
  const values = [NaN, Infinity, -Infinity, 0, -0, 1e-40, 3e38, -3e38];
  const x = tf.tensor1d(Array.from({ length: 512 }, (_, i) => values[i % 8]));
  const y = tf.tensor1d(Array.from({ length: 512 }, (_, i) => values[Math.floor(i / 8) % 8]));
  const f = (
    x: tf.Tensor,
    y: tf.Tensor,
  ) => [tf.add(tf.exp(x), tf.sigmoid(y)), tf.mul(tf.maximum(x, y), tf.sigmoid(x)), tf.div(tf.sub(x, y), tf.exp(y))];
  const [fused, plain] = [compile(f), compile(f, { fuse: false })];
  const [found, expected] = [fused(x, y), plain(x, y)].map((all) => all.map((each) => [...each.dataSync()]));
  assertEquals(found, expected);
  fused.dispose();
  plain.dispose();
});

for (const name of microModels) {
  Deno.test(`a step of ${name} with fused kernels is the step without, on any number of threads`, async () => {
    await useBackend("wasm");
    const { step, state, batch } = await microStep(name, "1lora");
    const leaves = (options: { fuse: boolean }) => {
      const compiled = compile(step, options);
      const count = compiled.program(state, batch).calls.filter(({ kernel }) => kernel === "Elementwise").length;
      assertEquals(count > 0, options.fuse);
      const [next, metrics] = compiled(state, batch);
      const all = [...Object.values(next.trained), ...Object.values(next.optimiser), metrics.loss];
      const bytes = all.map((tensor) => new Uint8Array(tensor.dataSync().slice().buffer));
      compiled.dispose();
      return bytes;
    };
    const expected = leaves({ fuse: false });
    const found = leaves({ fuse: true });
    assert(expected.length > 3);
    expected.forEach((bytes, i) => assertEquals(found[i], bytes, `${name}, result ${i}`));
    for (const threads of [2, 3]) {
      const registration = await registerWasmKernels(tf.backend() as BackendWasm, undefined, threads);
      try {
        assertEquals(leaves({ fuse: true }), found, `${threads} threads`);
      } finally {
        registration?.undo();
      }
    }
    tf.dispose([state, batch] as unknown as tf.TensorContainer);
  });
}
