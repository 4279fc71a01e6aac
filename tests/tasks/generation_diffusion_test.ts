import { assert, assertAlmostEquals, assertEquals, assertLess, assertNotEquals, assertThrows } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { fileOf } from "../../dsl/files/path.ts";
import {
  adamw,
  apply,
  compile,
  fold,
  init,
  key,
  OneloraError,
  type Params,
  unfreeze,
  useBackend,
  valueAndGradients,
} from "../../dsl/mod.ts";
import { dit, ditPresets } from "../../models/mod.ts";
import { diffusionLoss, drawSteps, dropLabels, noiseValues, qSample } from "../../tasks/generation/diffusion.ts";
import { guided, keyedNoise, sampleImages } from "../../tasks/generation/sampling.ts";
import {
  type DiffusionCoefficients,
  diffusionCoefficients,
  diffusionSchedule,
  linearBetas,
  respaced,
} from "../../tasks/generation/schedule.ts";
import { assertClose, fixture, gradients, withoutLeaks } from "../support/compare.ts";
import schedules from "../fixtures/diffusion/schedules.json" with { type: "json" };

const EXPECTED = fileOf(new URL("../fixtures/diffusion/expected.safetensors", import.meta.url));
const full = diffusionSchedule(linearBetas());

function assertTables(schedule: typeof full, expected: typeof schedules.full): void {
  const { at, betas, bar, variance, log_variance } = expected;
  const pairs = [
    [schedule.betas, betas],
    [schedule.alphasCumprod, bar],
    [schedule.posteriorVariance, variance],
    [schedule.posteriorLogVariance, log_variance],
  ] as const;
  for (const [found, wanted] of pairs) {
    at.forEach((t, i) => assertAlmostEquals(found[t], wanted[i], 1e-11 * Math.abs(wanted[i])));
  }
}

Deno.test("the tables of the linear schedule equal numpy's to eleven digits", () => {
  assertTables(full, schedules.full);
  assertEquals([...full.timesteps.subarray(0, 3)], [0, 1, 2]);
});

Deno.test("respacing keeps the reference's steps and their tables", () => {
  for (const spacing of ["even", "stride"] as const) {
    for (const [count, expected] of Object.entries(schedules[spacing])) {
      assertEquals([...respaced(full, Number(count), spacing).timesteps], expected);
    }
  }
  const { at, ...tables } = schedules.respaced;
  assertTables(respaced(full, 8), { at, ...tables });
  assertEquals([...respaced(respaced(full, 250), 2).timesteps], [0, 999], "respacing again keeps the original steps");
});

Deno.test("impossible processes are refused", () => {
  assertThrows(() => diffusionSchedule(Float64Array.of(0.1)), OneloraError, "found 1 steps");
  assertThrows(() => diffusionSchedule(Float64Array.of(0.1, 1)), OneloraError, "found beta 1");
  assertThrows(() => diffusionSchedule(Float64Array.of(0.1, NaN)), OneloraError, "found beta NaN");
  assertThrows(() => respaced(full, 1), OneloraError, "allowed: 2 to 1000");
  assertThrows(() => respaced(full, 1001), OneloraError, "allowed: 2 to 1000");
  assertThrows(() => respaced(full, 999, "stride"), OneloraError, "whole stride");
  assertThrows(() => diffusionCoefficients(full, Int32Array.of(1000)), OneloraError, "allowed: 0 to 999");
});

for (const backend of ["cpu", "wasm"] as const) {
  Deno.test(`loss, its parts and its gradient equal the reference on ${backend}, plain and compiled`, async () => {
    await useBackend(backend);
    await withoutLeaks(async () => {
      const { steps, clean, noise, output, ...expected } = await fixture(EXPECTED, "loss.");
      const coefficients = diffusionCoefficients(full, steps.dataSync<"int32">());
      assertClose(qSample(clean, noise, coefficients), expected.noised, 1e-6, "x_t");

      const { loss, mse, variational } = diffusionLoss(output, clean, noise, coefficients);
      assertClose(mse, expected.mse, 1e-6, "mse");
      assert(variational !== undefined);
      // Relative to each example, since they differ by orders of magnitude.
      const [found, wanted] = [variational.dataSync(), expected.vb.dataSync()];
      found.forEach((bits, i) => assertAlmostEquals(bits, wanted[i], 1e-5 * Math.max(Math.abs(wanted[i]), 0.1)));
      assertClose(loss, tf.mean(tf.add(expected.mse, expected.vb)), 1e-6, "loss");

      const gradientOf = (x: tf.Tensor, factors: typeof coefficients) =>
        gradients((params) => diffusionLoss(params.x, clean, noise, factors).loss, { x }).x;
      assertClose(gradientOf(output, coefficients), expected.gradient, 1e-5, "gradient");
      const compiled = compile(gradientOf);
      assertClose(compiled(output, coefficients), expected.gradient, 1e-5, "compiled gradient");
      // The same program serves other timesteps.
      const others = diffusionCoefficients(full, Int32Array.of(3, 0, 999, 0, 1, 20));
      assertClose(compiled(output, others), gradientOf(output, others), 1e-6, "compiled gradient at other timesteps");
      compiled.dispose();
    });
  });
}

Deno.test("without learned variance the loss is the mean squared error of the noise", async () => {
  await useBackend("cpu");
  tf.tidy(() => {
    const [clean, noise] = [tf.zeros([2, 1, 2, 2]), tf.ones([2, 1, 2, 2])];
    const coefficients = diffusionCoefficients(full, Int32Array.of(0, 9));
    const { loss, variational } = diffusionLoss(tf.zeros([2, 1, 2, 2]), clean, noise, coefficients);
    assertEquals([loss.dataSync()[0], variational], [1, undefined]);
    assertThrows(
      () => diffusionLoss(tf.zeros([2, 3, 2, 2]), clean, noise, coefficients),
      OneloraError,
      "found shape [2, 3, 2, 2] for images [2, 1, 2, 2]",
    );
  });
});

