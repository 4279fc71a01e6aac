import { assert, assertEquals } from "@std/assert";
import type { BackendWasm } from "@tensorflow/tfjs-backend-wasm";
import * as tf from "@tensorflow/tfjs-core";
import { useBackend } from "../../dsl/engine/mod.ts";
import { registerWasmKernels } from "../../dsl/engine/wasm/mod.ts";
import { importShared, withSharedMemory } from "../../dsl/engine/wasm/shared.ts";
import { splits } from "../../dsl/engine/wasm/split.ts";
import { ranges } from "../../dsl/engine/wasm/split_by.ts";
import { bytesOf, call, numbers, variants } from "../support/wasm_kernels.ts";

const drawn = new Map<string, Float32Array>();

/** A tensor of numbers that are drawn once for all rounds, which otherwise takes most of the time. */
function random(shape: readonly number[], seed: number): tf.Tensor {
  const size = tf.util.sizeFromShape([...shape]);
  const name = `${size} ${seed}`;
  const values = drawn.get(name) ?? numbers(size, seed);
  drawn.set(name, values);
  return tf.tensor(values, [...shape]);
}

/** Calls that are large enough to be shared, of odd sizes, for every function that is cut. */
const cases: Readonly<Record<string, () => tf.Tensor | tf.Tensor[]>> = {
  "product by rows": () => tf.matMul(random([1201, 65], 1), random([65, 301], 2)),
  "product by rows, left transposed": () => tf.matMul(random([333, 605], 1), random([333, 129], 2), true),
  "product by rows, right transposed": () => tf.matMul(random([1007, 128], 1), random([257, 128], 2), false, true),
  "product by columns": () => [
    tf.matMul(random([65, 301], 1), random([301, 1203], 2)),
    tf.matMul(random([301, 64], 1), random([301, 1203], 2), true),
    tf.matMul(random([7, 301], 1), random([1001, 301], 2), false, true),
    tf.fused.matMul({
      a: random([50, 600], 1) as tf.Tensor2D,
      b: random([600, 301], 2) as tf.Tensor2D,
      bias: random([301], 3),
      activation: "relu",
    }),
  ],
  "product of a batch": () => tf.matMul(random([37, 50, 33], 1), random([37, 33, 51], 2)),
  "product by a vector": () => tf.matMul(random([40001, 33], 1), random([33, 1], 2)),
  "vector by a matrix's rows": () => [
    tf.matMul(random([1999, 301], 1), random([1999, 1], 2), true),
    tf.matMul(random([1, 1999], 1), random([1999, 301], 2)),
  ],
  "rows that are no multiple of a tile": () => tf.matMul(random([13, 999], 1), random([999, 1000], 2)),
  "fused bias": () =>
    tf.fused.matMul({
      a: random([999, 64], 1) as tf.Tensor2D,
      b: random([64, 300], 2) as tf.Tensor2D,
      bias: random([300], 3),
    }),
  "unary": () => [tf.exp, tf.tanh, tf.erf, tf.sigmoid, tf.abs].map((f) => f(random([123457], 3))),
  "roots": () => [tf.sqrt, tf.rsqrt, tf.reciprocal].map((f) => f(tf.abs(random([300001], 4)))),
  "pairs": () =>
    [tf.add, tf.sub, tf.mul, tf.div, tf.maximum, tf.minimum, tf.squaredDifference]
      .map((f) => f(random([70001], 5), random([70001], 6))),
  "pairs of rows": () => [tf.add, tf.sub, tf.mul, tf.div].map((f) => f(random([501, 301], 7), random([301], 8))),
  "pairs of rows, swapped": () => [tf.sub, tf.div].map((f) => f(random([301], 7), random([501, 301], 8))),
  "pairs with columns": () => [tf.sub, tf.div].map((f) => f(random([501, 301], 9), random([501, 1], 10))),
  "pairs with a number": () => [tf.sub(random([100003], 11), 0.3), tf.sub(0.3, random([100003], 11))],
  "softmax": () => tf.softmax(random([997, 67], 12)),
  "sums": () => [
    tf.sum(random([997, 301], 13), 1),
    tf.sum(random([40, 97, 67], 14), 1),
    tf.sum(random([997, 301], 13), 0),
    tf.max(random([997, 301], 13), 1),
    tf.mean(random([1003, 77], 13), 0),
  ],
  "transpose":
    () => [tf.transpose(random([40, 77, 65], 15), [0, 2, 1]), tf.transpose(random([20, 30, 40, 8], 16), [0, 2, 1, 3])],
  "permutations": () => [
    tf.transpose(random([8, 3, 4, 14, 4, 14], 31), [0, 2, 4, 1, 3, 5]),
    tf.transpose(random([300, 7, 90], 32), [2, 1, 0]),
    tf.transpose(random([4, 90, 8, 60], 33), [0, 3, 2, 1]),
    tf.reverse(random([3, 3, 90, 111], 34), [0, 1]),
  ],
  "convolutions": () => {
    const x = random([3, 33, 31, 19], 35) as tf.Tensor4D;
    return [1, 2].flatMap((stride) => {
      const filter = random([3, 3, 19, 23], 36) as tf.Tensor4D;
      const y = tf.conv2d(x, filter, stride, "same");
      return [y, tf.conv2dTranspose(y, filter, x.shape, stride, "same")];
    });
  },
  "formulas": () => {
    const formula = (lengths: number[], inputs: number[][]) =>
      JSON.stringify({
        lengths,
        inputs,
        steps: [{ op: "sigmoid", args: [0] }, { op: "multiply", args: [1, 2] }, { op: "exp", args: [3] }],
        outputs: [3, 4],
      });
    const run = (lengths: number[], inputs: number[][], tensors: tf.Tensor[]): tf.Tensor[] =>
      tf.engine().runKernel("Elementwise", tensors as unknown as tf.NamedTensorMap, {
        formula: formula(lengths, inputs),
        shapes: [lengths, lengths],
      } as unknown as tf.NamedAttrMap) as unknown as tf.Tensor[];
    return [
      ...run([100001], [[1], [1]], [random([100001], 41), random([100001], 42)]),
      ...run([7, 60, 301], [[18060, 301, 1], [0, 1, 0]], [random([7, 60, 301], 43), random([60], 44)]),
    ];
  },
  "gather": () => tf.gather(random([500, 129], 17), tf.range(0, 499, 1, "int32")),
  "tile and concat":
    () => [tf.tile(random([301, 1, 65], 18), [1, 7, 1]), tf.concat([random([700, 65], 19), random([700, 33], 20)], 1)],
  "gelu": () =>
    ["none", "tanh"].flatMap((approximation) => [
      ...call("Gelu", { x: random([100001], 21) }, { approximation }),
      ...call("GeluGrad", { dy: random([100001], 22), x: random([100001], 21) }, { approximation }),
    ]),
  "standardise": () => {
    const x = random([997, 129], 23);
    const [y, scale] = call("Standardise", { x }, { epsilon: 1e-6, centred: true });
    return [y, scale, ...call("StandardiseGrad", { dy: random([997, 129], 24), y, scale }, { centred: true })];
  },
  "softmax's gradient": () => call("SoftmaxGrad", { dy: random([997, 67], 25), y: tf.softmax(random([997, 67], 12)) }),
  "masked softmax": () =>
    [[1, 1, 23, 27], [17, 1, 1, 27], [17, 1, 23, 27]].flatMap((mask) =>
      call("MaskedSoftmax", { logits: random([17, 5, 23, 27], 44), mask: random(mask, 45) })
    ),
  "softmax with its parts": () => call("SoftmaxParts", { logits: random([997, 67], 50) }),
  "cross-entropy's gradient": () => {
    const at = tf.add(tf.mul(tf.range(0, 997, 1, "int32"), tf.scalar(67, "int32")), tf.scalar(41, "int32"));
    const inputs = { p: tf.softmax(random([997, 67], 51)), scaled: random([997], 52), at };
    return call("CrossEntropyGrad", inputs, { shared: 0.01, own: 0.9 });
  },
  "attention of texts that are read on": () => {
    const [q, k, v] = [6, 3, 3].map((heads, i) => random([2, heads, 9, 33], 60 + i));
    const [pastKey, pastValue] = [random([2, 3, 300, 33], 63), random([2, 3, 300, 33], 64)];
    return [1, 2].flatMap((texts) => {
      const mask = tf.mul(tf.cast(tf.less(random([texts, 1, 9, 309], 65), 0), "float32"), -1e9);
      return call("SeenAttention", { q, k, v, mask, pastKey, pastValue }, { scale: 0.2 });
    });
  },
  "rotary": () =>
    [false, true].flatMap((back) =>
      call("Rotary", { x: random([13, 5, 29, 22], 46), cos: random([29, 22], 47), sin: random([29, 22], 48) }, { back })
    ),
  "rotary and an exchange of axes": () =>
    [1, 2].flatMap((axis) =>
      call("RotaryMoved", {
        x: random(axis === 1 ? [13, 29, 5, 22] : [13, 5, 29, 22], 46),
        cos: random([29, 22], 47),
        sin: random([29, 22], 48),
      }, { back: axis === 2, axis })
    ),
  "small products, left transposed": () => tf.matMul(random([90, 64, 32], 53), random([90, 64, 24], 54), true),
  "logarithm": () => tf.log(tf.abs(random([100003], 49))),
  "adamw": () => {
    const numbers = { step: 0.01, floor: 1e-8, shrink: 0.99, fresh: 0.1 };
    const scalars = Object.fromEntries(Object.entries(numbers).map(([name, value]) => [name, tf.scalar(value)]));
    const [p, g, m, v] = [26, 27, 28, 29].map((seed) => random([100001], seed));
    return call("AdamwStep", { p, g, m, v: tf.abs(v), ...scalars }, { beta2: 0.999 });
  },
};

