import { assert, assertAlmostEquals, assertEquals, assertRejects, assertThrows } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { OneloraError } from "../../dsl/mod.ts";
import { useBackend } from "../../dsl/engine/mod.ts";
import { type Json, openModel } from "../../models/mod.ts";
import { readScheduler, schedulerSettings } from "../../models/companions/scheduler.ts";
import { diffusionLoss, qSample, sampleImages } from "../../tasks/mod.ts";
import { diffusionCoefficients, samplingSchedule, trainedSchedule } from "../../tasks/generation/schedule.ts";
import { diffusionInput } from "../../tasks/generation/objective.ts";
import { withoutLeaks } from "../support/compare.ts";

/** A run of one of diffusers' schedulers. */
interface Case {
  readonly config: Json;
  readonly betas: readonly number[];
  readonly timesteps: readonly number[];
  readonly states: readonly (readonly number[])[];
}

const reference = JSON.parse(await Deno.readTextFile(new URL("../fixtures/schedulers.json", import.meta.url)));
const { shape, cases } = reference as { shape: [number, number, number, number]; cases: readonly Case[] };
const COUNT = 5;

for (const { config, betas, timesteps, states } of cases) {
  Deno.test(`samples are those of diffusers: ${JSON.stringify(config)}`, async () => {
    await useBackend("cpu");
    await withoutLeaks(async () => {
      const { process, notes } = readScheduler(config);
      assertEquals(notes, []);
      const whole = trainedSchedule(process).betas;
      [0, 1, whole.length >> 1, whole.length - 1].forEach((t, i) =>
        assertAlmostEquals(whole[t], betas[i], 1e-6, `beta ${t}`)
      );
      const schedule = samplingSchedule(process, COUNT);
      assertEquals([...schedule.timesteps].reverse(), timesteps);
      let step = 0;
      const learns = config.variance_type === "learned_range";
      const model = (x: tf.Tensor) => {
        const output = tf.add(tf.mul(0.3, x), tf.tensor(reference.bias[step], shape));
        return learns ? tf.concat([output, tf.tensor(reference.range[step], shape)], 1) : output;
      };
      const sampled = await sampleImages(model, schedule, Int32Array.of(0), [shape[1], shape[2], shape[3]], {
        method: process.method,
        clipDenoised: process.clip,
        prediction: process.prediction,
        variance: process.variance,
        noiseOfClipped: false,
        noise: (left) => Float32Array.from(left === COUNT ? reference.start : reference.noise[COUNT - 1 - left]),
        onStep: (done, _, x) => {
          const found = x.dataSync();
          const largest = Math.max(1, ...states[done - 1].map(Math.abs));
          // The reference computes its tables in float32.
          const close = done === COUNT ? 2e-4 : 1e-4;
          states[done - 1].forEach((value, i) =>
            assertAlmostEquals(found[i], value, close * largest, `step ${done}, number ${i}`)
          );
          step = done;
        },
      });
      sampled.dispose();
    });
  });
}

Deno.test("what a model is trained to predict: noise, velocity and image give one loss where they mean the same image", async () => {
  await useBackend("cpu");
  await withoutLeaks(async () => {
    await Promise.resolve();
    const schedule = trainedSchedule(undefined);
    const coefficients = diffusionCoefficients(schedule, Int32Array.of(0, 300, 999));
    const [clean, noise, v] = [1, 2, 3].map((seed) => tf.randomNormal([3, 2, 4, 4], 0, 1, "float32", seed));
    const guess = tf.randomNormal([3, 2, 4, 4], 0, 1, "float32", 4);
    const { signal, spread } = coefficients;
    const x = qSample(clean, noise, coefficients);
    const variance = tf.tanh(v);
    // The same guess at x_0, said in three ways.
    const asNoise = tf.div(tf.sub(x, tf.mul(signal, guess)), spread);
    const said = {
      epsilon: asNoise,
      sample: guess,
      v_prediction: tf.sub(tf.mul(signal, asNoise), tf.mul(spread, guess)),
    };
    const bits = Object.entries(said).map(([of, output]) => {
      const joined = tf.concat([output, variance], 1);
      return diffusionLoss(joined, clean, noise, coefficients, of as keyof typeof said).variational!.dataSync();
    });
    for (const other of bits.slice(1)) {
      bits[0].forEach((value, i) => assertAlmostEquals(other[i], value, 1e-3 * Math.max(1, Math.abs(value))));
    }
    const { mse } = diffusionLoss(guess, clean, noise, coefficients, "sample");
    const plain = tf.mean(tf.square(tf.sub(guess, clean)), [1, 2, 3]).dataSync();
    mse.dataSync().forEach((value, i) => assertAlmostEquals(value, plain[i], 1e-5));
  });
});

