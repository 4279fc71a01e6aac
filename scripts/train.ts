/**
 * `deno task train`: fine-tunes a pretrained model. Without flags: vit-micro on MNIST with 1LoRA, beside its head alone.
 *
 * @module
 */
import { isLeft } from "fp-ts/Either";
import { saveAdapter } from "../adapters/mod.ts";
import { OneloraError } from "../dsl/error.ts";
import { type BackendReport, schedules, useBackend } from "../dsl/mod.ts";
import { presetNames } from "../models/mod.ts";
import {
  augmentsByDefault,
  type ClassificationResult,
  type ClassificationRun,
  imageDataForms,
  recipeFor,
  runClassification,
} from "../tasks/mod.ts";
import { attempt } from "./cli/attempt.ts";
import {
  boolean,
  choice,
  integer,
  main,
  number,
  type Options,
  readConfig,
  readOptions,
  text,
  toConfig,
} from "./cli/mod.ts";
import { backendFlag, methodFlags } from "./options.ts";
import { interruptible, newFolder, peakRssBytes, reporterFor, writeJson } from "./run_folder.ts";

const flags = {
  task: choice({ help: "What to learn", allowed: ["image-classification"], default: "image-classification" }),
  model: text({
    help: `Preset (${presetNames.join(", ")}) or Hugging Face folder`,
    value: "NAME|DIR",
    default: "vit-micro",
  }),
  ...methodFlags,
  data: text({ help: `Data: ${imageDataForms.join(", ")}`, value: "DATA", default: "mnist" }),
  epochs: number({ help: "Passes over the training data", above: 0 }),
  steps: integer({ help: "Steps, instead of epochs", min: 1 }),
  batchSize: integer({ help: "Examples a step", min: 1 }),
  lr: number({ help: "Peak learning rate", above: 0 }),
  weightDecay: number({ help: "AdamW's decoupled weight decay", min: 0 }),
  schedule: choice({ help: "Learning rate over the run", allowed: Object.keys(schedules) }),
  warmup: number({ help: "Warm-up: a share of all steps if below 1, else steps", min: 0, default: 0 }),
  clip: number({ help: "Largest global gradient norm; 0 for no clipping", min: 0, default: 0 }),
  seed: integer({ help: "Seed of everything random", min: 0, default: 0 }),
  ...backendFlag,
  shuffle: boolean({ help: "A new order of the data every epoch", default: true }),
  augment: text({
    help: "Random resized crops and mirroring: true, false (default: true except for digits)",
    value: "BOOL",
  }),
  limit: integer({ help: "Use only so many training and test examples", min: 1 }),
  strict: boolean({ help: "Fail at an unreadable image instead of leaving it out" }),
  evalEvery: integer({ help: "Evaluate every so many steps; 0 only at the end", min: 0, default: 0 }),
  checkpointEvery: integer({ help: "Checkpoint every so many steps; 0 only at the end", min: 0, default: 100 }),
  resume: text({ help: "Continue the run in this folder, with its own settings", value: "DIR" }),
  out: text({ help: "The run's folder (default: a new one under runs/)", value: "DIR" }),
};
type TrainOptions = Options<typeof flags>;

function usage(attempted: string, found: string, allowed: string): OneloraError {
  return new OneloraError({ attempted, found, allowed }, { exitCode: 2 });
}

function augmentation(options: TrainOptions): boolean {
  if (options.augment === undefined) return augmentsByDefault(options.data);
  if (options.augment === "true" || options.augment === "false") return options.augment === "true";
  throw usage("reading --augment", `"${options.augment}"`, "true, false");
}

/** Every setting, with the recipe of the model where nothing was given. */
function resolved(options: TrainOptions): TrainOptions {
  if (options.epochs !== undefined && options.steps !== undefined) {
    throw usage("reading the command line", "both --epochs and --steps", "one of them");
  }
  const recipe = recipeFor(options.model);
  const length = options.epochs === undefined && options.steps === undefined
    ? { epochs: recipe.epochs, steps: recipe.steps }
    : {};
  return {
    ...options,
    ...length,
    batchSize: options.batchSize ?? recipe.batchSize,
    lr: options.lr ?? recipe.lr,
    weightDecay: options.weightDecay ?? recipe.weightDecay,
    schedule: options.schedule ?? recipe.schedule,
    augment: String(augmentation(options)),
  };
}

