import { assertAlmostEquals, assertEquals, assertNotEquals, assertRejects, assertStringIncludes } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { apply, fold, init, key, OneloraError, openSafetensors, useBackend } from "../../dsl/mod.ts";
import { autoencoderKl, autoencoderPresets } from "../../models/mod.ts";
import type { ImageDataset } from "../../tasks/data/dataset.ts";
import { stream } from "../../tasks/data/stream.ts";
import {
  cachedLatents,
  encodeLatents,
  type EncodeOptions,
  latentKey,
  openLatents,
} from "../../tasks/generation/latents.ts";
import { generationTransform } from "../../tasks/generation/preprocess.ts";

const folder = await Deno.makeTempDir();

/** Image i is 4x4, grey, darker on its left; image 5 cannot be read. */
function dataset(broken = true, shade = 20): ImageDataset {
  return {
    name: "squares",
    size: 7,
    classes: ["a", "b", "c"],
    get: (index) => {
      if (broken && index === 5) {
        throw new OneloraError({ attempted: "reading 5", found: "nothing", allowed: "an image" });
      }
      const pixels = Uint8Array.from({ length: 16 }, (_, i) => shade * index + 10 * (i % 4));
      return { pixels, height: 4, width: 4, channels: 1, label: index % 3 };
    },
  };
}

/** Latents of half the size: every other pixel as mean, and a log variance of -2. */
function encoding(data: ImageDataset, calls: number[] = []): EncodeOptions {
  return {
    dataset: data,
    size: 4,
    channels: 1,
    encoder: "every other pixel",
    batchSize: 3,
    encode: (pixels) => {
      calls.push(pixels.shape[0]);
      const mean = tf.stridedSlice(pixels, [0, 0, 0, 0], pixels.shape, [1, 1, 2, 2]);
      return [mean, tf.fill(mean.shape, -2)];
    },
  };
}

Deno.test("latents are encoded once, mirrored too, and sampled by key; unreadable images are skipped", async () => {
  await useBackend("cpu");
  const path = `${folder}/latents.safetensors`;
  const [calls, lines, progress]: [number[], string[], number[]] = [[], [], []];
  const options = {
    ...encoding(dataset(), calls),
    onSkip: (line: string) => lines.push(line),
    onProgress: (done: number) => progress.push(done),
  };
  const before = tf.memory().numTensors;
  await using source = await cachedLatents(path, options);
  assertEquals(tf.memory().numTensors, before);
  assertEquals(calls, [1, 3, 3, 2, 2, 1, 1], "a probe, then each batch as it is and mirrored");
  assertEquals([progress, lines], [[3, 6, 7], ["reading 5: found nothing; allowed: an image"]]);
  assertEquals([source.size, source.shape], [7, [1, 2, 2]]);
  await (await cachedLatents(path, options))[Symbol.asyncDispose]();
  assertEquals(calls.length, 7, "the second time nothing is encoded");

  await using checkpoint = await openSafetensors(path);
  assertEquals([...(await checkpoint.read("labels")).data].map(Number), [0, 1, 2, 0, 1, 65535, 0]);
  const stored = (await checkpoint.read("latents.0000000002")).data as Float32Array;
  const [left, right] = [0, 1].map((flip) => {
    const image = dataset().get(2) as Awaited<ReturnType<ImageDataset["get"]>>;
    const pixels = generationTransform({ size: 4, channels: 1, flip }).apply(image, key(0));
    return [0, 2, 8, 10].map((i) => pixels[i]);
  });
  assertEquals([...stored], [...left, -2, -2, -2, -2, ...right, -2, -2, -2, -2]);

  const draws = await Promise.all(Array.from({ length: 800 }, (_, epoch) => source.get(2, fold(key(0), epoch))));
  assertEquals((await source.get(2, fold(key(0), 7))).values, draws[7].values);
  assertNotEquals(draws[7].values, draws[8].values);
  assertEquals(draws.every(({ label }) => label === 2), true);
  const firsts = draws.map(({ values }) => values[0] / 0.18215);
  const mean = firsts.reduce((sum, value) => sum + value / 800, 0);
  const variance = firsts.reduce((sum, value) => sum + (value - mean) ** 2 / 800, 0);
  assertAlmostEquals(mean, (left[0] + right[0]) / 2, 0.05, "half of them mirrored");
  assertAlmostEquals(variance, Math.exp(-2) + ((left[0] - right[0]) / 2) ** 2, 0.03);
  await assertRejects(() => Promise.resolve(source.get(5, key(0))), OneloraError, "could not be read");
  await assertRejects(() => Promise.resolve(source.get(7, key(0))), OneloraError, "found 7 images");

  const skipped: string[] = [];
  const groups = await Array.fromAsync(
    stream(source, { batchSize: 4, seed: 1, onSkip: (line) => skipped.push(line) }),
  );
  assertEquals(groups.flatMap(({ indices }) => [...indices]).sort(), [0, 1, 2, 3, 4, 6]);
  assertEquals(skipped.length, 1);
});

