import { assert, assertAlmostEquals, assertEquals, assertNotEquals, assertRejects, assertThrows } from "@std/assert";
import { OneloraError } from "../../dsl/error.ts";
import { fold, key } from "../../dsl/random.ts";
import { type DepthAugmentation, depthEvaluationTransform, depthTrainingTransform } from "../../tasks/depth/augment.ts";
import type { DepthExample } from "../../tasks/depth/dataset.ts";
import { depthBatches } from "../../tasks/depth/loader.ts";
import { openDepthData } from "../../tasks/depth/open.ts";
import { colourOf, depthPanels, depthPicture, reds, spectral } from "../../tasks/depth/pictures.ts";
import type { SceneDomain } from "../../tasks/depth/scene.ts";
import { renderScene, sceneSplits } from "../../tasks/depth/scenes.ts";

const plain = { mean: [0, 0, 0], std: [1, 1, 1] };
const domains = ["indoor", "driving", "outdoor"] as const satisfies readonly SceneDomain[];
const ranges = { indoor: [0.5, 10], driving: [2, 80], outdoor: [1, 80] } as const;
const size = { height: 28, width: 42 };

/** 64-bit FNV-1a. */
function digest(bytes: Uint8Array): string {
  return bytes.reduce((hash, byte) => BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n), 0xcbf29ce484222325n)
    .toString(16);
}

Deno.test("scenes are the same bytes everywhere, and others with another key", () => {
  const found = domains.map((domain) => {
    const { pixels, depth } = renderScene(domain, key(5), size);
    assertEquals(renderScene(domain, key(5), size), { pixels, depth, ...size });
    assertNotEquals(renderScene(domain, key(6), size).depth, depth);
    return [digest(pixels), digest(new Uint8Array(depth.buffer))];
  });
  assertEquals(found, [["8f6ab4597a5556b5", "6bfc7c25f09ea29c"], ["8543abd72e060846", "957272c814b960d1"], [
    "21e4f4dc1eca6205",
    "7726a665b982a7b9",
  ]]);
});

for (const domain of domains) {
  Deno.test(`${domain} scenes: depth within the range, colours that vary, a good share of every picture measured`, () => {
    const [nearest, farthest] = ranges[domain];
    let [low, high] = [Infinity, 0];
    for (let i = 0; i < 40; i++) {
      const { pixels, depth } = renderScene(domain, fold(key(0), i), size);
      const known = depth.filter((metres) => metres > 0);
      assert(known.length > (domain === "indoor" ? 0.99 : 0.5) * depth.length, `${known.length} of ${depth.length}`);
      assert(new Set(pixels).size > 20);
      low = Math.min(low, ...known);
      high = Math.max(high, ...known);
    }
    assert(low >= nearest && high <= farthest && low < 2 * nearest + 2 && high > 0.75 * farthest, `${low} ${high}`);
  });
}

Deno.test("depth is that of a camera: along a column of the street's ground, its inverse is linear in the row", () => {
  const { depth, height, width } = renderScene("driving", key(5), { height: 280, width: 280 });
  const column = Array.from({ length: 40 }, (_, i) => 1 / depth[(height - 1 - i) * width + width / 2]);
  const steps = column.slice(1).map((each, i) => column[i] - each);
  assert(steps[0] > 0);
  steps.forEach((step) => assertAlmostEquals(step, steps[0], 1e-6));
});

Deno.test("data sets of scenes: parts differ, examples depend on seed and index alone, sizes are kept", async () => {
  const { train, test, protocol } = await openDepthData("scenes-driving", { ...size, train: 5, test: 3, seed: 4 });
  assertEquals([train.size, test.size, train.name, protocol.maxDepth], [5, 3, "scenes-driving/train", 80]);
  const first = await train.get(0);
  assertEquals([first.height, first.width], [28, 42]);
  assertEquals(await sceneSplits("driving", { ...size, train: 99, seed: 4 }).train.get(0), first);
  for (const other of [await train.get(1), await test.get(0), await sceneSplits("driving", size).train.get(0)]) {
    assertNotEquals(other.pixels, first.pixels);
  }
  assertThrows(() => train.get(5), OneloraError, "allowed: 0 to 4");
  assertThrows(() => sceneSplits("space" as SceneDomain), OneloraError, "allowed: indoor, driving");
  assertThrows(() => renderScene("indoor", key(0), { height: 0, width: 3 }), OneloraError, "positive whole sizes");
});

