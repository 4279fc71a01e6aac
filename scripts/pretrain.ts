/**
 * `deno task pretrain`: makes the weights that this package ships again, from random numbers and Fashion-MNIST.
 *
 * @module
 */
import { useBackend } from "../dsl/mod.ts";
import { saveModel } from "../models/mod.ts";
import { imageClassification, type Run, runTask } from "../tasks/mod.ts";
import { attempt } from "./cli/attempt.ts";
import { choice, integer, main, text } from "./cli/mod.ts";
import { backendFlag } from "./options.ts";
import { interruptible, reporterFor } from "./run_folder.ts";

const flags = {
  model: choice({ help: "What to pretrain", allowed: ["vit-micro"], default: "vit-micro" }),
  steps: integer({ help: "Steps of 64 images", min: 1, default: 9400 }),
  seed: integer({ help: "Seed of everything random", min: 0, default: 0 }),
  ...backendFlag,
  backend: { ...backendFlag.backend, default: "wasm" as const },
  out: text({ help: "Folder of the weights", value: "DIR", default: "models/weights/vit-micro" }),
};

/**
 * Full training of every parameter. Telling orientations apart as well as clothes, under slight crops, gives features that
 * serve other images too; mirroring would confuse left with right.
 */
const recipe: Omit<Run, "steps" | "seed"> = {
  model: "vit-micro",
  data: "fashion-mnist-turned",
  adapter: "all",
  target: "all-linear",
  scratch: true,
  batchSize: 64,
  lr: 1.5e-3,
  weightDecay: 0.05,
  schedule: "cosine",
  warmup: 0.05,
  clip: 1,
  shuffle: true,
  augment: { crop: { scale: [0.6, 1], ratio: [3 / 4, 4 / 3] }, flip: 0 },
  strict: true,
  evalEvery: 0,
  checkpointEvery: 0,
};

await main(
  {
    name: "pretrain",
    summary: "Pretrains vit-micro on Fashion-MNIST in four orientations, as it was done for the shipped weights.",
    flags,
  },
  attempt(async ({ options }) => {
    const { steps, seed, backend, out } = options;
    const report = await useBackend(backend);
    console.log(`backend ${report.chosen}`);
    const reporter = reporterFor("pretraining");
    const { metrics } = await runTask(imageClassification, { ...recipe, steps, seed }, {
      reporter,
      signal: interruptible(),
      save: ({ model, params }) => saveModel(model, params, out, { dtype: "F16" }),
    });
    console.log(`accuracy ${(metrics.accuracy * 100).toFixed(2)} % of 40 classes`);
    console.log(`weights: ${out}`);
  }),
);
