import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { OneloraError } from "../../dsl/error.ts";
import {
  classificationMetrics,
  startClassification,
  updateClassification,
} from "../../tasks/metrics/classification.ts";
import fixture from "../fixtures/metrics.json" with { type: "json" };

const { classes, expected } = fixture;
const logits = Float32Array.from(fixture.logits);
const labels = Int32Array.from(fixture.labels);

Deno.test("classification metrics equal the reference's", () => {
  const found = classificationMetrics(updateClassification(startClassification(classes), logits, labels));
  assertEquals(found.count, labels.length);
  // The reference averages in 32 bits where it is torchmetrics.
  assertAlmostEquals(found.accuracy, expected.accuracy, 1e-7);
  assertAlmostEquals(found.top5, expected.top5, 1e-7);
  assertAlmostEquals(found.loss, expected.loss, 1e-12);
  assertAlmostEquals(found.ece, expected.ece, 1e-12);
  assertAlmostEquals(found.ece, expected.eceTorchmetrics, 1e-6);
  assertEquals(found.confusion, expected.confusion);
  assertEquals(found.errors.map(({ count }) => count), expected.errors);
  const { length } = expected.errors;
  assertEquals(
    found.errors.map(({ low, high }) => [low * length, high * length]),
    [...expected.errors.keys()].map((m) => [m, m + 1]),
  );
  assertEquals(found.reliability.length, 15);
  found.reliability.forEach((bin, m) => {
    assertEquals([bin.low, bin.high], [m / 15, (m + 1) / 15]);
    assertEquals(bin.count, expected.reliability[m].count);
    assertAlmostEquals(bin.accuracy, expected.reliability[m].accuracy, 1e-12);
    assertAlmostEquals(bin.confidence, expected.reliability[m].confidence, 1e-12);
  });
});

Deno.test("updates are pure and batching does not change what is counted", () => {
  const start = startClassification(classes);
  let state = start;
  for (let i = 0; i < labels.length; i += 7) {
    state = updateClassification(state, logits.subarray(i * classes, (i + 7) * classes), labels.subarray(i, i + 7));
  }
  assertEquals(start, startClassification(classes));
  const whole = classificationMetrics(updateClassification(start, logits, labels));
  const parts = classificationMetrics(state);
  assertEquals(parts.confusion, whole.confusion);
  assertEquals(parts.errors, whole.errors);
  assertAlmostEquals(parts.loss, whole.loss, 1e-12);
  assertAlmostEquals(parts.ece, whole.ece, 1e-12);
});

Deno.test("extreme logits: certain and right, certain and wrong, all equal", () => {
  const of = (row: number[], label: number) =>
    classificationMetrics(
      updateClassification(startClassification(row.length), Float32Array.from(row), Int32Array.of(label)),
    );
  const right = of([1000, -1000, 0], 0);
  assertEquals([right.accuracy, right.loss, right.ece], [1, 0, 0]);
  assertEquals(right.errors[0].count, 1);
  const wrong = of([1000, -1000, 0], 1);
  assertEquals([wrong.accuracy, wrong.loss, wrong.ece], [0, 2000, 1]);
  assertEquals(wrong.errors.at(-1)?.count, 1);
  const even = of([3, 3, 3, 3, 3, 3, 3, 3], 5);
  assertEquals([even.accuracy, even.top5], [0, 0]);
  assertAlmostEquals(even.loss, Math.log(8), 1e-12);
  assertEquals(of([3, 3, 3, 3, 3, 3, 3, 3], 4).top5, 1);
  assertEquals(of([1, 2], 0).top5, 1);
});

Deno.test("metrics survive JSON", () => {
  const metrics = classificationMetrics(updateClassification(startClassification(classes), logits, labels));
  assertEquals(JSON.parse(JSON.stringify(metrics)), metrics);
});

Deno.test("metrics refuse what they cannot measure", () => {
  const start = startClassification(2);
  assertThrows(() => classificationMetrics(start), OneloraError, "no examples");
  assertThrows(() => updateClassification(start, Float32Array.of(1, 2, 3), Int32Array.of(0)), OneloraError, "3 logits");
  assertThrows(() => updateClassification(start, Float32Array.of(1, 2), Int32Array.of(2)), OneloraError, "label 2");
  assertThrows(() => updateClassification(start, Float32Array.of(1, 2), Int32Array.of(-1)), OneloraError, "label -1");
  assertThrows(() => updateClassification(start, Float32Array.of(1, NaN), Int32Array.of(0)), OneloraError, "logit NaN");
  assertThrows(() => startClassification(0), OneloraError, "0 classes");
  assert(classificationMetrics(updateClassification(start, Float32Array.of(1, 2), Int32Array.of(1))).count === 1);
});

Deno.test("a confidence at a bin's upper bound is in that bin", () => {
  const state = updateClassification(startClassification(2, 2), Float32Array.of(0, 0, 100, 0), Int32Array.of(0, 0));
  assertEquals(classificationMetrics(state).reliability.map(({ count }) => count), [1, 1]);
});