const example: DepthExample = {
  pixels: Uint8Array.from({ length: 36 }, (_, i) => 7 * i),
  depth: Float32Array.from({ length: 12 }, (_, i) => i + 1),
  height: 3,
  width: 4,
};
const train = (augmentation: DepthAugmentation, height = 3, width = 4) =>
  depthTrainingTransform({ height, width, ...plain }, augmentation);

Deno.test("evaluation stretches to the model's size with corners aligned, normalises and keeps the truth", () => {
  const transform = depthEvaluationTransform({ height: 5, width: 7, mean: [0.1, 0.2, 0.3], std: [1, 2, 4] });
  const { pixels, depth, height, width } = transform.apply(example, key(0));
  assertEquals([transform.shape, depth, height, width], [[3, 5, 7], example.depth, 3, 4]);
  const at = (c: number, y: number, x: number) => pixels[(c * 5 + y) * 7 + x];
  assertAlmostEquals(at(0, 0, 0), 0 - 0.1, 1e-6);
  assertAlmostEquals(at(1, 4, 6), (7 * 34 / 255 - 0.2) / 2, 1e-6);
  assertAlmostEquals(at(2, 2, 3), (7 * (3 * 5.5 + 2) / 255 - 0.3) / 4, 1e-6);
});

Deno.test("training without variation is evaluation; mirroring mirrors picture and truth", () => {
  const same = train({ rotate: 0, flip: 0, jitter: 0 }).apply(example, key(1));
  assertEquals(same, depthEvaluationTransform({ height: 3, width: 4, ...plain }).apply(example, key(1)));
  const mirrored = train({ rotate: 0, flip: 1, jitter: 0 }).apply(example, key(1));
  assertEquals([...mirrored.depth.subarray(0, 4)], [4, 3, 2, 1]);
  assertEquals([...mirrored.pixels.subarray(0, 4)], [...same.pixels.subarray(0, 4)].reverse());
});

Deno.test("jitter is clip(x^gamma brightness colour), one factor a channel; the truth keeps", () => {
  const apply = (augmentation: DepthAugmentation) =>
    train({ rotate: 0, flip: 0, jitter: 1, ...augmentation }).apply(example, key(1));
  const steady = { gamma: [1, 1], brightness: [1, 1], colour: [1, 1] } as const;
  const original = train({ rotate: 0, flip: 0, jitter: 0 }).apply(example, key(1)).pixels;
  const each = (pixels: Float32Array, f: (value: number) => number) =>
    pixels.forEach((value, i) => assertAlmostEquals(value, Math.min(1, f(original[i])), 1e-6));
  each(apply({ ...steady, gamma: [2, 2] }).pixels, (x) => x * x);
  each(apply({ ...steady, brightness: [1.25, 1.25] }).pixels, (x) => 1.25 * x);
  each(apply({ ...steady, gamma: [2, 2], brightness: [0.5, 0.5] }).pixels, (x) => 0.5 * x * x);
  const { pixels, depth } = apply({ ...steady, colour: [0.5, 0.9] });
  assertEquals(depth, example.depth);
  const factors = [0, 1, 2].map((c) => pixels[12 * c + 5] / original[12 * c + 5]);
  assertEquals(new Set(factors).size, 3);
  factors.forEach((factor, c) => {
    assert(factor >= 0.5 && factor <= 0.9);
    for (let i = 1; i < 12; i++) assertAlmostEquals(pixels[12 * c + i], factor * original[12 * c + i], 1e-6);
  });
});

Deno.test("variation is a function of the key, about half are mirrored and half are jittered, angles within a degree", () => {
  const transform = train({});
  assertEquals(transform.apply(example, key(3)), transform.apply(example, key(3)));
  const keys = Array.from({ length: 400 }, (_, i) => fold(key(9), i));
  const share = (test: (i: number) => boolean) => keys.filter((_, i) => test(i)).length / keys.length;
  const samples = keys.map((each) => train({ rotate: 0 }).apply(example, each));
  const flipped = share((i) => samples[i].depth[0] === 4);
  const jittered = share((i) => {
    const { pixels } = train({ rotate: 0, flip: 0 }).apply(example, keys[i]);
    return pixels.some((value, j) => Math.abs(value - example.pixels[3 * (j % 12) + Math.trunc(j / 12)] / 255) > 1e-6);
  });
  assert(Math.abs(flipped - 0.5) < 0.08 && Math.abs(jittered - 0.5) < 0.08, `${flipped} ${jittered}`);
  // A wide strip turned by a degree moves its ends by width / 2 sin(1 degree): under two rows for 200 columns.
  const strip = {
    pixels: new Uint8Array(3 * 2200),
    depth: Float32Array.from({ length: 2200 }, (_, i) => 1 + Math.trunc(i / 200)),
    height: 11,
    width: 200,
  };
  const moved = keys.slice(0, 60).map((each) => train({ flip: 0 }).apply(strip, each).depth[5 * 200 + 199] - 6);
  assertEquals([Math.min(...moved), Math.max(...moved)], [-2, 2]);
});

