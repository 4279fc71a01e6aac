/**
 * `deno task pretrain`: makes the weights that this package ships again, from random numbers and data that is at hand.
 *
 * @module
 */
import { dispose, tensor } from "@tensorflow/tfjs-core";
import { writeJson } from "../../dsl/files/write.ts";
import { openSafetensors, useBackend } from "../../dsl/mod.ts";
import { type Model, openModel, saveModel } from "../../models/mod.ts";
import { type Run, runTask, taskKind, wordProblemTokenizer } from "../../tasks/mod.ts";
import { attempt } from "../cli/attempt.ts";
import { choice, integer, main, text } from "../cli/mod.ts";
import { backendFlag } from "../cli/options.ts";
import { reporterFor } from "../cli/run_folder.ts";
import { interruptible } from "../cli/signals.ts";

/** How a model is pretrained: the task, and what of its settings is not common to all. */
interface Pretraining extends Omit<Run, keyof typeof common | "model" | "seed"> {
  readonly task: string;
  readonly warmup?: number;
  /** Files beside the weights: their contents as JSON, by name. */
  readonly files?: () => Readonly<Record<string, unknown>>;
}

/** Full training of every parameter. */
const common = {
  adapter: "all",
  target: "all-linear",
  scratch: true,
  schedule: "cosine",
  warmup: 0.05,
  clip: 1,
  shuffle: true,
  strict: true,
  evalEvery: 0,
  checkpointEvery: 0,
} as const;

const recipes: Readonly<Record<string, Pretraining>> = {
  // Telling orientations apart as well as clothes, under slight crops, gives features that serve other images too; mirroring
  // would confuse left with right.
  "vit-micro": {
    task: "image-classification",
    data: "fashion-mnist-turned",
    steps: 9400,
    batchSize: 64,
    lr: 1.5e-3,
    weightDecay: 0.05,
    own: { augment: { crop: { scale: [0.6, 1], ratio: [3 / 4, 4 / 3] }, flip: 0 } },
  },
  "dpt-micro": {
    task: "depth",
    data: "scenes-indoor",
    steps: 1500,
    batchSize: 16,
    lr: 2e-3,
    weightDecay: 0.05,
    own: { augment: true },
  },
  // Letters: pen strokes as digits are, and no digit is known before.
  "dit-micro": {
    task: "generation",
    data: "letters",
    steps: 12_000,
    batchSize: 64,
    lr: 2e-3,
    weightDecay: 0,
    own: { augment: false, samples: 0 },
    ema: 0.999,
  },
  "llama-micro": {
    task: "reasoning",
    data: "word-problems-a",
    steps: 1000,
    batchSize: 64,
    lr: 2e-3,
    weightDecay: 0.01,
    warmup: 0.03,
    own: { length: 64, samples: 200 },
    files: () => wordProblemTokenizer().files,
  },
};

/** Where a run keeps the average of its parameters. */
const AVERAGE = "optimiser/average/";

/**
 * Writes the averaged parameters of a run's last checkpoint as weights.
 *
 * @param run The run's folder
 * @param model Its model, of whatever classes
 * @param out Folder of the weights
 */
async function saveAverage(run: string, model: Model, out: string): Promise<void> {
  await using checkpoint = await openSafetensors(`${run}/checkpoint/last.safetensors`);
  const { classes } = JSON.parse(checkpoint.metadata.identity);
  const names = [...checkpoint.names].filter((name) => name.startsWith(AVERAGE));
  const params = Object.fromEntries(
    await Promise.all(names.map(async (name) => {
      const { data, shape } = await checkpoint.read(name);
      return [name.slice(AVERAGE.length), tensor(data as Float32Array, [...shape])] as const;
    })),
  );
  await saveModel(classes === undefined ? model : model.with({ labels: classes }), params, out, { dtype: "F16" });
  dispose(params);
  console.log(`the average of ${checkpoint.metadata.progress}`);
}

const flags = {
  model: choice({ help: "What to pretrain", allowed: Object.keys(recipes), default: "vit-micro" }),
  steps: integer({ help: "Steps (default: as for the shipped weights)", min: 1 }),
  shape: text({ help: "Folder with another config.json of its family, for a model of another shape", value: "DIR" }),
  seed: integer({ help: "Seed of everything random", min: 0, default: 0 }),
  ...backendFlag,
  backend: { ...backendFlag.backend, default: "wasm" as const },
  run: text({ help: "Folder of checkpoints, from which the same command goes on", value: "DIR" }),
  average: text({ help: "Folder of an unfinished --run, whose averaged parameters become the weights", value: "DIR" }),
  out: text({ help: "Folder of the weights (default: where the shipped ones are)", value: "DIR" }),
};

await main(
  { name: "pretrain", summary: "Pretrains a micro model, as it was done for the shipped weights.", flags },
  attempt(async ({ options: { model, seed, backend, threads, ...options } }) => {
    const { task, files = () => ({}), ...recipe } = recipes[model];
    const { run, average } = options;
    const steps = options.steps ?? recipe.steps;
    const out = options.out ?? `models/weights/${model}`;
    if (run !== undefined) await Deno.mkdir(`${run}/checkpoint`, { recursive: true });
    const report = await useBackend(backend, { threads });
    console.log(`backend ${report.chosen}`);
    const kind = taskKind(task);
    const shaped = options.shape === undefined ? undefined : await openModel(options.shape);
    if (average !== undefined) {
      await saveAverage(average, shaped ?? await openModel(model), out);
      console.log(`weights: ${out}`);
      return;
    }
    const { signal, during } = interruptible("finishing this step");
    const { metrics } = await runTask(kind, {
      ...common,
      checkpointEvery: run === undefined ? 0 : 500,
      ...recipe,
      model,
      steps,
      seed,
    }, {
      reporter: during(reporterFor("pretraining")),
      signal,
      model: shaped,
      ...run === undefined ? {} : { out: run, resume: true },
      save: async ({ model, params }) => {
        await saveModel(model, params, out, { dtype: "F16" });
        for (const [name, content] of Object.entries(files())) {
          await writeJson(`${out}/${name}`, content);
        }
      },
    });
    console.log(kind.inWords(metrics));
    console.log(`weights: ${out}`);
  }),
);
