/** Attention of texts that are read on by the kernel of our own, beside products and a softmax. */
import * as tf from "@tensorflow/tfjs-core";
import { assert, assertEquals } from "@std/assert";
import { type RecurrentFunction, startRecurrent } from "../../dsl/compile/mod.ts";
import { stepKernels } from "../../dsl/compile/tensorflow/seen_attention.ts";
import { rowProductsKernel } from "../../dsl/engine/tensorflow.ts";
import { attention, useBackend } from "../../dsl/mod.ts";
import { available } from "../support/available.ts";
import { assertClose, withoutLeaks } from "../support/compare.ts";

const there = (await available("tensorflow")).length > 0;
if (there) await useBackend("tensorflow");
const isBuilt = there && rowProductsKernel() !== undefined;

const [B, H, KV, HD] = [3, 6, 2, 32];

/** Queries, keys, values and a mask of so many columns, of which some texts have padding in front; what is in no place is noise. */
function inputs(room: number, at: number): Record<string, tf.Tensor> {
  const mask = new Float32Array(B * (room + 1)).fill(-1e9);
  for (let b = 0; b < B; b++) {
    for (let m = b * 3; m < at; m++) mask[b * (room + 1) + m] = m % 4 === 0 ? -0.5 : 0;
    mask[b * (room + 1) + room] = 0;
  }
  const drawn = (shape: number[], seed: number) => tf.randomNormal(shape, 0, 1, "float32", seed);
  return {
    q: drawn([B, H, 1, HD], 1),
    k: drawn([B, KV, 1, HD], 2),
    v: drawn([B, KV, 1, HD], 3),
    mask: tf.tensor4d(mask, [B, 1, 1, room + 1]),
  };
}

/** Keys and values of before, the same in rooms of any size, and something else behind them. */
function before(room: number, at: number): Record<string, tf.Tensor> {
  return tf.tidy(() => {
    const part = (seed: number) =>
      tf.concat([
        tf.randomNormal([B, KV, at, HD], 0, 1, "float32", seed),
        tf.fill([B, KV, room - at, HD], 3),
      ], 2);
    return { key: tf.keep(part(4)), value: tf.keep(part(5)) };
  });
}

const read: RecurrentFunction = (_, { key, value }, { q, k, v, mask }) => [
  { y: attention(q, k, v, { mask, past: { key, value }, isRead: true }) },
  { key: k, value: v },
];

/** What a step gives, by the kernel or without it. */
function step(room: number, at: number, precision: "float32" | "bf16", ownProducts: boolean): tf.Tensor {
  const running = startRecurrent(read, {}, { precision, ownProducts, blocks: () => true });
  const given = inputs(room, at);
  running.keep(before(room, at));
  try {
    return running.call(given, at).y;
  } finally {
    running.dispose();
    tf.dispose(given);
  }
}

Deno.test({
  name: "the kernel is for steps of heads that its vectors divide",
  ignore: !isBuilt,
  fn: () => {
    const of = (size: number) => ({ key: { shape: [1, 2, 8, size], dtype: "float32" as const } });
    assertEquals(stepKernels(of(32), true), ["SeenAttention"]);
    assertEquals(stepKernels(of(24), true), []);
    assertEquals(stepKernels(of(32), false), []);
  },
});

for (const [precision, tolerance] of [["float32", 2e-6], ["bf16", 2e-2]] as const) {
  Deno.test({
    name: `attention to what was read is that of products and a softmax (${precision})`,
    ignore: !isBuilt,
    fn: async () => {
      await useBackend("tensorflow");
      await withoutLeaks(async () => {
        for (const [room, at] of [[64, 40], [768, 700]]) {
          const [own, theirs] = [true, false].map((ownProducts) => step(room, at, precision, ownProducts));
          assertClose(own, theirs, tolerance, `room of ${room}`);
          // Sums in another order differ in the last digits: it is the kernel that made them.
          assert(`${await own.data()}` !== `${await theirs.data()}`);
          tf.dispose([own, theirs]);
        }
      });
    },
  });
}

Deno.test({
  name: "neither room for later tokens nor what is in it changes a bit",
  ignore: !isBuilt,
  fn: async () => {
    await useBackend("tensorflow");
    await withoutLeaks(async () => {
      const [small, large] = [64, 512].map((room) => step(room, 40, "float32", true));
      assertEquals(await small.data(), await large.data());
      tf.dispose([small, large]);
    });
  },
});