/** The settings that decide the result. */
function runOf(options: TrainOptions): ClassificationRun {
  const { batchSize, lr, weightDecay, schedule } = options;
  return {
    ...options,
    batchSize: batchSize!,
    lr: lr!,
    weightDecay: weightDecay!,
    schedule: schedule!,
    augment: augmentation(options),
  };
}

/** The settings that a run's folder holds; only the length may be changed. */
async function resumed(options: TrainOptions, given: ReadonlySet<keyof TrainOptions>): Promise<TrainOptions> {
  const folder = options.resume!;
  const extra = [...given].find((name) => !["resume", "steps", "epochs", "backend"].includes(name));
  if (extra !== undefined) {
    throw usage(`resuming ${folder}`, `--${extra}`, "the run's own settings; --steps or --epochs to change its length");
  }
  const written = await readConfig(flags, `${folder}/config.json`)();
  if (isLeft(written)) throw written.left;
  const saved = readOptions(flags, [written.right]);
  if (isLeft(saved)) throw saved.left;
  const length = given.has("steps") || given.has("epochs") ? { steps: options.steps, epochs: options.epochs } : {};
  const backend = given.has("backend") ? { backend: options.backend } : {};
  return { ...saved.right.options, ...length, ...backend, out: folder, resume: folder };
}

const percent = (share: number) => `${(share * 100).toFixed(2)} %`;

function resultLines(name: string, { metrics, parameters, stepSeconds }: ClassificationResult): string {
  const counts = `${parameters.adapter.toLocaleString("en-US")} trainable + ${
    parameters.head.toLocaleString("en-US")
  } in the head`;
  return `${name.padEnd(12)} accuracy ${percent(metrics.accuracy)}  loss ${metrics.loss.toFixed(4)}  ${counts}  ${
    (stepSeconds * 1000).toFixed(0)
  } ms a step`;
}

function summary(options: TrainOptions, report: BackendReport, result: ClassificationResult): Record<string, unknown> {
  return {
    task: options.task,
    model: options.model,
    adapter: options.adapter,
    backend: report.chosen,
    precision: "float32",
    seed: options.seed,
    parameters: result.parameters,
    steps: result.steps,
    seconds: result.seconds,
    stepSeconds: result.stepSeconds,
    peakRssBytes: peakRssBytes(),
    metrics: result.metrics,
    ...(result.best && { best: result.best }),
  };
}

await main(
  { name: "train", summary: "Fine-tunes a pretrained model with a very-low-rank adapter.", flags },
  attempt(async ({ options: spoken, given }) => {
    const options = spoken.resume === undefined ? resolved(spoken) : await resumed(spoken, given);
    const run = runOf(options);
    const report = await useBackend(options.backend);
    console.log(`backend ${report.chosen}: ${report.tried.at(-1)?.why ?? ""}`);
    if (report.advice !== "") console.log(report.advice);
    const signal = interruptible();
    const steps = (name: string) => reporterFor(name);
    // The comparison that shows what the adapter is for, made only where nobody asked for anything else.
    const baseline = given.size === 0
      ? await runClassification({ ...run, adapter: "head" }, { signal, reporter: steps("head only") })
      : undefined;
    const out = options.out ?? newFolder("runs", `${options.model}-${options.data}-${options.adapter}`);
    if (options.resume === undefined) {
      await writeJson(out, "config.json", toConfig({ ...options, out: undefined }), "new");
    }
    const result = await runClassification(run, {
      out,
      resume: options.resume !== undefined,
      signal,
      reporter: steps(options.adapter),
      save: ({ model, layer, params }) =>
        saveAdapter(`${out}/adapter`, { layer, params, spec: run, names: model.modules, baseModel: run.model }),
    });
    await writeJson(out, "summary.json", summary(options, report, result));
    if (baseline !== undefined) console.log(resultLines("head only", baseline));
    console.log(resultLines(options.adapter, result));
    console.log(`run folder: ${out}`);
  }),
);
