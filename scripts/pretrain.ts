/**
 * `deno task pretrain`: makes the weights that this package ships again, from random numbers and Fashion-MNIST.
 *
 * @module
 */
import { useBackend } from "../dsl/mod.ts";
import { saveModel } from "../models/mod.ts";
import { type ClassificationRun, runClassification } from "../tasks/mod.ts";
import { attempt } from "./cli/attempt.ts";
import { choice, integer, main, text } from "./cli/mod.ts";
import { backendFlag } from "./options.ts";
import { interruptible, reporterFor } from "./run_folder.ts";

const flags = {
  model: choice({ help: "What to pretrain", allowed: ["vit-micro"], default: "vit-micro" }),
  epochs: integer({ help: "Passes over Fashion-MNIST", min: 1, default: 8 }),
  seed: integer({ help: "Seed of everything random", min: 0, default: 0 }),
  ...backendFlag,
  backend: { ...backendFlag.backend, default: "wasm" as const },
  out: text({ help: "Folder of the weights", value: "DIR", default: "models/weights/vit-micro" }),
};

/** Full training of every parameter. Crops keep at least a third of the image: features that serve other images too. */
const recipe: Omit<ClassificationRun, "epochs" | "seed"> = {
  model: "vit-micro",
  data: "fashion-mnist",
  adapter: "all",
  target: "all-linear",
  scratch: true,
  batchSize: 64,
  lr: 1e-3,
  weightDecay: 0.05,
  schedule: "cosine",
  warmup: 0.05,
  clip: 1,
  shuffle: true,
  augment: { scale: [0.33, 1], ratio: [3 / 4, 4 / 3] },
  strict: true,
  evalEvery: 500,
  checkpointEvery: 0,
};

await main(
  { name: "pretrain", summary: "Pretrains vit-micro on Fashion-MNIST, as it was done for the shipped weights.", flags },
  attempt(async ({ options }) => {
    const { epochs, seed, backend, out } = options;
    const report = await useBackend(backend);
    console.log(`backend ${report.chosen}`);
    const reporter = reporterFor("pretraining");
    const { metrics, best } = await runClassification({ ...recipe, epochs, seed }, {
      reporter,
      signal: interruptible(),
      save: ({ model, params }) => saveModel(model, params, out),
    });
    console.log(
      `accuracy ${(metrics.accuracy * 100).toFixed(2)} % (best on the way ${((best?.value ?? 0) * 100).toFixed(2)} %)`,
    );
    console.log(`weights: ${out}`);
  }),
);
