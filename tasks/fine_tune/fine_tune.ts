/**
 * The front door: a model, data and a method in, a fine-tuned model out.
 *
 * @module
 */
import { dispose, type Tensor } from "@tensorflow/tfjs-core";
import { saveAdapter } from "../../adapters/mod.ts";
import { sampleBase } from "../../adapters/exchange/base.ts";
import type { StepPlan } from "../../dsl/compile/mod.ts";
import { OneloraError } from "../../dsl/error.ts";
import { claimFolder } from "../../dsl/files/claim.ts";
import { basename } from "../../dsl/files/path.ts";
import { firstBefore, fromFirst, ranksInUse } from "../../dsl/ranks.ts";
import { mapTree } from "../../dsl/tree.ts";
import { endedBy, Interruption } from "../../dsl/turn.ts";
import { quantisedPaths } from "../../models/checkpoint/forms.ts";
import { type Model, openModel } from "../../models/mod.ts";
import { pinModel } from "../../models/open.ts";
import type { Examples } from "../data/own.ts";
import { checkData, type DataRecord, recordData } from "../data/record.ts";
import { taskKind, type TaskName } from "../kinds.ts";
import { writeReport } from "../report/report.ts";
import { openLoggers, placesOf, resultsOf } from "../loggers/open.ts";
import { NO_METHOD } from "../trainer/method.ts";
import { type Reporter, silent } from "../trainer/observe.ts";
import { interrupted } from "../trainer/course.ts";
import { runTask } from "../trainer/run.ts";
import { startingFrom } from "../trainer/start.ts";
import type { RunResult, TaskKind } from "../trainer/task.ts";
import type { Run, RunSettings } from "../trainer/run_settings.ts";
import type { TrainedModel } from "../trainer/prediction.ts";
import { type AnyOptions, type Asked, fresh, onItsModel, resumed, settingsOf } from "./asked.ts";
import { requireRunFolder, runConfig } from "./config.ts";
import { engineFor, withPrecision } from "./engine.ts";
import { refuseIdleSettings } from "./idle.ts";
import { newFolder, shortly, unused, writeRunJson } from "./folder.ts";
import { watchLoad } from "./machine_load.ts";
import { earlierMemory, watchMemory } from "./memory.ts";
import type { ExampleOf, FineTuneOptions, FineTuneSurroundings } from "./options.ts";
import { checkExamples, digestOf, OWN, type Own, ownExamples } from "./own_examples.ts";
import { summaryOf } from "./summary.ts";
import { type Tuned, tuned } from "./tuned.ts";

/** A fine-tuned model and how it came about. */
export interface FineTuned<Name extends TaskName> extends RunResult, Tuned<Name> {
  /** Every setting, those of the recipe included. */
  readonly run: Run;
  /** The run's folder, if it has one. */
  readonly out?: string;
  /** What came of the baseline, if it was trained. */
  readonly baseline?: RunResult;
}

/** Lines go to both who listen to them. */
function reporterOf({ reporter, onLine }: FineTuneSurroundings, label: string): Reporter {
  // What happens is the same in all processes.
  if (ranksInUse().rank > 0) return silent;
  const shown = reporter?.(label) ?? silent;
  if (onLine === undefined) return shown;
  return { ...shown, line: (text) => (shown.line(text), onLine(text)) };
}

/** A run's data, and what its folder is to say of them. */
async function dataOf(
  kind: TaskKind,
  run: Run,
  own: Own | undefined,
  { resume }: AnyOptions,
  out: string | undefined,
  line: Reporter["line"],
): Promise<{ readonly data: Awaited<ReturnType<TaskKind["openData"]>>; readonly record?: DataRecord }> {
  if (own === undefined && run.data === OWN) {
    const problem = { attempted: `resuming ${out}`, found: "no `data`", allowed: "the run's own examples" };
    throw new OneloraError(problem, { exitCode: 2 });
  }
  checkExamples(kind, own);
  const data = own === undefined
    ? await firstBefore(() => kind.openData(run.data, run))
    : kind.ownData(own.train, own.test, { seed: run.validation === undefined ? run.seed : 0, onLine: line });
  const record = out === undefined ? undefined : await recordData(run.data, kind.dataFacts(data));
  if (record !== undefined && resume !== undefined) {
    const unknown = await checkData(`${out}/data.json`, record, run.data);
    if (unknown !== undefined) line(`note: ${unknown}`);
  }
  return { data, record };
}

