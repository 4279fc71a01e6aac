import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { compile } from "../../dsl/compile/mod.ts";
import { useBackend } from "../../dsl/engine/mod.ts";
import { OneloraError } from "../../dsl/error.ts";
import { rotateDepth } from "../../tasks/depth/augment.ts";
import { depthProtocols } from "../../tasks/depth/dataset.ts";
import { cropBounds, type DepthMetrics, depthMetrics, startDepth, updateDepth } from "../../tasks/depth/metrics.ts";
import { silog, validDepth } from "../../tasks/depth/silog.ts";
import { flipAveraged, resampleMap } from "../../tasks/depth/resample.ts";
import { available } from "../support/available.ts";
import { withoutLeaks } from "../support/compare.ts";
import fixture from "../fixtures/depth.json" with { type: "json" };

const bytes = (base64: string) => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
const floats = (base64: string) => new Float32Array(bytes(base64).buffer);

type Three = [number, number, number];

const lossCases = fixture.losses.map(({ shape, size, far, ...packed }) => ({
  far,
  prediction: () => tf.tensor3d(floats(packed.prediction), [shape[0], ...size] as Three),
  truth: () => tf.tensor3d(floats(packed.truth), shape as Three),
  loss: packed.loss,
  gradient: floats(packed.gradient),
}));

for (const backend of await available("wasm", "cpu")) {
  Deno.test(`${backend}: SILog and its gradient equal PyTorch's, resampled up, down or not at all`, async () => {
    await useBackend(backend);
    await withoutLeaks(async () => {
      for (const { far, loss, gradient, prediction, truth } of lossCases) {
        const mask = validDepth(truth(), { minDepth: 1e-3, maxDepth: far });
        const known = truth();
        const both = tf.valueAndGrad((p) => silog(p, known, mask) as tf.Scalar)(prediction());
        assertAlmostEquals((await both.value.data())[0], loss, 2e-5 * loss);
        const largest = Math.max(...gradient.map(Math.abs));
        (await both.grad.data()).forEach((each, i) => assertAlmostEquals(each, gradient[i], 2e-5 * largest));
      }
    });
  });
}

Deno.test("SILog compiles: one program serves every mask", async () => {
  await useBackend("cpu");
  await withoutLeaks(async () => {
    const [{ prediction, truth }] = lossCases;
    const known = tf.where(tf.greater(truth(), 0), truth(), 1);
    const masks = [2, 5, 9].map((limit) => tf.less(known, limit));
    const compiled = compile((p: tf.Tensor, mask: tf.Tensor) => silog(p, known, mask));
    const found = await Promise.all(masks.map((mask) => compiled(prediction(), mask).data()));
    const expected = await Promise.all(masks.map((mask) => silog(prediction(), known, mask).data()));
    assertEquals(found, expected);
    assertEquals(new Set(found.map(([value]) => value)).size, 3);
    compiled.dispose();
  });
});

Deno.test("SILog without valid pixels, with one, and of a perfect prediction is finite, as is its gradient", async () => {
  await useBackend("cpu");
  await withoutLeaks(async () => {
    const truth = tf.tensor3d([1, 2, 3, 4], [1, 2, 2]);
    const both = (prediction: tf.Tensor, mask: number[]) => {
      const valid = tf.tensor3d(mask, [1, 2, 2], "bool");
      return tf.valueAndGrad((p) => silog(p, truth, valid) as tf.Scalar)(prediction);
    };
    const none = both(tf.zeros([1, 2, 2]), [0, 0, 0, 0]);
    assertEquals([...await none.value.data(), ...await none.grad.data()], [0, 0, 0, 0, 0]);
    const perfect = both(truth, [1, 1, 1, 1]);
    assertEquals([...await perfect.value.data(), ...await perfect.grad.data()], [0, 0, 0, 0, 0]);
    const one = both(tf.mul(truth, 2), [0, 1, 0, 0]);
    assertAlmostEquals((await one.value.data())[0], 10 * Math.sqrt(0.15) * Math.LN2, 1e-5);
    assertEquals([...await one.grad.data()].map((each) => each > 0), [false, true, false, false]);
    // A prediction of 0 counts as 1e-7 m: far off, but not infinitely.
    const zero = both(tf.zeros([1, 2, 2]), [1, 1, 1, 1]);
    assert([...await zero.value.data(), ...await zero.grad.data()].every(Number.isFinite));
  });
});