Deno.test("latents of other images, sizes or encoders are not taken for these", async () => {
  await useBackend("cpu");
  const path = `${folder}/others.safetensors`;
  const options = { ...encoding(dataset(false)), mirrored: false };
  await encodeLatents(path, options);
  const expected = await latentKey(options);
  assertStringIncludes(expected, "at 4x4x1, by every other pixel");
  const source = await openLatents(path, expected, { factor: 1 });
  const { values } = await source.get(0, key(0));
  await source[Symbol.asyncDispose]();
  assertEquals(values.length, 4);
  for (
    const other of [
      { ...options, dataset: dataset(false, 21) },
      { ...options, dataset: dataset() },
      { ...options, size: 8 },
      { ...options, mirrored: true },
      { ...options, encoder: "another" },
    ]
  ) {
    assertNotEquals(await latentKey(other), expected);
    await assertRejects(() => cachedLatents(path, other), OneloraError, `found ${expected}; allowed: squares (`);
  }
});

Deno.test("a strict encoding fails at an unreadable image and leaves no file", async () => {
  await useBackend("cpu");
  const path = `${folder}/strict.safetensors`;
  await assertRejects(() => encodeLatents(path, { ...encoding(dataset()), strict: true }), OneloraError, "reading 5");
  await assertRejects(
    () => encodeLatents(path, { ...encoding(dataset()), batchSize: 0 }),
    OneloraError,
    "batches of 0",
  );
  assertEquals((await Array.fromAsync(Deno.readDir(folder))).some(({ name }) => name.includes("strict")), false);
});

Deno.test("an autoencoder's latents are kept as it gives them", async () => {
  await useBackend("wasm");
  const path = `${folder}/vae.safetensors`;
  const config = autoencoderPresets["vae-micro"];
  const layer = autoencoderKl(config);
  const params = init(layer, key(1));
  const encoder = apply(layer, params);
  const size = 32;
  const { channels } = config;
  const images = dataset(false);
  await encodeLatents(path, {
    ...encoding(images),
    size,
    channels,
    mirrored: false,
    encode: (pixels) => {
      const [, mean, logvar] = encoder(pixels);
      return [mean, logvar];
    },
  });
  await using checkpoint = await openSafetensors(path);
  const { data, shape } = await checkpoint.read("latents.0000000003");
  tf.tidy(() => {
    const pixels = generationTransform({ size, channels, flip: 0 }).apply(
      images.get(3) as Awaited<ReturnType<ImageDataset["get"]>>,
      key(0),
    );
    const [, mean, logvar] = encoder(tf.tensor(pixels, [1, channels, size, size]));
    const expected = tf.concat([mean, logvar], 1);
    assertEquals(shape, expected.shape);
    expected.dataSync().forEach((value, i) => assertAlmostEquals(Number(data[i]), value, 1e-5));
  });
  tf.dispose(params);
});

globalThis.addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));
