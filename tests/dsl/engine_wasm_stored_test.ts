import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import type { BackendWasm } from "@tensorflow/tfjs-backend-wasm";
import * as tf from "@tensorflow/tfjs-core";
import { compile } from "../../dsl/compile/mod.ts";
import { useBackend } from "../../dsl/engine/mod.ts";
import { storedForm } from "../../dsl/engine/stored.ts";
import { registerWasmKernels } from "../../dsl/engine/wasm/mod.ts";
import { held, widened } from "../../dsl/hold.ts";
import { fromBfloat16, toBfloat16 } from "../../dsl/safetensors/dtype.ts";
import { numbers, random, testKernels, variants } from "../support/wasm_kernels.ts";

/** Numbers of bfloat16, as a tensor that is kept in it and as one of float32. */
function pair(shape: readonly number[], seed: number): readonly [half: tf.Tensor, full: tf.Tensor] {
  const data = toBfloat16(numbers(tf.util.sizeFromShape([...shape]), seed));
  const half = held({ dtype: "BF16", shape, data }, "bf16");
  assertEquals(storedForm(half), "bf16");
  return [half, tf.tensor(fromBfloat16(data), [...shape])];
}

/** Asserts that x W^T (+ bias) of two forms of W are the same to the rounding of sums. */
function assertSame(found: tf.Tensor, expected: tf.Tensor, depth: number, what: string): void {
  assertEquals(found.shape, expected.shape, what);
  const [a, b] = [found.dataSync(), expected.dataSync()];
  // Numbers are at most 3.
  a.forEach((value, i) => assertAlmostEquals(value, b[i], 9 * depth * 2 ** -22, `${what}, [${i}]`));
}

testKernels("a product with a matrix kept in bfloat16 is that of its numbers, for every size of edge", () => {
  for (const rows of [1, 2, 3, 5, 64, 65]) {
    for (const columns of [1, 2, 3, 4, 5, 7, 8, 130]) {
      for (const depth of [1, 7, 8, 9, 24, 100]) {
        tf.tidy(() => {
          const [half, full] = pair([columns, depth], columns + depth);
          const x = random([rows, depth], rows);
          const what = `[${rows}, ${depth}] by [${columns}, ${depth}]`;
          assertSame(tf.matMul(x, half, false, true), tf.matMul(x, full, false, true), depth, what);
          const bias = random([columns], 9);
          const fused = (b: tf.Tensor) =>
            tf.fused.matMul({ a: x as tf.Tensor2D, b: b as tf.Tensor2D, bias, transposeB: true });
          assertSame(fused(half), fused(full), depth, `${what} and a bias`);
        });
      }
    }
  }
});

testKernels("what is kept in bfloat16 can be read, and every other kernel gets its numbers", () => {
  tf.tidy(() => {
    const [half, full] = pair([6, 20], 3);
    const x = random([4, 6], 1);
    assertEquals(half.dataSync(), full.dataSync());
    const cases: Readonly<Record<string, (w: tf.Tensor) => tf.Tensor>> = {
      "not transposed": (w) => tf.matMul(x, w),
      "as left factor": (w) => tf.matMul(w, random([20, 3], 2)),
      "by itself": (w) => tf.matMul(w, w, false, true),
      "with a ReLU": (w) =>
        tf.fused.matMul({
          a: random([2, 20], 2) as tf.Tensor2D,
          b: w as tf.Tensor2D,
          transposeB: true,
          activation: "relu",
        }),
      "element by element": (w) => tf.mul(tf.add(w, 1), w),
      "transposed": (w) => tf.transpose(w),
      "joined": (w) => tf.concat([w, w], 1),
      "a part": (w) => tf.slice(tf.reshape(w, [120]), [7], [20]),
      "rows": (w) => tf.gather(w, tf.tensor2d([[5, 0], [0, 3]], undefined, "int32")),
      "columns": (w) => tf.gather(w, tf.tensor1d([19, 0, 3], "int32"), 1),
      "a copy": (w) => tf.clone(w),
      "a kernel of tfjs's": (w) => tf.pad(w, [[1, 2], [0, 3]]),
      "one borrowed from the cpu": (w) => tf.cumsum(w, 1),
      "a mean": (w) => tf.mean(w, 1),
      "widened": widened,
    };
    for (const [name, of] of Object.entries(cases)) {
      const [found, expected] = [of(half), of(full)];
      assertEquals(storedForm(found), undefined, name);
      assertEquals(found.shape, expected.shape, name);
      const values = expected.dataSync();
      found.dataSync().forEach((value, i) => assertAlmostEquals(value, values[i], 1e-4, name));
      const compiled = compile(of);
      const again = compiled(half).dataSync();
      again.forEach((value, i) => assertAlmostEquals(value, values[i], 1e-4, `${name}, compiled`));
      compiled.dispose();
    }
    const beyond = tf.tensor1d([6], "int32");
    assertThrows(() => tf.gather(half, beyond), Error, "not in [0, 5]");
  });
});

