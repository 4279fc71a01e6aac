/**
 * A sweep's plan before it runs: what each method trains with, what has to be there, and what it takes.
 *
 * @module
 */
import { adapt, parameterCounts } from "../../../adapters/mod.ts";
import { joinMethods } from "../../../adapters/spec.ts";
import { type StepPlan, useBackend } from "../../../dsl/mod.ts";
import { type Model, openModel } from "../../../models/mod.ts";
import type { Run, TaskKind } from "../../../tasks/mod.ts";
import { kebab } from "../../../tasks/trainer/setting.ts";
import { NO_METHOD } from "../../../tasks/trainer/method.ts";
import { planTask } from "../../../tasks/trainer/plan.ts";
import { requireRoom, type Room, type Smaller } from "../../../tasks/trainer/room.ts";
import { partsOf } from "../../../tasks/trainer/shares.ts";
import { resolveRun } from "../../../tasks/trainer/settings.ts";
import { span } from "../../cli/mod.ts";
import { bytesText } from "../params/plan.ts";
import { checkSettings, sweepTask } from "./check.ts";
import { type Column, markdownTable } from "./markdown.ts";
import type { Configuration, Experiment } from "./paper.ts";
import { placed } from "./plan.ts";
import { examplesOf, forData, sourceOf } from "./sources.ts";

/** An A100's memory in the paper. */
const CARD: Room = { bytes: 40e9, whose: "of an A100, the paper's card" };

/** Most examples of a step that is planned as it is. */
const LARGE = 16;

/** What a sweep is listed with. */
export interface ListingOptions {
  /** An experiment of the paper, whose model need not be there: a preset has its sizes. */
  readonly published?: Pick<Experiment, "preset" | "besides">;
  /** The folder that it would have. */
  readonly folder: string;
  /** Runs at once. */
  readonly jobs: number;
}

/** Settings of a method's run by the names of train's flags. */
function runOf({ settings, rates }: Configuration, method: string): Run {
  const { task: _task, model, data, backend: _backend, threads: _threads, ...given } = settings;
  const kind = sweepTask(settings);
  const own = Object.entries(given).map(([flag, value]) => [camel(flag), value]);
  const { adapter, target } = placed(method);
  const [lr] = method === NO_METHOD ? [] : rates(method);
  const placedSettings = { adapter, ...target !== undefined && { target }, ...lr !== undefined && { lr } };
  return resolveRun(kind, `${model ?? kind.model}`, `${data ?? kind.data}`, {
    ...Object.fromEntries(own),
    ...placedSettings,
  });
}

