/** What plans say of the wasm engine's memory. @module */
import { assert, assertEquals } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { kernelPasses } from "../../dsl/compile/replay.ts";
import { bytesOf, planMemory, type Program } from "../../dsl/compile/program.ts";
import { trace } from "../../dsl/compile/trace.ts";
import { touched } from "../../dsl/compile/wasm/touched.ts";
import { useBackend } from "../../dsl/engine/mod.ts";

/** What a function of float32 matrices touches. */
function plan(f: (...given: tf.Tensor[]) => tf.Tensor[], shapes: readonly (readonly number[])[], during = 0) {
  const types = shapes.map((shape) => ({ shape, dtype: "float32" as const }));
  const program: Program = kernelPasses("wasm")(trace((given) => f(...given), types, { backend: "wasm" }));
  const bytes = (value: number) => bytesOf(program.types[value]);
  const all = touched({ program, state: 0, bytes, loaded: bytes, during: () => during });
  return { all, alive: planMemory(program, bytes, () => during).peakBytes };
}

Deno.test("what a step gives back has memory of its own, from before it begins", async () => {
  await useBackend("wasm");
  // 64 KiB in and out, and a product of 4 MiB that is gone when the result is made.
  const { all, alive } = plan((x) => {
    const large = tf.matMul(tf.matMul(x, x, true, false), tf.eye(1024));
    return [tf.matMul(x, large)];
  }, [[16, 1024]]);
  assert(all >= alive, `${all}, ${alive}`);
  assertEquals(plan((x) => [tf.exp(x)], [[128, 128]]).all, 2 * 128 * 128 * 4);
});

Deno.test("what a call takes for itself is part of it", async () => {
  await useBackend("wasm");
  const shapes = [[128, 128]];
  const without = plan((x) => [tf.exp(x)], shapes).all;
  assertEquals(plan((x) => [tf.exp(x)], shapes, 4096).all, without + 4096);
});

Deno.test("so is a filter as the products of a convolution read it", async () => {
  await useBackend("wasm");
  const convolved = (size: number) =>
    plan((x, filter) => [tf.conv2d(x as tf.Tensor4D, filter as tf.Tensor4D, 1, "same")], [
      [1, 8, 8, 16],
      [size, size, 16, 24],
    ]).all;
  const given = (size: number) => (8 * 8 * (16 + 24) + size * size * 16 * 24) * 4;
  assertEquals(convolved(3), given(3) + 16 * 16 * 24 * 4);
  assertEquals(convolved(5), given(5));
});

Deno.test("what ran before in the process keeps its memory beside what is run after it", async () => {
  await useBackend("wasm");
  const program = trace(([x]) => [tf.exp(x)], [{ shape: [128, 128], dtype: "float32" }], { backend: "wasm" });
  const bytes = (value: number) => bytesOf(program.types[value]);
  const planned = { program, state: 1, bytes, loaded: bytes, during: () => 0 };
  const alone = touched(planned);
  assertEquals(touched({ ...planned, after: planned }), 2 * alone);
  // Its input is there already.
  const shared = (value: number) => value === program.inputs[0] ? 0 : bytes(value);
  assertEquals(
    touched({ ...planned, bytes: shared, loaded: shared, after: planned }),
    2 * alone - bytes(program.inputs[0]),
  );
});

Deno.test("programs of one process take turns in one piece of memory, and have another where it is too small", async () => {
  await useBackend("wasm");
  // A product between what is given and what comes out, of [n, n].
  const product = (n: number) => {
    const x = { shape: [16, n], dtype: "float32" as const };
    const make = ([x]: readonly tf.Tensor[]) => [tf.matMul(x, tf.exp(tf.matMul(x, x, true, false)))];
    const program = kernelPasses("wasm")(trace(make, [x], { backend: "wasm" }));
    const bytes = (value: number) => bytesOf(program.types[value]);
    return { program, state: 0, bytes, loaded: bytes, during: () => 0 };
  };
  const [large, small] = [product(1024), product(256)];
  const ends = (n: number) => 2 * 16 * n * 4;
  const between = touched(large) - ends(1024);
  assert(between >= 1024 * 1024 * 4);
  assertEquals(touched({ ...small, after: large }), touched(large) + ends(256));
  assertEquals(touched({ ...large, after: small }), touched(large) + touched(small));
  assertEquals(touched({ ...small, after: { ...large, after: large } }), between + 2 * ends(1024) + ends(256));
});