Deno.test("depth metrics equal the protocol's in numpy: NYU with Eigen's crop, KITTI with Garg's, DIODE whole", () => {
  for (const { shape: [height, width], low, protocol, images, expected, name } of fixture.metrics) {
    const crop = protocol.crop as "eigen" | "garg" | "none";
    const full = (coarse: string) => resampleMap(floats(coarse), { height: 6, width: 8, channels: 1 }, [height, width]);
    const state = images.reduce(
      (before, { prediction, truth }) =>
        updateDepth(before, full(prediction), full(truth).map((each) => each < low ? 0 : each), height, width),
      startDepth({ ...protocol, crop, brightness: [1, 1] }),
    );
    const found: DepthMetrics = depthMetrics(state);
    assertEquals([found.count, found.empty], [images.length, 0]);
    for (const [measure, value] of Object.entries(expected)) {
      // Single pixels may fall on the other side of a bound, resampled in another order of additions.
      assertAlmostEquals(found[measure as keyof DepthMetrics], value, 2e-5 * Math.abs(value), `${name}: ${measure}`);
    }
  }
});

Deno.test("crops are those of the papers", () => {
  assertEquals(cropBounds("eigen", 480, 640), [45, 471, 41, 601]);
  assertEquals(cropBounds("garg", 352, 1216), [143, 349, 43, 1172]);
  assertEquals(cropBounds("none", 3, 4), [0, 3, 0, 4]);
});

Deno.test("predictions are clamped, pictures without valid pixels are counted apart, every picture weighs the same", () => {
  const start = startDepth(depthProtocols.scenesIndoor);
  // 1 mm for 2 mm, and 10 m for 5 m.
  const one = updateDepth(start, Float32Array.of(-5, Infinity), Float32Array.of(0.002, 5), 1, 2);
  assertAlmostEquals(depthMetrics(one).absRel, 0.75, 1e-6);
  const without = updateDepth(one, Float32Array.of(1, 1), Float32Array.of(0, 10), 1, 2);
  assertEquals([depthMetrics(without).count, depthMetrics(without).empty], [1, 1]);
  assertEquals(depthMetrics(without).absRel, depthMetrics(one).absRel);
  const many = updateDepth(without, Float32Array.of(2, 2, 2), Float32Array.of(2, 2, 2), 1, 3);
  assertAlmostEquals(depthMetrics(many).absRel, 0.375, 1e-6);
  assertEquals(depthMetrics(many).delta1, 0.5);
  assertEquals(start.count, 0);
});

Deno.test("metrics refuse NaN, other sizes, nothing to average and impossible ranges", () => {
  const start = startDepth(depthProtocols.nyu);
  const two = Float32Array.of(1, 1);
  assertThrows(() => updateDepth(start, Float32Array.of(1, NaN), two, 1, 2), OneloraError, "not a number");
  assertThrows(() => updateDepth(start, two, two, 2, 2), OneloraError, "allowed: 2 x 2 of either");
  assertThrows(() => depthMetrics(start), OneloraError, "no pictures");
  assertThrows(() => depthMetrics(updateDepth(start, two, two, 1, 2)), OneloraError, "any of 1 pictures");
  assertThrows(() => startDepth({ ...depthProtocols.nyu, minDepth: 0 }), OneloraError, "above 0");
  assertThrows(() => startDepth({ ...depthProtocols.nyu, minDepth: 10, maxDepth: 10 }), OneloraError, "10");
});

Deno.test("the average of a prediction and of one for the mirrored picture", () => {
  const found = flipAveraged(Float32Array.of(1, 2, 3, 4, 5, 6), Float32Array.of(3, 2, 1, 6, 5, 4), 3);
  assertEquals([...found], [1, 2, 3, 4, 5, 6]);
  assertEquals([...flipAveraged(Float32Array.of(0, 0), Float32Array.of(2, 4), 2)], [2, 1]);
});

Deno.test("maps that are no maps are not resampled", () => {
  assertThrows(() => resampleMap(new Float32Array(3), { height: 2, width: 2, channels: 1 }, [1, 1]), OneloraError);
  const one = resampleMap(Float32Array.of(1, 2, 3, 4), { height: 2, width: 2, channels: 1 }, [1, 1]);
  assertEquals([...one], [1]);
});

Deno.test("turned pictures equal Pillow's: bilinear for colours, nearest for depth", () => {
  for (const { height, width, angle, pixels, depth, rotatedPixels, rotatedDepth } of fixture.rotations) {
    const turned = rotateDepth({ pixels: bytes(pixels), depth: floats(depth), height, width }, angle);
    assertEquals(turned.depth, floats(rotatedDepth), `depth by ${angle}`);
    const expected = bytes(rotatedPixels);
    // Pillow computes in single precision, and drops what is behind the point.
    turned.pixels.forEach((each, i) => assert(Math.abs(each - expected[i]) <= 1, `${each}, not ${expected[i]}`));
    const same = turned.pixels.filter((each, i) => each === expected[i]).length;
    assert(same > 0.99 * expected.length, `${same} of ${expected.length} by ${angle}`);
  }
});