/** Trains in a folder, or without one. */
async function trained(
  asked: Asked,
  model: Model | undefined,
  own: Own | undefined,
  options: AnyOptions,
  out: string | undefined,
): Promise<FineTuned<TaskName>> {
  const { kind } = asked;
  const { line } = reporterOf(options, asked.run.adapter);
  const backend = await engineFor(asked, line);
  const isGiven = options.precision !== undefined || options.resume !== undefined;
  const run = withPrecision(asked.run, isGiven, line);
  const { data, record } = await dataOf(kind, run, own, options, out, line);
  const { signal, onStep, onEvaluation, onCheckpoint, onPlan } = ranksInUse().rank > 0
    ? { signal: options.signal }
    : options;
  const facts = own === undefined ? undefined : { examplesSha256: await digestOf([own.train, own.test ?? []]) };
  const opened = { model, data, facts, signal };
  const { adapter, name: plain } = kind.baseline;
  const alone = { ...run, adapter, dropout: undefined, from: undefined, timeLimit: undefined };
  const baseline = options.baseline
    ? await runTask(kind, alone, { ...opened, reporter: reporterOf(options, plain) })
    : undefined;

  const loggers = await openLoggers(
    ranksInUse().rank > 0 ? undefined : options.log,
    { name: basename(out ?? run.model), settings: runConfig(kind, run, backend, asked.threads) },
    { out, resume: options.resume !== undefined, line },
  );
  const before = options.resume === undefined || out === undefined ? undefined : await earlierMemory(out);
  const [otherLoad, memory] = [watchLoad(), watchMemory(before)];
  let plan: StepPlan | undefined;
  let kept: TrainedModel | undefined;
  const running = runTask(kind, run, {
    ...opened,
    out,
    resume: options.resume !== undefined,
    reporter: reporterOf(options, run.adapter),
    observers: [memory, loggers.observer, { onStep, onEvaluation, onCheckpoint }],
    planned: (planned) => {
      plan = planned;
      onPlan?.(planned);
    },
    ready: async () => {
      if (out === undefined) return;
      await writeRunJson(out, "data.json", record);
      await writeRunJson(out, "config.json", runConfig(kind, run, backend, asked.threads));
    },
    save: async (model) => {
      kept = { ...model, params: mapTree((tensor: Tensor) => tensor.clone())(model.params) };
      if (out === undefined || run.adapter === NO_METHOD) return;
      const { modules: names, labels, problem } = model.model;
      const { layer, params } = model;
      const base = await sampleBase(layer, params, await quantisedPaths(model.model, run));
      const facts = { names, labels, problem, base, baseModel: run.model };
      await saveAdapter(`${out}/adapter`, { layer, params, spec: run, ...facts });
    },
  });
  const result = await running.catch(async (error) => {
    await loggers.end(signal?.aborted ? "interrupted" : "failed");
    if (kept !== undefined) dispose(kept.params as Record<string, Tensor>);
    throw error instanceof Interruption ? interrupted("after the last step", out) : error;
  });
  await loggers.end("finished", resultsOf(result));
  const done = { ...result, ...tuned<TaskName>(kept!, { kind, method: run, own: run.own }), run, out, baseline };
  if (out === undefined) return done;
  try {
    const measured = { plan, otherLoad: otherLoad(), memory: memory.taken() };
    await writeRunJson(out, "summary.json", summaryOf(kind, run, backend, result, measured));
    await writeReport(out);
    return done;
  } catch (error) {
    done[Symbol.dispose]();
    throw error;
  }
}

/** A run with the method of the adapter that it starts from. */
async function started(kind: TaskKind, run: Run, given: Model | undefined, options: AnyOptions): Promise<Run> {
  const model = given ?? await openModel(run.model, { hub: options.hub });
  return await startingFrom(run, model, new Set(Object.keys(settingsOf(options))), kind.besides(model));
}

