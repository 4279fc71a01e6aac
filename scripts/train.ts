/**
 * `deno task train`: fine-tunes a pretrained model. Without flags: vit-micro on MNIST with 1LoRA, beside its head alone.
 *
 * @module
 */
import { saveAdapter } from "../adapters/mod.ts";
import { type BackendReport, useBackend } from "../dsl/mod.ts";
import {
  augmentsByDefault,
  type ClassificationResult,
  type ClassificationRun,
  recipeFor,
  runClassification,
} from "../tasks/mod.ts";
import { attempt } from "./cli/attempt.ts";
import { main, toConfig } from "./cli/mod.ts";
import { readRun, trainFlags, type TrainOptions, usage } from "./options.ts";
import { interruptible, newFolder, peakRssBytes, reporterFor, unused, writeJson } from "./run_folder.ts";

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

/** The settings that a run's folder holds; only its length and engine may be changed. */
async function resumed(options: TrainOptions, given: ReadonlySet<keyof TrainOptions>): Promise<TrainOptions> {
  const folder = options.resume!;
  const extra = [...given].find((name) => !["resume", "steps", "epochs", "backend"].includes(name));
  if (extra !== undefined) {
    throw usage(`resuming ${folder}`, `--${extra}`, "the run's own settings; --steps or --epochs to change its length");
  }
  const saved = await readRun(folder);
  const length = given.has("steps") || given.has("epochs") ? { steps: options.steps, epochs: options.epochs } : {};
  const backend = given.has("backend") ? { backend: options.backend } : {};
  return { ...saved, ...length, ...backend, out: folder, resume: folder };
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
    precision: options.precision,
    seed: options.seed,
    parameters: result.parameters,
    steps: result.steps,
    seconds: result.seconds,
    stepSeconds: result.stepSeconds,
    peakRssBytes: peakRssBytes(),
    metrics: result.metrics,
  };
}

await main(
  { name: "train", summary: "Fine-tunes a pretrained model with a very-low-rank adapter.", flags: trainFlags },
  attempt(async ({ options: spoken, given }) => {
    const options = spoken.resume === undefined ? resolved(spoken) : await resumed(spoken, given);
    const out = options.out ?? newFolder("runs", `${options.model}-${options.data}-${options.adapter}`);
    if (options.resume === undefined) unused(out);
    const run = runOf(options);
    const report = await useBackend(options.backend);
    console.log(`backend ${report.chosen}: ${report.tried.at(-1)?.why ?? ""}`);
    if (report.advice !== "") console.log(report.advice);
    const signal = interruptible();
    // The comparison that shows what the adapter is for, made only where nobody asked for anything else.
    const baseline = given.size === 0
      ? await runClassification({ ...run, adapter: "head" }, { signal, reporter: reporterFor("head only") })
      : undefined;
    const result = await runClassification(run, {
      out,
      resume: options.resume !== undefined,
      signal,
      reporter: reporterFor(options.adapter),
      ready: () => {
        const settings = { ...options, backend: report.chosen, out: undefined, resume: undefined };
        return writeJson(out, "config.json", toConfig(settings));
      },
      save: ({ model: { modules: names, labels }, layer, params }) =>
        saveAdapter(`${out}/adapter`, { layer, params, spec: run, names, labels, baseModel: run.model }),
    });
    await writeJson(out, "summary.json", summary(options, report, result));
    if (baseline !== undefined) console.log(resultLines("head only", baseline));
    console.log(resultLines(options.adapter, result));
    console.log(`run folder: ${out}`);
  }),
);
