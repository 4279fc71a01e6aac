import { assertEquals } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { useBackend, valueAndGradients } from "../../dsl/mod.ts";
import { withoutLeaks } from "../support/compare.ts";

Deno.test("a parameter that the loss does not depend on has gradient zero", async () => {
  await useBackend("cpu");
  await withoutLeaks(() => {
    const params = { used: tf.tensor1d([1, 2]), unused: tf.ones([2, 2]) };
    const { loss, gradients, metrics } = valueAndGradients(({ used }) => ({
      loss: tf.sum(tf.square(used)),
      metrics: { first: tf.reshape(tf.slice(used, [0], [1]), []) },
    }))(params);
    assertEquals(loss.dataSync()[0], 5);
    assertEquals(metrics!.first.dataSync()[0], 1);
    assertEquals([...gradients.used.dataSync()], [2, 4]);
    assertEquals([...gradients.unused.dataSync()], [0, 0, 0, 0]);
    return Promise.resolve();
  });
});

Deno.test("gradients and loss are all that is left of a step", async () => {
  await useBackend("cpu");
  const p = tf.tensor1d([3]);
  const before = tf.memory().numTensors;
  const { loss, gradients } = valueAndGradients(({ p }) => ({ loss: tf.sum(tf.square(p)) }))({ p });
  assertEquals(tf.memory().numTensors, before + 2);
  tf.dispose([loss, gradients, p]);
});
