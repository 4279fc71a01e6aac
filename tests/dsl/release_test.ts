import { assert, assertEquals } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { startRecurrent } from "../../dsl/compile/recurrent.ts";
import { collectGarbage } from "../../dsl/garbage.ts";
import { useBackend } from "../../dsl/mod.ts";
import { release } from "../../dsl/release.ts";

Deno.test("much garbage is collected when asked, and its memory given back", () => {
  let made: object[] = Array.from({ length: 2e6 }, (_, i) => ({ i }));
  const before = Deno.memoryUsage().heapTotal;
  assert(made.length > 0);
  made = [];
  collectGarbage();
  assert(Deno.memoryUsage().heapTotal < before - 50e6);
});

Deno.test("arrays are released that have a buffer to themselves, others are left", () => {
  const alone = new Float32Array(1000);
  const part = new Float32Array(1000).subarray(1);
  release(alone, part, alone);
  assertEquals([alone.length, alone.buffer.byteLength, part.length], [0, 0, 999]);
});

Deno.test("what is kept begins as zeros, and begins again", async () => {
  await useBackend("cpu");
  const sums = startRecurrent((_, { seen }, { x }) => [{ sum: tf.add(tf.sum(seen), tf.sum(x)) }, { seen: x }], {});
  const call = (x: number, at: number) => sums.call({ x: tf.tensor2d([[x]]) }, at).sum.dataSync()[0];
  for (let round = 0; round < 2; round++) {
    sums.clear({ seen: { shape: [4, 1], dtype: "float32" } });
    assertEquals([call(5, 0), call(7, 1)], [5, 12]);
  }
  sums.dispose();
});
