/**
 * `deno task train`: fine-tunes a pretrained model. Without flags: vit-micro on MNIST with 1LoRA, beside its head alone.
 *
 * @module
 */
import { saveAdapter } from "../../adapters/mod.ts";
import { claimFolder } from "../../dsl/files/claim.ts";
import { type BackendReport, type StepPlan, useBackend } from "../../dsl/mod.ts";
import {
  NO_METHOD,
  ownValues,
  resolveRun,
  type Run,
  type RunResult,
  runSettings,
  runTask,
  softwareVersions,
  type TaskKind,
  taskKind,
  writeReport,
} from "../../tasks/mod.ts";
import { attempt } from "../cli/attempt.ts";
import { main, toConfig } from "../cli/mod.ts";
import { fetched } from "../cli/fetched.ts";
import { bytesText } from "./params/plan.ts";
import { ownOptions, readRun, trainFlags, type TrainOptions, usage } from "../cli/options.ts";
import { interruptible, newFolder, peakRssBytes, reporterFor, unused, writeJson } from "../cli/run_folder.ts";

/** What the command line said. */
type Given = ReadonlySet<keyof TrainOptions>;

/** A run's settings, none of them missing. */
type Resolved = TrainOptions & Run;

/** Every setting, with the recipe of the task for the model and data where nothing was given. */
function resolved(options: TrainOptions, given: Given): Resolved {
  if (options.epochs !== undefined && options.steps !== undefined) {
    throw usage("reading the command line", "both --epochs and --steps", "one of them");
  }
  const kind = taskKind(options.task);
  const shared = Object.entries(options).filter(([name]) =>
    Object.hasOwn(runSettings, name) && given.has(name as keyof TrainOptions)
  );
  const spoken = { ...Object.fromEntries(shared), ...ownOptions(kind, options, given) };
  const run = resolveRun(kind, options.model ?? kind.model, options.data ?? kind.data, spoken);
  return { ...options, epochs: undefined, steps: undefined, ...run };
}

/** The settings as the run's folder keeps them, by the names of flags. */
function configOf({ own, ...options }: Resolved, backend: string): Record<string, unknown> {
  // What a recipe decides is written as the command line takes it.
  const written = Object.entries(own).map(([name, value]) => [name, name === "augment" ? String(value) : value]);
  return toConfig({ ...options, ...Object.fromEntries(written), backend, out: undefined, resume: undefined });
}

/** A recipe's bf16 is a wish, which backends without it leave; that of the command line is not. */
function withPrecision(options: Resolved, given: Given, { chosen, engine }: BackendReport): Resolved {
  if (given.has("precision") || engine.precisions.includes(options.precision ?? "float32")) return options;
  console.log(`note: float32 instead of the recipe's ${options.precision}, which ${chosen} does not have`);
  return { ...options, precision: "float32" };
}

/** The settings that a run's folder holds; only its length and engine may be changed. */
async function resumed(options: TrainOptions, given: Given): Promise<Resolved> {
  const folder = options.resume!;
  const extra = [...given].find((name) => !["resume", "steps", "epochs", "backend"].includes(name));
  if (extra !== undefined) {
    throw usage(`resuming ${folder}`, `--${extra}`, "the run's own settings; --steps or --epochs to change its length");
  }
  const saved = await readRun(folder);
  const length = given.has("steps") || given.has("epochs") ? { steps: options.steps, epochs: options.epochs } : {};
  const backend = given.has("backend") ? { backend: options.backend } : {};
  const own = ownValues(taskKind(saved.task), saved);
  return { ...saved, ...length, ...backend, own, out: folder, resume: folder } as Resolved;
}

function resultLine(name: string, { inWords }: TaskKind, { metrics, parameters, stepSeconds }: RunResult): string {
  const count = (numbers: number) => numbers.toLocaleString("en-US");
  const head = parameters.head > 0 ? ` + ${count(parameters.head)} in the head` : "";
  const counts = `${count(parameters.adapter)} trainable${head}`;
  return `${name.padEnd(12)} ${inWords(metrics)}  ${counts}  ${(stepSeconds * 1000).toFixed(0)} ms a step`;
}

function summary(
  options: Resolved,
  report: BackendReport,
  result: RunResult,
  plan?: StepPlan,
): Record<string, unknown> {
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
    plannedPeakBytes: plan?.peakBytes,
    deciding: result.deciding,
    best: result.best,
    metrics: result.metrics,
    versions: softwareVersions(),
  };
}

await main(
  { name: "train", summary: "Fine-tunes a pretrained model with a very-low-rank adapter.", flags: trainFlags },
  attempt(async ({ options: spoken, given }) => {
    const place = spoken.resume ?? spoken.out;
    const fresh = spoken.resume === undefined ? resolved(spoken, given) : undefined;
    // Before anything in it is read, and before a download after which two runs would find that they have one folder.
    using early = place === undefined ? undefined : await claimFolder(place, "train");
    const asked = fresh ?? await resumed(spoken, given);
    // The run's folder says which commit it began from.
    const pinned = { ...asked, model: await fetched(asked.model) };
    const kind = taskKind(pinned.task);
    const out = pinned.out ?? newFolder("runs", `${pinned.model}-${pinned.data}-${pinned.adapter}`);
    using late = early === undefined ? await claimFolder(out, "train") : undefined;
    const { note } = early ?? late!;
    if (note !== undefined) console.log(`note: ${note}`);
    if (pinned.resume === undefined) unused(out);
    const report = await useBackend(pinned.backend);
    console.log(`backend ${report.chosen}: ${report.tried.at(-1)?.why ?? ""}`);
    if (report.advice !== "") console.log(report.advice);
    const options = withPrecision(pinned, given, report);
    const run: Run = options;
    const signal = interruptible();
    // The comparison that shows what the adapter is for, made only where nobody asked for anything else.
    const { adapter: plain, name: named } = kind.baseline;
    const isDefault = [...given].every((name) => name === "task" || name === "backend");
    const baseline = isDefault
      ? await runTask(kind, { ...run, adapter: plain }, { signal, reporter: reporterFor(named) })
      : undefined;
    let plan: StepPlan | undefined;
    const reporter = reporterFor(options.adapter);
    const result = await runTask(kind, run, {
      out,
      resume: options.resume !== undefined,
      signal,
      reporter,
      planned: (foretold) => {
        plan = foretold;
        const { peakBytes, atPeak } = foretold;
        reporter.line(
          `a step needs ${bytesText(peakBytes)} by plan: ${bytesText(atPeak.frozen + atPeak.trained)} of parameters, ` +
            `${bytesText(atPeak.optimiser + atPeak.gradients + atPeak.next)} of gradients and optimiser, ` +
            `${bytesText(atPeak.activations + atPeak.batch + atPeak.constants)} of activations`,
        );
      },
      ready: () => {
        return writeJson(out, "config.json", configOf(options, report.chosen));
      },
      save: async ({ model: { modules: names, labels }, layer, params }) => {
        if (run.adapter === NO_METHOD) return;
        await saveAdapter(`${out}/adapter`, { layer, params, spec: run, names, labels, baseModel: run.model });
      },
    });
    await writeJson(out, "summary.json", summary(options, report, result, plan));
    await writeReport(out);
    if (baseline !== undefined) console.log(resultLine(named, kind, baseline));
    console.log(resultLine(options.adapter, kind, result));
    console.log(`run folder: ${out} (report.html shows it)`);
  }),
);
