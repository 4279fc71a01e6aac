/** Attention in blocks of queries: the same numbers, a part of the memory. @module */
import { assert, assertEquals } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { planMemory } from "../../dsl/compile/program.ts";
import { simplify } from "../../dsl/compile/passes.ts";
import { trace } from "../../dsl/compile/trace.ts";
import { attention, causalMask, type Tensor, useBackend } from "../../dsl/mod.ts";
import { assertClose, withoutLeaks } from "../support/compare.ts";

const wave = (shape: number[], seed: number) => tf.randomNormal(shape, 0, 1, "float32", seed);

/** Output and gradients of attention for a sum of weighed outputs. */
function passes(tensors: readonly Tensor[], mask: Tensor | undefined, blockBytes?: number): Tensor[] {
  const [q, k, v, weights] = tensors;
  const f = (q: Tensor, k: Tensor, v: Tensor) => attention(q, k, v, { mask, blockBytes });
  const grads = tf.grads((q, k, v) => tf.sum(tf.mul(f(q, k, v), weights)))([q, k, v]);
  return [f(q, k, v), ...grads];
}

Deno.test("blocks of queries give the outputs bit by bit, and gradients to 1e-5, whatever heads share and masks hide", async () => {
  await useBackend("cpu");
  await withoutLeaks(() => {
    tf.tidy(() => {
      const [batch, heads, keyHeads, queries, size] = [2, 4, 2, 7, 3];
      const tensors = [[heads, 1], [keyHeads, 2], [keyHeads, 3], [heads, 4]].map(([count, seed]) =>
        wave([batch, count, queries, size], seed)
      );
      const padding = tf.tensor4d(Array.from({ length: batch * queries }, (_, i) => i % 5 === 0 ? -1e9 : 0), [
        ...[batch, 1, 1, queries],
      ] as [number, number, number, number]);
      for (const mask of [undefined, causalMask(queries), padding, tf.add(causalMask(queries), padding)]) {
        const whole = passes(tensors, mask);
        // Blocks of three queries, the last of one; and of one each.
        for (const blockBytes of [4 * batch * heads * queries * 3, 1]) {
          const blocks = passes(tensors, mask, blockBytes);
          assertEquals(blocks[0].dataSync(), whole[0].dataSync());
          blocks.forEach((found, i) => assertClose(found, whole[i], 1e-5, `gradient ${i}`));
        }
      }
    });
    return Promise.resolve();
  });
});

Deno.test("attention of 512 tokens in 8 blocks takes less than a third of the memory, gradients included", async () => {
  await useBackend("cpu");
  const shape = [1, 4, 512, 16];
  const peak = (blockBytes: number) => {
    const program = trace(
      (tensors) => passes(tensors, undefined, blockBytes),
      Array.from({ length: 4 }, () => ({ shape, dtype: "float32" as const })),
    );
    return planMemory(simplify(program)).peakBytes;
  };
  const scores = 4 * 4 * 512 * 512;
  assert(peak(scores) > 2 * scores);
  assert(3 * peak(scores / 8) < peak(scores), `${peak(scores / 8)} of ${peak(scores)} bytes`);
});