Deno.test("schedulers and settings that are not known here are refused by name", () => {
  const refused: readonly (readonly [Json, string])[] = [
    [{ _class_name: "DPMSolverMultistepScheduler" }, "_class_name"],
    [{ beta_schedule: "laplace" }, "beta_schedule"],
    // DDPM's alone.
    [{ beta_schedule: "sigmoid" }, "beta_schedule"],
    [{ prediction_type: "flow_prediction" }, "prediction_type"],
    [{ _class_name: "DDPMScheduler", variance_type: "learned" }, "variance_type"],
    [{ thresholding: true }, "thresholding"],
    [{ rescale_betas_zero_snr: true }, "rescale_betas_zero_snr"],
    [{ beta_end: 2 }, "beta_end"],
    [{ trained_betas: [0.1, 3] }, "trained_betas"],
    [{ trained_betas: [0.1, 0.2], num_train_timesteps: 3 }, "num_train_timesteps"],
    [{ timestep_spacing: "log" }, "timestep_spacing"],
    [{ clip_sample: "yes" }, "clip_sample"],
  ];
  for (const [json, name] of refused) assertThrows(() => readScheduler(json), OneloraError, `"${name}"`);
});

Deno.test("every setting of diffusers' schedulers has a treatment", async () => {
  const keys = JSON.parse(await Deno.readTextFile(new URL("../fixtures/companion-keys.json", import.meta.url)));
  const classes: Record<string, Json> = keys["scheduler_config.json"];
  assertEquals(Object.keys(classes).sort(), Object.keys(schedulerSettings).sort());
  for (const [name, settings] of Object.entries(classes)) {
    assertEquals(Object.keys(settings).filter((key) => !Object.hasOwn(schedulerSettings[name], key)), [], name);
  }
});

Deno.test("a pipeline's scheduler and class names are its transformer's; a refusal is said when it is used", async () => {
  const pipeline = await Deno.makeTempDir();
  const write = (path: string, json: Json) => Deno.writeTextFile(`${pipeline}/${path}`, JSON.stringify(json));
  try {
    for (const folder of ["transformer", "scheduler"]) await Deno.mkdir(`${pipeline}/${folder}`);
    const { config } = await openModel("dit-micro");
    await write("transformer/config.json", { ...config, num_embeds_ada_norm: 10, id2label: undefined });
    await write("scheduler/scheduler_config.json", { _class_name: "DDIMScheduler", prediction_type: "v_prediction" });
    await write("model_index.json", { id2label: { 3: "white shark, man-eater" } });
    const model = await openModel(`${pipeline}/transformer`);
    assertEquals(model.labels?.slice(2, 5), ["LABEL_2", "white shark, man-eater", "LABEL_4"]);
    assertEquals(model.freshClasses, false);
    assertEquals(diffusionInput(model).process?.prediction, "v_prediction");
    assertEquals(diffusionInput(model.with({ labels: ["a", "b"] })).process?.prediction, "v_prediction");
    await write("scheduler/scheduler_config.json", { _class_name: "PNDMScheduler" });
    const other = await openModel(`${pipeline}/transformer`);
    assertThrows(() => diffusionInput(other), OneloraError, "DDIMScheduler, DDPMScheduler");
    await write("model_index.json", { id2label: { 10: "none" } });
    await assertRejects(() => openModel(`${pipeline}/transformer`), OneloraError, '"id2label" of model_index.json');
    assert(other.labels !== undefined);
  } finally {
    await Deno.remove(pipeline, { recursive: true });
  }
});