async function start(options: AnyOptions): Promise<FineTuned<TaskName>> {
  const { resume } = options;
  const ranks = ranksInUse();
  // Only the first process writes.
  const out = ranks.rank === 0 ? options.out : undefined;
  const place = ranks.rank > 0 ? undefined : resume ?? (typeof out === "string" ? out : undefined);
  const own = await ownExamples(options);
  const asked = resume === undefined ? await fresh(await onItsModel(options), own) : undefined;
  if (resume !== undefined && place !== undefined) await requireRunFolder(resume);
  // Before anything in it is read, and before a download after which two runs would find that they have one folder.
  using early = place === undefined ? undefined : await claimFolder(place, "train");
  const { name, run, backend, threads } = await fromFirst(ranks, async () => {
    if (options.log !== undefined) placesOf(options.log);
    const { kind, ...rest } = asked ?? await resumed(resume!, options);
    return { name: kind.name, ...rest };
  });
  const kind = taskKind(name);
  const model = typeof options.model === "object" ? options.model : undefined;
  // The run's folder says which commit it began from.
  const named = {
    ...run,
    model: model === undefined ? await firstBefore(() => pinModel(run.model, options.hub)) : run.model,
  };
  const pinned = resume !== undefined || named.from === undefined ? named : await started(kind, named, model, options);
  if (resume === undefined) refuseIdleSettings(pinned, settingsOf(options));
  const under = typeof out === "object" ? out.under : undefined;
  const folder = place ??
    (under && newFolder(under, [shortly(pinned.model), shortly(pinned.data), pinned.adapter].join("-")));
  using late = early === undefined && folder !== undefined ? await claimFolder(folder, "train") : undefined;
  const note = (early ?? late)?.note;
  if (note !== undefined) reporterOf(options, run.adapter).line(`note: ${note}`);
  if (resume === undefined && folder !== undefined) unused(folder);
  return await trained({ kind, backend, threads, run: pinned }, model, own, options, folder);
}

/**
 * Fine-tunes a model. Every setting has the default of its recipe: a model and data are enough, and without them the built-in
 * ones are taken. Nothing is written unless `out` names a folder; there a run leaves what it takes to go on with it
 * (`resume`), its adapter and a report.
 *
 * The task is the one that is named, else the one that the examples are of: `{ image, label }` classifies images,
 * `{ prompt, response }` answers, `{ image, depth }` measures depth. Of data by name it is the one that has data of that name
 * and trains the model; what several tasks could mean classifies images.
 *
 * @param options See {@linkcode FineTuneOptions}
 * @returns Metrics and the adapted model, which predicts, is saved, merged, and disposed by its user
 * @throws OneloraError for settings, data and models that cannot be used, and a run that diverges or is interrupted
 *
 * @example
 * ```ts
 * import { fineTune, load } from "@onelora/onelora/tasks";
 * import { assertEquals } from "@std/assert";
 * const image = (grey: number) => ({ data: new Uint8Array(28 * 28).fill(grey), width: 28, height: 28 });
 * const data = Array.from({ length: 20 }, (_, i) => ({ image: image(i % 2 * 200 + i), label: i % 2 ? "light" : "dark" }));
 * using model = await fineTune({ model: "vit-micro", data, adapter: "1lora", steps: 20, backend: "wasm" });
 * const folder = await Deno.makeTempDir();
 * await model.save(folder);
 * using again = await load(folder);
 * assertEquals((await again.predict(image(210)))[0].label, "light");
 * ```
 */
export function fineTune<Name extends TaskName>(
  options: FineTuneOptions<Name> & { readonly task: Name },
): Promise<FineTuned<Name>>;
/** Fine-tunes a language model on your own prompts and responses. */
export function fineTune(
  options: FineTuneOptions<"reasoning"> & {
    readonly data: Examples<ExampleOf<"reasoning">>;
    readonly task?: undefined;
  },
): Promise<FineTuned<"reasoning">>;
/** Fine-tunes a model of depth on your own pictures and depth. */
export function fineTune(
  options: FineTuneOptions<"depth"> & { readonly data: Examples<ExampleOf<"depth">>; readonly task?: undefined },
): Promise<FineTuned<"depth">>;
/** Fine-tunes a classifier of images. */
export function fineTune(
  options?: FineTuneOptions<"image-classification"> & { readonly task?: undefined },
): Promise<FineTuned<"image-classification">>;
/** Fine-tunes by a task that is known when the program runs. */
export function fineTune(
  options: FineTuneSurroundings & Partial<RunSettings> & { readonly task?: TaskName; readonly data?: string },
): Promise<FineTuned<TaskName>>;
export function fineTune(options: object = {}): Promise<FineTuned<TaskName>> {
  const asked = options as AnyOptions;
  return endedBy(asked.signal, () => start(asked));
}