Deno.test("a level that a model holds for impossible costs the logarithm of 1e-12, and no more", async () => {
  await useBackend("cpu");
  await withoutLeaks(() => {
    const [clean, coefficients] = [
      tf.zeros([1, 1, 2, 2]),
      diffusionCoefficients(full, Int32Array.of(0)),
    ];
    const output = tf.concat([tf.fill([1, 1, 2, 2], 1e4), clean], 1);
    const { variational } = diffusionLoss(output, clean, clean, coefficients);
    assertAlmostEquals(variational!.dataSync()[0], 12 / Math.log10(2), 1e-4);
    return Promise.resolve();
  });
});

Deno.test("extreme outputs give a finite gradient", async () => {
  await useBackend("cpu");
  tf.tidy(() => {
    const coefficients = diffusionCoefficients(full, Int32Array.of(0, 999));
    const [clean, noise] = [tf.fill([2, 1, 2, 2], -1), tf.ones([2, 1, 2, 2])];
    const x = tf.concat([tf.fill([2, 1, 2, 2], 1e4), tf.fill([2, 1, 2, 2], -1)], 1);
    const { x: gradient } = gradients((params) => diffusionLoss(params.x, clean, noise, coefficients).loss, { x });
    assert(gradient.dataSync().every(Number.isFinite));
  });
});

Deno.test("steps, noise and dropped labels are functions of the key, of the right distribution", async () => {
  await useBackend("cpu");
  const steps = drawSteps(1000, key(1), 20_000);
  assertEquals(drawSteps(1000, key(1), 20_000), steps);
  assertNotEquals(drawSteps(1000, key(2), 20_000), steps);
  assertEquals([Math.min(...steps), Math.max(...steps)], [0, 999]);
  assertAlmostEquals(steps.reduce((sum, t) => sum + t / steps.length, 0), 499.5, 6);

  const labels = new Int32Array(20_000).fill(4);
  const dropped = dropLabels(labels, 101, 0.1, key(3));
  assertEquals(dropLabels(labels, 101, 0.1, key(3)), dropped);
  assertEquals([...new Set(dropped)].sort(), [101, 4]);
  assertAlmostEquals(dropped.filter((label) => label === 101).length / labels.length, 0.1, 0.007);

  tf.tidy(() => {
    const noise = noiseValues(key(5), [100, 1, 10, 10]);
    assertEquals(noise, noiseValues(key(5), [100, 1, 10, 10]));
    const { mean, variance } = tf.moments(noise);
    assertAlmostEquals(mean.dataSync()[0], 0, 0.03);
    assertAlmostEquals(variance.dataSync()[0], 1, 0.05);
  });
});

Deno.test("a small DiT learns two images in one compiled program, and samples the one it is asked for", async () => {
  await useBackend("wasm");
  await withoutLeaks(async () => {
    const preset = ditPresets["dit-micro"];
    const config = { ...preset, hidden: 32, heads: 2, layers: 1, sample: 8, patch: 4, labels: ["dark", "light"] };
    const layer = unfreeze(() => true)(dit(config));
    const schedule = diffusionSchedule(linearBetas());
    const optimiser = adamw({ weightDecay: 0 });
    const labels = Int32Array.from({ length: 32 }, (_, i) => i % 2);
    const shape = [32, 1, 8, 8];
    const clean = tf.add(
      tf.zeros(shape),
      tf.reshape(tf.tensor1d([...labels].map((y) => 1.6 * y - 0.8)), [32, 1, 1, 1]),
    );
    const step = compile((params: Params, state: Params, batch: Params, factors: DiffusionCoefficients) => {
      const { loss, gradients } = valueAndGradients((params) => {
        const noised = qSample(clean, batch.noise, factors);
        const output = apply(layer, params)(noised, batch.timesteps, batch.labels);
        return { loss: diffusionLoss(output, clean, batch.noise, factors).loss };
      })(params);
      return { loss, ...optimiser.update(gradients, state, params, tf.scalar(3e-3)) };
    });
    let params: Params = init(layer, key(0));
    let state = optimiser.init(params);
    const losses: number[] = [];
    for (let i = 0; i < 600; i++) {
      const at = drawSteps(1000, fold(key(1), i), 32);
      const next = tf.tidy(() => {
        const batch = {
          noise: tf.tensor(noiseValues(fold(key(1), i), shape), shape),
          timesteps: tf.tensor1d(at, "int32"),
          labels: tf.tensor1d(dropLabels(labels, 2, 0.1, fold(key(1), i)), "int32"),
        };
        return step(params, state, batch, diffusionCoefficients(schedule, at));
      });
      losses.push(next.loss.dataSync()[0]);
      tf.dispose([params, state, next.loss]);
      ({ params, state } = next);
    }
    const mean = (of: number[]) => of.reduce((sum, loss) => sum + loss / of.length, 0);
    assertLess(mean(losses.slice(-20)), 0.3 * mean(losses.slice(0, 5)));

    const model = guided(apply(layer, params), { scale: 1.5, nullClass: 2, channels: "first-three" });
    const noise = keyedNoise(key(2));
    const asked = Int32Array.of(0, 1);
    const images = await sampleImages(model, respaced(schedule, 25), asked, [1, 8, 8], { noise, clipDenoised: true });
    const [dark, light] = tf.mean(images, [1, 2, 3]).dataSync();
    assertLess(dark, -0.5);
    assertLess(0.5, light);
    step.dispose();
  });
});
