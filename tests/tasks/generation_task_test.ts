import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertLess,
  assertNotEquals,
  assertStringIncludes,
} from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { init, key, type Params, useBackend } from "../../dsl/mod.ts";
import { type DitConfig, ditPresets, loadParams, openModel, saveModel } from "../../models/mod.ts";
import { ditFamily } from "../../models/dit/dit.ts";
import { writeDitConfig } from "../../models/dit/config.ts";
import { generation, openImageData, type Reporter, type Run, type RunResult, runTask } from "../../tasks/mod.ts";
import { failure, output, smallCifar } from "../support/command.ts";
import { withoutLeaks } from "../support/compare.ts";

const folder = await Deno.makeTempDir();
const data = await smallCifar(`${folder}/cifar`);
globalThis.addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));
const { train: { classes } } = await openImageData(data);
const small = { hidden: 32, heads: 2, layers: 1, sample: 8, patch: 4, labels: classes };

/** A folder with a random model of the data's classes. */
async function makeModel(name: string, sizes: Partial<DitConfig>): Promise<string> {
  const config = { ...ditPresets["dit-micro"], ...small, ...sizes };
  const described = ditFamily.read(writeDitConfig(config), {});
  const params = init(described.layer, key(1));
  const path = `${folder}/${name}`;
  await saveModel(described, params, path);
  tf.dispose(Object.values(params));
  return path;
}

async function makeAutoencoder(path: string): Promise<void> {
  const model = await openModel("vae-micro");
  const params = init(model.layer, key(2));
  await saveModel(model, params, path);
  tf.dispose(Object.values(params));
}

await useBackend("wasm");
const grey = await makeModel("grey", {});

const settings: Omit<Run, "model"> = {
  data,
  adapter: "all",
  target: "all-linear",
  batchSize: 16,
  lr: 3e-3,
  weightDecay: 0,
  schedule: "constant",
  warmup: 0,
  clip: 0,
  seed: 0,
  shuffle: true,
  strict: true,
  evalEvery: 0,
  checkpointEvery: 0,
  own: { augment: false, samplingSteps: 3, samples: 20, guidance: 1.5 },
};

interface Trained {
  readonly result: RunResult;
  readonly losses: readonly number[];
  readonly params: Readonly<Record<string, Float32Array>>;
  readonly lines: readonly string[];
  readonly evaluation?: unknown;
}

/** A run in this process, with the numbers of what it trained. */
async function trained(run: Run, alsoEvaluate = false): Promise<Trained> {
  const losses: number[] = [];
  const lines: string[] = [];
  const params: Record<string, Float32Array> = {};
  let evaluation: unknown;
  const reporter: Reporter = {
    line: (text) => lines.push(text),
    start: () => {},
    progress: (_, { loss }) => losses.push(loss),
    finish: () => {},
  };
  const result = await runTask(generation, run, {
    reporter,
    save: async (model) => {
      for (const [path, tensor] of Object.entries(model.params)) {
        params[path] = (await tensor.data<"float32">()).slice();
      }
      if (alsoEvaluate) {
        evaluation = (await generation.evaluate(model, await openImageData(run.data), run, reporter)).metrics;
      }
    },
  });
  return { result, losses, params, lines, evaluation };
}

Deno.test("a small DiT learns, the same seed gives the same bytes, and an evaluation finds what the run found", async () => {
  await withoutLeaks(async () => {
    const run = { ...settings, model: grey, steps: 40 };
    const first = await trained(run, true);
    const mean = (some: readonly number[]) => some.reduce((sum, loss) => sum + loss / some.length, 0);
    assertLess(mean(first.losses.slice(-8)), 0.9 * mean(first.losses.slice(0, 4)));
    assertEquals(Object.keys(first.result.metrics), ["count", "loss", "mse", "variational", "fid"]);
    assertEquals(first.result.deciding, { metric: "fid", better: "lower" });
    assert(first.result.metrics.fid > 0);
    assertEquals(first.evaluation, first.result.metrics);

    const again = await trained({ ...run, steps: 5 });
    assertEquals(again.losses, first.losses.slice(0, 5));
    const third = await trained({ ...run, steps: 5 });
    assertEquals(third.params, again.params);
    const other = await trained({ ...run, steps: 5, seed: 1 });
    assertNotEquals(other.losses, again.losses);
  });
});