/** A flag's name in code. */
function camel(flag: string): string {
  return flag.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

/** How many steps a run has, where that is known before its data are. */
function stepCount({ adapter, steps, epochs = 1, batchSize, limit = Infinity, data }: Run): number | undefined {
  if (adapter === NO_METHOD) return 0;
  if (steps !== undefined) return steps;
  const examples = examplesOf(data);
  return examples && Math.round(epochs * Math.ceil(Math.min(examples, limit) / batchSize));
}

/** The same in words. */
function stepsOf(run: Run): string {
  const count = stepCount(run);
  if (count === undefined) return `${run.epochs ?? 1} epochs`;
  return `${run.adapter === NO_METHOD || run.steps !== undefined ? "" : "about "}${count.toLocaleString("en-US")}`;
}

/** What a method takes. */
interface Costs {
  /** Trained parameters. */
  readonly trained: number;
  /** Memory of a step, in bytes. */
  readonly peakBytes: number;
  /** Floating-point operations of a step. */
  readonly flops: number;
}

/** What a method takes by plan. A step of as many examples is planned once: parts of a batch ask for it again. */
function costing(kind: TaskKind, model: Model): (run: Run) => Costs {
  const plans = new Map<string, StepPlan>();
  return (run) => {
    const layer = adapt(joinMethods(run.adapter, kind.besides(model)), run)(model.layer);
    const { length = 512 } = run.own as { readonly length?: number };
    const parts = partsOf(run, 1);
    const batch = Math.ceil(run.batchSize / parts);
    const { precision, gradientCheckpointing } = run;
    const planned = (examples: number) => {
      const options = { batch: examples, length, precision, gradientCheckpointing, backend: "tensorflow" } as const;
      const asked = JSON.stringify([options, { ...run, accumulate: undefined }]);
      const plan = plans.get(asked) ?? planTask(kind, model, layer, options);
      plans.set(asked, plan);
      return plan;
    };
    // From some size on, what a step takes grows by the same with every example; to plan large ones takes long.
    const [some, more] = [Math.min(batch, LARGE / 2), Math.min(batch, LARGE)];
    const large = planned(more);
    const peakBytes = batch <= LARGE
      ? large.peakBytes
      : large.peakBytes + (large.peakBytes - planned(some).peakBytes) / (more - some) * (batch - more);
    const trained = parameterCounts(layer, model.headPath).adapter;
    return { trained, peakBytes, flops: large.productFlops / more * batch * parts };
  };
}

/** Refuses a table of which no method's step fits on the paper's card; where some do, the rest are only counted. */
function requireOneThatFits(
  { title }: Configuration,
  runs: readonly Run[],
  planned: readonly (Costs | undefined)[],
  costsOf: (run: Run) => Costs,
): void {
  const known = planned.flatMap((each, i) => each === undefined ? [] : [{ run: runs[i], needed: each.peakBytes }]);
  if (known.length === 0) return;
  const { run, needed } = known.reduce((least, each) => each.needed < least.needed ? each : least);
  const { length } = run.own as { readonly length?: number };
  const parts = function* (): Generator<Smaller> {
    for (let accumulate = 2 * partsOf(run, 1); accumulate <= run.batchSize; accumulate *= 2) {
      yield [`--accumulate ${accumulate}`, costsOf({ ...run, accumulate }).peakBytes];
    }
  };
  const examples = `${run.batchSize}${length === undefined ? " examples" : ` x ${length} tokens`}`;
  const split = partsOf(run, 1) === 1 ? "without accumulation" : `in ${partsOf(run, 1)} parts`;
  const attempted = `planning ${title}: steps of ${examples} ${split}, with ${run.adapter} as the leanest`;
  requireRoom(attempted, needed, CARD, parts());
}

/** Products a second that are reckoned with: of an A100 at the paper's batch sizes by precision, of a core of a laptop. */
const SPEED = { card: { float32: 12e12, bf16: 60e12 }, core: 50e9 };
/** Seconds of a run besides its steps: start, reading, evaluation; pictures aside. */
const BESIDES = { card: 120, core: 4 };
/** Seconds on a core of a step of a sampled picture. */
const SAMPLED = 0.009;
/** By how much a run is faster that has two cores to itself. */
const TWO_CORES = 1.4;
/** Rates that a search tries on average. */
const SEARCHED = 4;

/** Where a sweep runs: the paper's card, or two cores of a laptop with so many runs at once. */
type Machine = "card" | { readonly jobs: number };

/** A guess of the seconds of a run; undefined where its length is not known. */
function secondsOf(run: Run, flops: number | undefined, machine: Machine): number | undefined {
  const isUntrained = run.adapter === NO_METHOD;
  const steps = isUntrained ? 0 : stepCount(run);
  if (steps === undefined || (flops === undefined && !isUntrained)) return undefined;
  const products = steps * (flops ?? 0);
  if (machine === "card") {
    const whole = BESIDES.card + products / SPEED.card[run.precision === "bf16" ? "bf16" : "float32"];
    return Math.min(whole, run.timeLimit ?? Infinity);
  }
  const { samples = 0, samplingSteps = 0 } = run.own as { readonly samples?: number; readonly samplingSteps?: number };
  const besides = BESIDES.core + samples * samplingSteps * SAMPLED;
  return (besides + products / SPEED.core) / (machine.jobs === 1 ? TWO_CORES : 1);
}

/** A sweep's runs and a guess of their time in all. */
export interface SweepCost {
  /** Runs, those of a search included. */
  readonly runs: number;
  /** Seconds; undefined where they cannot be guessed. */
  readonly seconds?: number;
}

/** What a sweep with built-in models takes, a search and a first stage included. */
function wholeCost(
  { seeds, search, first, rates }: Configuration,
  methods: readonly string[],
  seconds: readonly (number | undefined)[],
): SweepCost {
  const runsOf = (method: string) => {
    if (method === NO_METHOD) return seeds.length;
    return search ? SEARCHED + seeds.length - 1 : Math.max(1, rates(method).length) * seeds.length;
  };
  const counts = methods.map(runsOf);
  const known = seconds.every((each) => each !== undefined);
  const stage = first === undefined ? 0 : Math.max(0, ...seconds.map((each) => each ?? 0));
  return {
    runs: counts.reduce((sum, count) => sum + count, 0),
    seconds: known ? counts.reduce((sum, count, i) => sum + count * seconds[i]!, stage) : undefined,
  };
}

/**
 * A guess of what a sweep takes on two cores, by plan: the products of its steps at a speed that is reckoned with.
 *
 * @param configuration The sweep, with a built-in model
 * @param jobs Runs at once
 */
export async function sweepCost(configuration: Configuration, jobs: number): Promise<SweepCost> {
  const { methods, settings } = configuration;
  const kind = sweepTask(settings);
  const runs = methods.map((method) => runOf(configuration, method));
  const model = forData(await openModel(runs[0].model), runs[0].data);
  const costsOf = costing(kind, model);
  const seconds = runs.map((run) =>
    secondsOf(run, run.adapter === NO_METHOD ? undefined : costsOf(run).flops, { jobs })
  );
  const cost = wholeCost(configuration, methods, seconds);
  return { ...cost, seconds: cost.seconds && cost.seconds / Math.min(jobs, 2) };
}

/** A recipe in words: what all methods share. */
function recipeInWords(
  { model: _model, data: _data, own, adapter: _adapter, lr: _lr, seed: _seed, ...run }: Run,
): string {
  const shown = Object.entries({ ...run, ...own }).filter(([, value]) => value !== undefined && value !== false);
  return shown.map(([name, value]) => `${kebab(name)} ${value}`).join(", ");
}

/**
 * What a sweep would do, in Markdown; no weights and no data are read.
 *
 * @param configuration The sweep
 * @param options See {@linkcode ListingOptions}
 * @throws OneloraError for what cannot work
 */
export async function listing(
  configuration: Configuration,
  { published, folder, jobs }: ListingOptions,
): Promise<string> {
  const { title, settings, methods, seeds, rates, first, search } = configuration;
  checkSettings(settings, first);
  const { preset, besides } = published ?? {};
  await useBackend("cpu");
  const runs = methods.map((method) => runOf(configuration, method));
  const [{ model: name, data }] = runs;
  const kind = sweepTask(settings);
  const model = forData(await openModel(preset ?? name.replace(/=.*$/s, "")), data);
  const costsOf = costing(kind, model);
  const planned = runs.map((run) => run.adapter === NO_METHOD ? undefined : costsOf(run));
  if (preset !== undefined) requireOneThatFits(configuration, runs, planned, costsOf);
  const machine = preset === undefined ? { jobs } : "card";
  const seconds = runs.map((run, i) => secondsOf(run, planned[i]?.flops, machine));
  const column = (title: string, of: (run: Run, i: number) => string): Column => ({
    title,
    cells: runs.map((run, i) => ({ text: of(run, i) })),
  });
  const columns = [
    column("method", (_, i) => methods[i]),
    column("steps", stepsOf),
    column(
      "rate",
      ({ adapter, lr }, i) =>
        adapter === NO_METHOD
          ? "-"
          : search
          ? `from ${rates(methods[i])[0] ?? lr}`
          : (rates(methods[i])).join(", ") || `${lr}`,
    ),
    column("trained", (_, i) => planned[i]?.trained.toLocaleString("en-US") ?? "0"),
    column("predicted memory", (_, i) => planned[i] === undefined ? "-" : bytesText(planned[i].peakBytes)),
    column("guessed time of a run", (_, i) => seconds[i] === undefined ? "-" : `about ${span(seconds[i])}`),
  ];
  const { runs: count, seconds: summed } = wholeCost(configuration, methods, seconds);
  const whole = summed && summed / (machine === "card" ? 1 : Math.min(jobs, 2));
  const large = planned.filter((each) => each !== undefined && each.peakBytes > CARD.bytes).length;
  return [
    `### ${title}`,
    "",
    `- model: ${name} (${sourceOf(name)})`,
    ...first === undefined ? [] : [`- first, with all weights: ${first} (${sourceOf(first)})`],
    `- data: ${data} (${sourceOf(data)})`,
    ...besides === undefined ? [] : [`- besides: ${besides}`],
    `- recipe: ${recipeInWords(runs[0])}`,
    `- seeds: ${seeds.join(", ")}; ${methods.length} methods`,
    `- folder: ${folder}`,
    "",
    markdownTable(columns),
    "",
    "Memory: of a training step by plan (of more than 16 examples from those of 8 and 16), on the tensorflow backend, head and optimiser included; evaluation aside.",
    `Time: a guess, from the products of the steps at ${
      machine === "card" ? "12 TFLOP/s (bf16: 60), an A100 in practice" : "50 GFLOP/s of each of a laptop's two cores"
    }; ${search ? "about " : ""}${count} runs${whole === undefined ? "" : `, ${span(whole)} in all`}.`,
    ...large === 0 ? [] : [`${large} of them need more than an A100's 40 GB: --accumulate N splits a step.`],
  ].join("\n");
}
