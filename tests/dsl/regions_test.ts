/** TensorFlow's memory as plans count it. @module */
import { assert, assertEquals } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { planStep, useBackend } from "../../dsl/mod.ts";
import { compiledKernels, grouped } from "../../dsl/compile/tensorflow/grouped.ts";
import { nothingHalved } from "../../dsl/compile/tensorflow/half.ts";
import { GIVEN_FROM, withTensors } from "../../dsl/compile/tensorflow/large_constants.ts";
import { regions } from "../../dsl/compile/tensorflow/regions.ts";
import { planMemory } from "../../dsl/compile/program.ts";
import { trace } from "../../dsl/compile/trace.ts";

const MB = 2 ** 20;

Deno.test("tensors go into the smallest hole, holes join, and only what is touched counts", () => {
  const { take, give, touched } = regions();
  const books = (regions: number) => regions / 32;
  // A region of 2 MiB, the next of 4: a tensor of 3 does not fit into the first.
  const first = take(MB);
  assertEquals(touched(), 2 * MB + books(2 * MB));
  const second = take(3 * MB);
  assertEquals(touched(), 6 * MB + books(6 * MB));
  // Its hole is taken again, and so is what two holes beside each other join to.
  give(first);
  const halves = [take(MB), take(MB)];
  for (const each of halves) give(each);
  assertEquals(touched(), 6 * MB + books(6 * MB));
  take(2 * MB);
  assertEquals(touched(), 6 * MB + books(6 * MB));
  give(second);
  take(4 * MB);
  assertEquals(touched(), 6 * MB + books(6 * MB));
  // Of the next region, 8 MiB, half.
  take(4 * MB);
  assertEquals(touched(), 10 * MB + books(14 * MB));
});

Deno.test("small tensors are counted as they are, at their most", () => {
  const { take, give, touched } = regions();
  const places = [take(1000), take(2000)];
  places.forEach(give);
  take(500);
  assertEquals(touched(), 3000);
});

Deno.test("what is compiled into one kernel is one call, whose inner values take no memory, and equal kernels are one", async () => {
  await useBackend("cpu");
  const type = { shape: [256, 512], dtype: "float32" } as const;
  const program = trace(([x, w]) => {
    const layer = (from: tf.Tensor): tf.Tensor => {
      const product = tf.matMul(from as tf.Tensor2D, w as tf.Tensor2D);
      return tf.tanh(tf.add(tf.mul(product, 2), product));
    };
    return [layer(layer(x))];
  }, [type, { shape: [512, 512], dtype: "float32" }]);
  const run = grouped(program, nothingHalved);
  assertEquals(run.calls.map(({ kernel }) => kernel), ["BatchMatMul", "Compiled", "BatchMatMul", "Compiled"]);
  assertEquals(compiledKernels(run), 1);
  const bytes = 4 * 256 * 512;
  const [alone, together] = [program, run].map((each) => planMemory(each).peakBytes);
  // The input, a product and what is made of it, and call by call its double; the weight, and two numbers.
  const others = 4 * 512 * 512 + 4 + 4;
  assertEquals([alone, together], [4 * bytes + others, 3 * bytes + others]);
  assertEquals(run.outputs, program.outputs);
});

Deno.test("a process takes what its tensors touch and what its program is", async () => {
  await useBackend("cpu");
  const square = { shape: [1024, 1024], dtype: "float32" } as const;
  const planned = (layers: number) =>
    planStep(
      ({ frozen, trained, optimiser }, { x }) => {
        let y = x;
        for (let i = 0; i < layers; i++) y = tf.tanh(tf.mul(tf.matMul(y as tf.Tensor2D, frozen.w as tf.Tensor2D), 0.5));
        return [{ frozen, trained: { b: tf.add(trained.b, tf.sum(y)) }, optimiser }, { loss: tf.scalar(0) }];
      },
      { frozen: { w: square }, trained: { b: { shape: [], dtype: "float32" } }, optimiser: {}, batch: { x: square } },
      { backend: "tensorflow" },
    );
  const [few, many] = [planned(2), planned(40)];
  assertEquals(many.peakBytes, few.peakBytes);
  // Equal kernels are compiled once, so that a layer more is some calls more.
  const each = (many.processBytes - few.processBytes) / (many.calls - few.calls);
  assert(each > 1e4 && each < 4e4, `${each} bytes a call`);
  assert(few.processBytes > few.peakBytes + 5e8);
});

Deno.test("numbers that are many are given to a graph as tensors, others are written into it", async () => {
  await useBackend("cpu");
  const before = tf.memory().numTensors;
  const program = trace(
    ([x]) => [tf.add(tf.add(x, tf.tensor1d(new Float32Array(GIVEN_FROM).fill(2))), tf.tensor1d([1]))],
    [{ shape: [GIVEN_FROM], dtype: "float32" }],
  );
  const held = withTensors(program);
  const given = held.program;
  const sizes = [...given.constants].map(([value, { kind }]) => `${kind} ${given.types[value].shape}`);
  assertEquals(sizes, [`tensor ${GIVEN_FROM}`, "numbers 1"]);
  assertEquals(given.calls, program.calls);
  held[Symbol.dispose]();
  assertEquals(tf.memory().numTensors, before);
});
