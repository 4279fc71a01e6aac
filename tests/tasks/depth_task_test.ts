/**
 * Monocular depth as a task: training, evaluation by the rules, resuming, the command line.
 *
 * @module
 */
import { assert, assertAlmostEquals, assertEquals, assertMatch, assertRejects } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { apply, key, OneloraError, useBackend } from "../../dsl/mod.ts";
import { openModel } from "../../models/mod.ts";
import {
  depthEvaluationTransform,
  depthProtocols,
  encodeDepthPng,
  evaluateDepth,
  openTrained,
  type Run,
  runTask,
  sceneSplits,
  taskKind,
} from "../../tasks/mod.ts";
import { metricInput } from "../../tasks/depth/estimator.ts";
import { renderScene } from "../../tasks/depth/scenes.ts";
import { loadSharp } from "../../tasks/data/sharp.ts";
import { linesOf, output } from "../support/command.ts";
import { withFolder } from "../support/data_folder.ts";

const model = "tests/fixtures/depth-metric";
const depth = taskKind("depth");
const quiet = { line: () => {}, start: () => {}, progress: () => {}, finish: () => {} };

const run: Run = {
  model,
  data: "scenes-indoor",
  adapter: "1lora",
  target: "all-linear",
  steps: 6,
  batchSize: 3,
  lr: 3e-2,
  weightDecay: 0.01,
  schedule: "one-cycle-flat",
  warmup: 0.7,
  clip: 1,
  seed: 0,
  shuffle: true,
  own: { augment: true },
  limit: 3,
  strict: true,
  evalEvery: 0,
  checkpointEvery: 0,
};

/** Runs a test that must leave as many tensors as it found. */
async function withoutLeaks(body: () => Promise<void>): Promise<void> {
  const before = tf.memory().numTensors;
  await body();
  assertEquals(tf.memory().numTensors, before);
}

/** Values of all trained parameters of a run, and the loss of every step. */
async function trained(settings: Run, more: { out?: string; resume?: boolean; signal?: AbortSignal } = {}) {
  const losses: number[] = [];
  const values: Record<string, readonly number[]> = {};
  const result = await runTask(depth, settings, {
    ...more,
    reporter: { ...quiet, progress: (_, { loss }) => losses.push(loss) },
    save: async ({ params }) => {
      for (const [path, tensor] of Object.entries(params)) values[path] = [...await tensor.data()];
    },
  });
  return { result, losses, values };
}

Deno.test("training on one batch lowers its loss and the error on it, and leaves no tensor", async () => {
  await useBackend("wasm");
  await withoutLeaks(async () => {
    const { losses, result } = await trained({ ...run, own: { augment: false }, steps: 8 });
    assert(losses[7] < 0.9 * losses[0], `${losses}`);
    assertEquals(result.deciding, { metric: "rmse", better: "lower" });
    assertEquals(result.parameters, { adapter: 4 * (3 * 20 + 20 + 60 + 20), head: 0, total: result.parameters.total });
    const { result: before } = await trained({ ...run, adapter: "none" });
    assertEquals([before.steps, before.parameters.adapter], [0, 0]);
    assert(result.metrics.silog > 0 && before.metrics.count === 3);
  });
});

Deno.test("a run that was stopped and resumed ends with the parameters of one that was not", () =>
  withFolder({}, async (folder) => {
    await useBackend("wasm");
    const whole = await trained(run);
    await Deno.mkdir(`${folder}/checkpoint`);
    const controller = new AbortController();
    const stopping = runTask(depth, run, {
      out: folder,
      reporter: { ...quiet, progress: (step) => step === 3 && controller.abort() },
      signal: controller.signal,
    });
    await assertRejects(() => stopping, OneloraError, "an interrupt after step 3");
    const resumed = await trained({ ...run, own: { augment: true, samples: 1 } }, { out: folder, resume: true });
    assertEquals(resumed.losses, whole.losses.slice(3));
    assertEquals(resumed.values, whole.values);
    assertEquals(resumed.result.metrics, whole.result.metrics);
    const pictures = Array.from(Deno.readDirSync(`${folder}/pictures`), ({ name }) => name);
    assertEquals(pictures.length, 1);
    assertMatch(pictures[0], /^depth-\d+\.png$/);
  }));

/** Metres for one picture, computed without the task: predicted, mirrored, averaged, stretched and limited by tensors. */
function byHand(forward: (pixels: tf.Tensor) => tf.Tensor, pixels: tf.Tensor, size: [number, number], flip: boolean) {
  const plain = forward(pixels);
  const map = flip ? tf.div(tf.add(plain, tf.reverse(forward(tf.reverse(pixels, 3)), 2)), 2) : plain;
  return tf.clipByValue(
    tf.squeeze(tf.image.resizeBilinear(tf.expandDims(map, 3) as tf.Tensor4D, size, true)),
    1e-3,
    10,
  );
}

