import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { fileOf } from "../../dsl/files/path.ts";
import { compile, key, OneloraError, useBackend } from "../../dsl/mod.ts";
import {
  type Denoiser,
  guided,
  type ImageSamplingOptions,
  keyedNoise,
  type NoiseSource,
  sampleImages,
} from "../../tasks/generation/sampling.ts";
import { diffusionSchedule, linearBetas, respaced } from "../../tasks/generation/schedule.ts";
import { assertClose, fixture, withoutLeaks } from "../support/compare.ts";

const EXPECTED = fileOf(new URL("../fixtures/diffusion/expected.safetensors", import.meta.url));
const full = diffusionSchedule(linearBetas());
const labels = Int32Array.of(0, 3);

/** The reference's stand-in for a model: tanh(0.7 x + t / 2000 - y / 10) and sin(2 x + t / 300 + y). */
const predictor: Denoiser = (x, timesteps, labels) =>
  tf.tidy(() => {
    const [t, y] = [timesteps, labels].map((column) => tf.reshape(tf.cast(column, "float32"), [-1, 1, 1, 1]));
    const noise = tf.tanh(tf.add(tf.mul(0.7, x), tf.sub(tf.div(t, 2000), tf.mul(0.1, y))));
    return tf.concat([noise, tf.sin(tf.add(tf.mul(2, x), tf.add(tf.div(t, 300), y)))], 1);
  });

/** The fixture's noise [steps + 1, image, ...]. */
function recorded(noise: tf.Tensor): NoiseSource {
  const [steps, images] = noise.shape;
  const values = noise.dataSync<"float32">();
  const stride = values.length / steps / images;
  return (step, image) => values.slice((step * images + image) * stride, (step * images + image + 1) * stride);
}

const cases: readonly (readonly [string, "even" | "stride", Partial<ImageSamplingOptions>])[] = [
  ["ddpm", "even", {}],
  ["ddpm.clip", "even", { clipDenoised: true }],
  ["ddpm.fixed", "even", {}],
  ["ddim", "stride", { method: "ddim" }],
  ["ddim.eta", "stride", { method: "ddim", eta: 0.6 }],
  ["ddim.clip", "stride", { method: "ddim", eta: 1, clipDenoised: true }],
];

for (const [name, spacing, options] of cases) {
  Deno.test(`every state of a ${name} trajectory equals the reference`, async () => {
    await useBackend("wasm");
    await withoutLeaks(async () => {
      const expected = await fixture(EXPECTED, "sample.");
      const model: Denoiser = name === "ddpm.fixed" ? (...args) => tf.split(predictor(...args), 2, 1)[0] : predictor;
      const states = tf.unstack(expected[name]);
      const counts: number[] = [];
      const last = await sampleImages(model, respaced(full, 8, spacing), labels, [2, 4, 4], {
        ...options,
        noise: recorded(expected.noise),
        onStep: (done, total, x) => {
          assertClose(x, states[done - 1], 1e-5, `step ${done} of ${total}`);
          counts.push(done / total);
        },
      });
      assertEquals(counts, [1, 2, 3, 4, 5, 6, 7, 8].map((done) => done / 8));
      assertClose(last, states[7], 1e-5, "result");
    });
  });
}

Deno.test("guidance changes the first three channels or all, as the reference", async () => {
  await useBackend("wasm");
  await withoutLeaks(async () => {
    const expected = await fixture(EXPECTED, "guided.");
    const [timesteps, y] = [tf.fill([2], 321, "int32"), tf.tensor1d(labels, "int32")];
    for (const channels of ["first-three", "all"] as const) {
      const model = guided(predictor, { scale: 1.5, nullClass: 10, channels });
      assertClose(model(expected.x, timesteps, y), expected[channels], 1e-6, channels);
      const noiseOnly = guided((...args) => tf.split(predictor(...args), 2, 1)[0], {
        scale: 1.5,
        nullClass: 10,
        channels,
      });
      const wanted = tf.split(expected[channels], 2, 1)[0];
      assertClose(noiseOnly(expected.x, timesteps, y), wanted, 1e-6, `${channels}, without variance`);
    }
  });
});

Deno.test("DDPM and DDIM recover the distribution of a model that knows it", async () => {
  await useBackend("wasm");
  // Data N(0.5, 0.2^2): E[noise | x_t] = sqrt(1 - abar) (x_t - sqrt(abar) 0.5) / (abar 0.04 + 1 - abar).
  const exact: Denoiser = (x, timesteps) => {
    const bar = full.alphasCumprod[timesteps.dataSync()[0]];
    const factor = Math.sqrt(1 - bar) / (bar * 0.04 + 1 - bar);
    return tf.mul(factor, tf.sub(x, Math.sqrt(bar) * 0.5));
  };
  await withoutLeaks(async () => {
    for (const [method, spacing] of [["ddpm", "even"], ["ddim", "stride"]] as const) {
      const noise = keyedNoise(key(7));
      const samples = await sampleImages(exact, respaced(full, 100, spacing), labels, [1, 40, 40], { method, noise });
      const { mean, variance } = tf.moments(samples);
      assertAlmostEquals(mean.dataSync()[0], 0.5, 0.02, method);
      assertAlmostEquals(Math.sqrt(variance.dataSync()[0]), 0.2, 0.02, method);
    }
  });
});

Deno.test("a sample depends on its key and index, not on its batch, and a compiled model gives it too", async () => {
  await useBackend("wasm");
  await withoutLeaks(async () => {
    const schedule = respaced(full, 4);
    const run = (model: Denoiser, of: Int32Array, seed: number, start = 0) =>
      sampleImages(model, schedule, of, [2, 4, 4], { noise: keyedNoise(key(seed), start) });
    const both = await run(predictor, labels, 1);
    const second = await run(predictor, labels.slice(1), 1, 1);
    assertEquals(second.dataSync(), tf.slice(both, 1).dataSync());
    const other = await run(predictor, labels, 2);
    assert(tf.max(tf.abs(tf.sub(both, other))).dataSync()[0] > 0.1);
    const compiled = compile(predictor);
    assertClose(await run(compiled, labels, 1), both, 1e-6, "compiled");
    compiled.dispose();
  });
});

Deno.test("nothing is left behind when sampling fails", async () => {
  await useBackend("cpu");
  const noise = keyedNoise(key(0));
  const attempt = (of: Int32Array, options: Partial<ImageSamplingOptions>, channels = 1) =>
    sampleImages((x) => tf.zeros([x.shape[0], channels, 4, 4]), full, of, [1, 4, 4], { noise, ...options });
  const before = tf.memory().numTensors;
  await assertRejects(() => attempt(labels, {}, 3), OneloraError, "1 channels of noise, or 2 with variance");
  await assertRejects(() => attempt(labels, { onStep: () => Promise.reject(new Error("stopped")) }), Error, "stopped");
  await assertRejects(() => attempt(new Int32Array(0), {}), OneloraError, "found 0 labels");
  await assertRejects(() => attempt(labels, { eta: 2 }), OneloraError, "eta from 0 to 1");
  assertEquals(tf.memory().numTensors, before);
});