Deno.test("what a run keeps is the moving average of its parameters", async () => {
  await withoutLeaks(async () => {
    const run = { ...settings, model: grey };
    const model = await openModel(grey);
    const { params: start }: { params: Params } = await loadParams(model, key(0));
    const decay = 0.6;
    let expected: Record<string, Float32Array> = {};
    for (const [path, tensor] of Object.entries(start)) expected[path] = await tensor.data<"float32">();
    for (const steps of [1, 2, 3]) {
      const { params } = await trained({ ...run, steps });
      expected = Object.fromEntries(
        Object.entries(expected).map((
          [path, e],
        ) => [path, e.map((old, i) => decay * old + (1 - decay) * params[path][i])]),
      );
    }
    tf.dispose(Object.values(start));
    const { params } = await trained({ ...run, steps: 3, ema: decay });
    let moved = 0;
    for (const [path, values] of Object.entries(params)) {
      values.forEach((value, i) => {
        assertAlmostEquals(value, expected[path][i], 1e-6, path);
        moved += Math.abs(value);
      });
    }
    assert(moved > 0);
  });
});

Deno.test("a model of latents trains on those of the autoencoder in its folder, which are kept", async () => {
  await withoutLeaks(async () => {
    const model = await makeModel("latents", { channels: 4, outChannels: 8, sample: 4, patch: 2 });
    const alone = await trained({ ...settings, model, steps: 2 }).catch((error: Error) => error.message);
    assertStringIncludes(String(alone), "no autoencoder");

    await makeAutoencoder(`${model}/vae`);
    const { result, lines, losses } = await trained({ ...settings, model, steps: 2 });
    const file = lines.map((line) => line.match(/^latents of .*: (.*)$/)?.[1]).find((path) => path !== undefined)!;
    try {
      assertEquals(result.deciding, { metric: "loss", better: "lower" });
      assertEquals(Object.keys(result.metrics), ["count", "loss", "mse", "variational"]);
      const { mtime } = await Deno.stat(file);
      const again = await trained({ ...settings, model, steps: 2 });
      assertEquals((await Deno.stat(file)).mtime, mtime);
      assertEquals(again.losses, losses);
    } finally {
      await Deno.remove(file);
    }
  });
});

/** Width and height in a PNG file's header. */
async function pngSize(path: string): Promise<readonly [width: number, height: number]> {
  const header = new DataView((await Deno.readFile(path)).buffer);
  return [header.getUint32(16), header.getUint32(20)];
}

Deno.test("generate writes a grid of samples, decoded where the model works on latents", async () => {
  const common = ["--backend", "wasm", "--steps", "3", "--output"];
  const png = `${folder}/grid.png`;
  const named = await makeModel("named", { labels: ["cat", "dog"] });
  await output("generate", "--model", named, ...common, png, "--count", "6", "--label", "dog");
  assertEquals(await pngSize(png), [3 * 10 + 2, 2 * 10 + 2]);
  const first = await Deno.readFile(png);
  await output("generate", "--model", named, ...common, png, "--count", "6", "--label", "1");
  assertEquals(await Deno.readFile(png), first);
  await output("generate", "--model", named, ...common, png, "--count", "6", "--label", "1", "--seed", "1");
  assertNotEquals(await Deno.readFile(png), first);

  const model = await makeModel("decoded", { channels: 4, outChannels: 8, sample: 4, patch: 2 });
  await makeAutoencoder(`${model}/vae`);
  await output("generate", "--model", model, ...common, png, "--count", "2");
  assertEquals(await pngSize(png), [2 * 10 + 2, 10 + 2]);
});

Deno.test("generate says in one line what it cannot use for pictures", async () => {
  const cases: readonly [readonly string[], number, string][] = [
    [["--label", "unicorn"], 2, "unicorn"],
    [["--prompt", "x"], 2, "--prompt"],
    [["--steps", "1001"], 1, "1001 steps"],
  ];
  for (const [args, expected, named] of cases) {
    const [code, line] = await failure("generate", "--model", grey, "--backend", "wasm", ...args);
    assertEquals(code, expected, line);
    assertStringIncludes(line, named);
  }
});
