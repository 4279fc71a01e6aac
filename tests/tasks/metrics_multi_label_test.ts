import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { binaryCrossEntropy, OneloraError, useBackend } from "../../dsl/mod.ts";
import { multiLabelMetrics } from "../../tasks/metrics/multi_label.ts";
import { available } from "../support/available.ts";
import fixture from "../fixtures/multi_label.json" with { type: "json" };

const names = Array.from({ length: fixture.labels }, (_, i) => `label ${i}`);
const [logits, targets] = [Float32Array.from(fixture.logits), Float32Array.from(fixture.targets)];
const { expected } = fixture;

Deno.test("metrics of several labels equal scikit-learn's, ties and labels without an example included", () => {
  const half = 30 * names.length;
  const found = multiLabelMetrics(names, [
    { logits: logits.subarray(0, half), targets: targets.subarray(0, half) },
    { logits: logits.subarray(half), targets: targets.subarray(half) },
  ]);
  for (const name of ["loss", "map", "f1Micro", "f1Macro", "exact"] as const) {
    assertAlmostEquals(found[name], expected[name], 1e-12, name);
  }
  found.labels.forEach((each, k) => {
    assertEquals([each.label, each.support], [names[k], expected.support[k]]);
    for (const name of ["precision", "recall", "f1"] as const) {
      assertAlmostEquals(each[name], expected[name][k], 1e-12, `${name} of ${k}`);
    }
    const average = expected.averagePrecision[k];
    if (average === null) assertEquals(each.averagePrecision, undefined);
    else assertAlmostEquals(each.averagePrecision!, average, 1e-12, `average precision of ${k}`);
  });
});

Deno.test("metrics of several labels: nothing, too few and no numbers are refused", () => {
  assertThrows(() => multiLabelMetrics(names, []), OneloraError, "no examples");
  const bad = { logits: Float32Array.of(NaN), targets: Float32Array.of(1) };
  assertThrows(() => multiLabelMetrics(["a"], [bad]), OneloraError, "logit NaN");
  const short = { logits: Float32Array.of(1, 2), targets: Float32Array.of(1) };
  assertThrows(() => multiLabelMetrics(["a"], [short]), OneloraError, "2 logits for 1 targets");
});

for (const backend of await available("cpu", "wasm", "tensorflow")) {
  Deno.test(`binary cross-entropy and its gradient equal PyTorch's (${backend})`, async () => {
    await useBackend(backend);
    const [x, y] = [tf.tensor1d(logits), tf.tensor1d(targets)];
    const loss = binaryCrossEntropy(x, y);
    const gradient = tf.grad((each) => binaryCrossEntropy(each, y))(x);
    assertAlmostEquals((await loss.data())[0], expected.loss, 1e-6);
    const found = await gradient.data();
    fixture.gradient.forEach((value, i) => assertAlmostEquals(found[i], value, 1e-8));
    const far = tf.tidy(() => binaryCrossEntropy(tf.tensor1d([500, -500, 0]), tf.tensor1d([1, 0, 1])));
    assert(Math.abs((await far.data())[0] - Math.log(2) / 3) < 1e-6);
    tf.dispose([x, y, loss, gradient, far]);
  });
}