for (const variant of variants) {
  Deno.test(`any number of threads gives the same bytes (${variant})`, async () => {
    await useBackend("wasm");
    const backend = tf.backend() as BackendWasm;
    const expected = new Map<string, readonly string[]>();
    const one = await registerWasmKernels(backend, [variant], 1);
    assertEquals(one?.threads, 1);
    for (const [name, compute] of Object.entries(cases)) expected.set(name, await bytesOf(compute));
    one?.undo();
    for (const threads of [2, 3, 8]) {
      const registration = await registerWasmKernels(backend, [variant], threads);
      assertEquals(registration?.threads, threads);
      try {
        for (let round = 0; round < 2; round++) {
          for (const [name, compute] of Object.entries(cases)) {
            assertEquals(await bytesOf(compute), expected.get(name), `${name}, ${threads} threads, round ${round}`);
          }
        }
      } finally {
        registration?.undo();
      }
    }
  });
}

Deno.test("what is cut covers the whole, at multiples, each part worth its while", () => {
  for (
    const [total, parts, least, multiple] of [[100, 4, 1, 1], [13, 8, 1, 6], [5, 3, 1, 6], [1e6 + 3, 16, 4096, 16], [
      9,
      4,
      20,
      1,
    ]]
  ) {
    const found = ranges(total, parts, least, multiple);
    assert(found.length >= 1 && found.length <= parts);
    assertEquals([found[0][0], found.at(-1)![1]], [0, total]);
    found.slice(1).forEach(([begin], i) => assert(begin === found[i][1] && begin % multiple === 0));
    if (found.length > 1) assert(found.every(([begin, end]) => end - begin >= multiple));
  }
  // A product's part of a single row would be another function's, with other bytes.
  for (let rows = 2; rows < 60; rows++) {
    const args = [1, 0, 0, 0, 0, 0, rows, 1000, 1000, 0, 0, 0, 0, 0, 4000, 4000, 4000];
    assert(splits.matmul!(args, 16).every((part) => part[6] > 1), `${rows} rows`);
  }
});

Deno.test("threads are those that were asked for, and a step on several is a step on one", async () => {
  const { engine } = await useBackend("wasm", { threads: 2 });
  assertEquals(engine.device.threads, 2);
  const two = await bytesOf(cases["product by rows"]);
  assertEquals((await useBackend("wasm", { threads: 1 })).engine.device.threads, 1);
  assertEquals(await bytesOf(cases["product by rows"]), two);
});

Deno.test("only a memory declared as tfjs-wasm declares it becomes a shared one", () => {
  const memory = (flag: number) =>
    Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 5, 7, 1, flag, 0x80, 2, 0x80, 0x80, 4);
  assertEquals(withSharedMemory(memory(1)), memory(3));
  assert(WebAssembly.validate(withSharedMemory(memory(1))));
  const other = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);
  assertEquals(withSharedMemory(other), other);
  const imported = Uint8Array.of(2, 1, 0x80, 2, 0x80, 0x80, 4);
  importShared(imported);
  assertEquals(imported[1], 3);
});