testKernels("a compiled function closes over what is kept in bfloat16", () => {
  tf.tidy(() => {
    const [half, full] = pair([40, 24], 5);
    const compiled = compile((x: tf.Tensor) => tf.add(tf.matMul(x, half, false, true), tf.sum(half)));
    const x = random([3, 24], 2);
    const expected = tf.add(tf.matMul(x, full, false, true), tf.sum(full));
    assertSame(compiled(x), expected, 1000, "closed over");
    compiled.dispose();
  });
});

Deno.test("a matrix in bfloat16 takes half of the memory and gives it back", async () => {
  await useBackend("wasm");
  const { wasm } = tf.backend() as unknown as { readonly wasm: { _malloc: (bytes: number) => number } };
  const { _malloc: malloc } = wasm;
  const taken: number[] = [];
  wasm._malloc = (bytes) => {
    taken.push(bytes);
    return malloc(bytes);
  };
  const before = [tf.memory().numTensors, tf.backend().numDataIds()];
  try {
    const [half, full] = pair([512, 300], 1);
    assertEquals(taken, [512 * 300 * 2, 512 * 300 * 4]);
    tf.dispose([half, full]);
  } finally {
    wasm._malloc = malloc;
  }
  assertEquals([tf.memory().numTensors, tf.backend().numDataIds()], before);
});

Deno.test("an engine that keeps no bfloat16 has its numbers in float32", async () => {
  await useBackend("cpu");
  const tensor = held({ dtype: "BF16", shape: [2], data: toBfloat16(Float32Array.of(1, 2)) }, "bf16");
  assertEquals([storedForm(tensor), [...tensor.dataSync()]], [undefined, [1, 2]]);
  tensor.dispose();
});

for (const variant of variants) {
  Deno.test(`products with bfloat16 have the same bytes on any number of threads (${variant})`, async () => {
    await useBackend("wasm");
    const backend = tf.backend() as BackendWasm;
    const indices = Array.from({ length: 300 }, (_, i) => i * 37 % 1001);
    const results = () =>
      tf.tidy(() => {
        const [half] = pair([1001, 500], 7);
        const products = [1, 2, 7].map((rows) => tf.matMul(random([rows, 500], rows), half, false, true));
        const rows = tf.gather(half, tf.tensor1d(indices, "int32"));
        return [...products, rows, tf.transpose(half)].map((each) => each.dataSync().slice());
      });
    let expected: readonly ArrayLike<number>[] | undefined;
    for (const threads of [1, 2, 3, 8]) {
      const registration = await registerWasmKernels(backend, [variant], threads);
      try {
        const found = results();
        expected ??= found;
        found.forEach((each, i) =>
          assert(Array.from(each).every((value, k) => value === expected![i][k]), `${i}, ${threads} threads`)
        );
      } finally {
        registration?.undo();
      }
    }
  });
}