Deno.test("evaluation equals measures computed by hand, with and without the mirrored picture", async () => {
  await useBackend("wasm");
  await withoutLeaks(async () => {
    const opened = await openTrained(model, { key: key(0) });
    const input = metricInput(opened.model);
    const { test } = sceneSplits("indoor", { height: 30, width: 50, train: 1, test: 3 });
    const transform = depthEvaluationTransform(input);
    const found: number[] = [];
    for (const flip of [false, true]) {
      const evaluation = { dataset: test, input, flip };
      const metrics = await evaluateDepth(opened.layer, opened.params, evaluation, depthProtocols.scenesIndoor);
      const expected = await Promise.all([0, 1, 2].map(async (index) => {
        const sample = transform.apply(await test.get(index), key(0));
        return tf.tidy(() => {
          const pixels = tf.tensor(sample.pixels, [1, 3, input.height, input.width]);
          const p = byHand((x) => apply(opened.layer, opened.params)(x), pixels, [30, 50], flip);
          const t = tf.tensor(sample.depth, [30, 50]);
          const ratio = tf.maximum(tf.div(t, p), tf.div(p, t));
          return [
            tf.mean(tf.div(tf.abs(tf.sub(t, p)), t)),
            tf.sqrt(tf.mean(tf.square(tf.sub(t, p)))),
            tf.mean(tf.cast(tf.less(ratio, 1.25), "float32")),
          ].map((measure) => measure.dataSync()[0]);
        });
      }));
      const mean = (at: number) => expected.reduce((sum, each) => sum + each[at], 0) / 3;
      assertAlmostEquals(metrics.absRel, mean(0), 1e-5);
      assertAlmostEquals(metrics.rmse, mean(1), 1e-5);
      assertAlmostEquals(metrics.delta1, mean(2), 1e-5);
      assertEquals(metrics.count, 3);
      found.push(metrics.rmse);
    }
    assert(found[0] !== found[1]);
    tf.dispose(opened.params as Record<string, tf.Tensor>);
  });
});

Deno.test("published models read 392x518, micro ones their own size; those without metres are refused", async () => {
  const size = async (name: string) => {
    const { height, width } = metricInput(await openModel(name));
    return [height, width];
  };
  assertEquals(await size("depth-anything-large-outdoor"), [392, 518]);
  assertEquals(await size("dpt-micro"), [56, 56]);
  for (const name of ["depth-anything-large", "vit-base"]) {
    const error = await assertRejects(() => size(name), OneloraError, "depth-anything-large-outdoor");
    assertEquals(error.exitCode, 2);
  }
});

Deno.test("a method that finds nothing to train is refused", async () => {
  const error = await assertRejects(() => trained({ ...run, adapter: "head" }), OneloraError, "nothing that it trains");
  assertEquals(error.exitCode, 2);
});

Deno.test("the built-in model was trained indoors: there it is good, on streets it is not yet", async () => {
  await useBackend("wasm");
  await withoutLeaks(async () => {
    const { result: indoors } = await trained({ ...run, model: "dpt-micro", adapter: "none", limit: 8 });
    const { result: outdoors } = await trained({
      ...run,
      model: "dpt-micro",
      data: "scenes-driving",
      adapter: "none",
      limit: 8,
    });
    assert(indoors.metrics.delta1 > 0.7, `${indoors.metrics.delta1}`);
    assert(outdoors.metrics.delta1 < 0.5 * indoors.metrics.delta1, `${outdoors.metrics.delta1}`);
  });
});

/** A folder of NYU's form with pictures just large enough for Eigen's crop to leave something. */
async function smallNyu(): Promise<Record<string, Uint8Array | string>> {
  const sharp = await loadSharp();
  const [height, width] = [60, 64];
  const files: Record<string, Uint8Array | string> = {};
  for (const name of ["a", "b", "c"]) {
    const scene = renderScene("indoor", key(name.charCodeAt(0)), { height, width });
    const picture = sharp(scene.pixels, { raw: { width, height, channels: 3 } }).png();
    files[`sync/${name}.png`] = (await picture.toBuffer({ resolveWithObject: true })).data;
    const steps = Uint16Array.from(scene.depth, (metres) => Math.round(1000 * metres));
    files[`sync/${name}-depth.png`] = await encodeDepthPng(steps, height, width);
  }
  const line = (name: string) => `/${name}.png /${name}-depth.png 518.8579\n`;
  return { ...files, "train.txt": line("a") + line("b"), "test.txt": line("c") };
}

Deno.test("NYU's folders are trained on and evaluated from the command line", async () => {
  await withFolder(await smallNyu(), async (folder) => {
    const out = `${folder}/run`;
    const given = ["--model", model, "--data", `nyu:${folder}`, "--backend", "wasm", "--steps", "2", "--out", out];
    const shown = await output("train", "--task", "depth", ...given);
    assertMatch(shown, /^1lora +AbsRel \d\.\d{4} {2}RMSE \d\.\d{3} m {2}delta1 \d+\.\d\d % {2}640 trainable {2}/m);
    const config = JSON.parse(await Deno.readTextFile(`${out}/config.json`));
    const { schedule, warmup, clip, flip } = config;
    assertEquals({ schedule, warmup, clip, flip }, { schedule: "one-cycle-flat", warmup: 0.7, clip: 0.1, flip: true });
    const last = JSON.parse((await linesOf(`${out}/metrics.jsonl`))[1]);
    assertEquals(await Array.fromAsync(Deno.readDir(`${out}/pictures`), ({ name }) => name), ["depth-0.png"]);
    const { protocol, input, flip: flipped, ...metrics } = JSON.parse(await output("evaluate", "--run", out, "--json"));
    assertEquals([protocol.crop, protocol.maxDepth, input, flipped], ["eigen", 10, [42, 42], true]);
    for (const [name, value] of Object.entries(metrics)) {
      assertAlmostEquals(value as number, last.evaluation[name], 1e-6, name);
    }
  });
});