Deno.test("batches of depth: one size a batch, deterministic, resumable; wrong models are refused", async () => {
  const { train: dataset } = sceneSplits("indoor", { ...size, train: 5 });
  const options = { dataset, transform: train({}, 14, 28), batchSize: 2, seed: 1, epochs: 2 };
  const all = await Array.fromAsync(depthBatches(options));
  assertEquals(all.map(({ shape: [batch] }) => batch), [2, 2, 1, 2, 2, 1]);
  assertEquals([all[0].shape, all[0].depthShape], [[2, 3, 14, 28], [2, 28, 42]]);
  assertEquals(await Array.fromAsync(depthBatches({ ...options, start: all[1].next })), all.slice(2));
  const mixed = { ...dataset, get: (i: number) => renderScene("indoor", key(0), { height: 14 + i, width: 28 }) };
  await assertRejects(() => depthBatches({ ...options, dataset: mixed }).next(), OneloraError, "one size");
  const alone = await Array.fromAsync(depthBatches({ ...options, dataset: mixed, batchSize: 1, epochs: 1 }));
  assertEquals(alone.length, 5);
  for (const wrong of [{ height: 0 }, { mean: [0] }, { std: [1, 1, 0] }]) {
    const model = { height: 14, width: 14, ...plain, ...wrong };
    assertThrows(() => depthEvaluationTransform(model), OneloraError, "preparing pictures for a depth model");
  }
});

Deno.test("panels: picture, truth, prediction and error in a row", () => {
  const truth = {
    pixels: Uint8Array.from([9, 8, 7, 6, 5, 4, 3, 2, 1]),
    depth: Float32Array.of(1, 0, 4),
    height: 1,
    width: 3,
  };
  const { pixels, height, width } = depthPanels(truth, Float32Array.of(1, 1, 2));
  assertEquals([height, width], [1, 24]);
  const at = (column: number) => [...pixels.subarray(3 * column, 3 * column + 3)];
  assertEquals([at(0), at(2), at(3), at(6)], [[9, 8, 7], [3, 2, 1], [255, 255, 255], [255, 255, 255]]);
  assertEquals([at(7), at(8), at(9)], [[158, 1, 66], [0, 0, 0], [94, 79, 162]]);
  // 2 m is halfway between 1 m and 4 m in logarithms.
  assertEquals([at(14), at(16)], [[158, 1, 66], [255, 255, 191]]);
  assertEquals([at(21), at(22), at(23)], [[255, 245, 240], [0, 0, 0], [103, 0, 13]]);
  assertThrows(() => depthPanels(truth, new Float32Array(2)), OneloraError, "2 predicted values; allowed: 1 x 3");
});

Deno.test("a picture of depth is a PNG of the panels", async () => {
  const scene = renderScene("indoor", key(2), size);
  const bytes = await depthPicture(scene, scene.depth);
  const specifier = "npm:sharp@0.35.5";
  const { default: sharp } = await import(specifier);
  const { data, info } = await sharp(bytes).raw().toBuffer({ resolveWithObject: true });
  assertEquals([info.format, info.width, info.height, info.channels], ["raw", 4 * 42 + 12, 28, 3]);
  assertEquals(new Uint8Array(data), depthPanels(scene, scene.depth).pixels);
});

Deno.test("colour scales: their own colours at their steps, straight lines between, ends beyond", () => {
  for (const scale of [spectral, reds]) {
    scale.forEach((colour, i) => assertEquals(colourOf(scale, i / (scale.length - 1)), colour));
    assertEquals([colourOf(scale, -1), colourOf(scale, 2)], [scale[0], scale[scale.length - 1]]);
  }
  assertEquals(colourOf(spectral, 0.05), [186, 32, 73]);
});
