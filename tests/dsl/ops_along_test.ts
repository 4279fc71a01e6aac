import { assertEquals } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { useBackend } from "../../dsl/mod.ts";
import { meanAlong, sumAlong } from "../../dsl/ops/along.ts";
import { withoutLeaks } from "../support/compare.ts";

for (const backend of ["cpu", "wasm"] as const) {
  Deno.test(`sums and means along any axis have the values and gradients of tfjs, bit for bit (${backend})`, async () => {
    await useBackend(backend);
    await withoutLeaks(() => {
      const x = tf.randomNormal([3, 5, 4, 2], 0, 1, "float32", 1);
      for (const axis of [0, 1, 2, 3]) {
        for (const [ours, theirs] of [[sumAlong, tf.sum], [meanAlong, tf.mean]] as const) {
          const weights = tf.randomNormal(x.shape.toSpliced(axis, 1), 0, 1, "float32", 2);
          const [own, expected] = [ours, theirs].map((f) => {
            const y = f(x, axis);
            return [y, tf.grad((x) => tf.sum(tf.mul(f(x, axis), weights)))(x)];
          });
          own.forEach((each, i) => assertEquals(each.dataSync(), expected[i].dataSync(), `axis ${axis}`));
        }
      }
      return Promise.resolve();
    });
  });
}
