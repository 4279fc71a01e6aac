/**
 * A sweep's plan before it runs: what each method trains with, what has to be there, and what it takes.
 *
 * @module
 */
import { adapt, parameterCounts } from "../../../adapters/mod.ts";
import { joinMethods } from "../../../adapters/spec.ts";
import { useBackend } from "../../../dsl/mod.ts";
import { type Model, openModel } from "../../../models/mod.ts";
import { type Run, type TaskKind, taskKind } from "../../../tasks/mod.ts";
import { kebab } from "../../../tasks/trainer/setting.ts";
import { NO_METHOD } from "../../../tasks/trainer/method.ts";
import { planTask } from "../../../tasks/trainer/plan.ts";
import { resolveRun } from "../../../tasks/trainer/settings.ts";
import { bytesText } from "../params/plan.ts";
import { checkSettings } from "./check.ts";
import { type Column, markdownTable } from "./markdown.ts";
import type { Configuration } from "./paper.ts";
import { placed } from "./plan.ts";

/** Where published data and models are, by how their names begin, and about how many examples are trained on. */
const SOURCES: readonly (readonly [prefix: string, address: string, examples?: number])[] = [
  ["nyu:", "https://cs.nyu.edu/~fergus/datasets/nyu_depth_v2.html", 24_231],
  ["kitti:", "https://www.cvlibs.net/datasets/kitti/raw_data.php, with the depth data set; Eigen's split", 23_158],
  ["diode-", "https://diode-dataset.org"],
  ["cifar10:", "https://www.cs.toronto.edu/~kriz/cifar.html", 50_000],
  ["cifar100:", "https://www.cs.toronto.edu/~kriz/cifar.html", 50_000],
  ["food101:", "https://data.vision.ee.ethz.ch/cvl/datasets_extra/food-101/", 75_750],
  ["metamath:", "https://huggingface.co/datasets/meta-math/MetaMathQA", 316_000],
  ["depth-anything-", "https://github.com/LiheYoung/Depth-Anything, metric_depth: its metric checkpoints"],
  ["dit-xl-2=", "https://github.com/facebookresearch/DiT"],
  ["hf:", "Hugging Face's hub, fetched when it is first used"],
];

/** An A100's memory in the paper. */
const CARD = 40e9;

/** Most examples of a step that is planned as it is. */
const LARGE = 16;

function sourceOf(name: string): string {
  const [, address = name.includes(":") || name.includes("/") || name.includes("=") ? "a file or folder" : "built in"] =
    SOURCES.find(([prefix]) => name.startsWith(prefix)) ?? [];
  return address;
}

/** What a sweep is listed with. */
export interface ListingOptions {
  /** A preset with the model's sizes, where the model itself need not be there. */
  readonly preset?: string;
  /** The folder that it would have. */
  readonly folder: string;
}

/** Settings of a method's run by the names of train's flags. */
function runOf({ settings, rates }: Configuration, method: string): Run {
  const { task, model, data, backend: _backend, threads: _threads, ...given } = settings;
  const kind = taskKind(`${task}`);
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

/** About how many steps a run has. */
function stepsOf({ adapter, steps, epochs = 1, batchSize, limit = Infinity, data }: Run): string {
  if (adapter === NO_METHOD) return "0";
  if (steps !== undefined) return `${steps}`;
  const examples = SOURCES.find(([prefix]) => data.startsWith(prefix))?.[2];
  if (examples === undefined) return `${epochs} epochs`;
  return `about ${Math.round(epochs * Math.ceil(Math.min(examples, limit) / batchSize)).toLocaleString("en-US")}`;
}

/** Trained parameters and predicted memory of a method. */
function costs(kind: TaskKind, model: Model, run: Run): readonly [trained: number, peakBytes: number] {
  const layer = adapt(joinMethods(run.adapter, kind.besides(model)), run)(model.layer);
  const { length = 512 } = run.own as { readonly length?: number };
  const batch = Math.ceil(run.batchSize / (run.accumulate ?? 1));
  const { precision, gradientCheckpointing } = run;
  const peak = (examples: number) =>
    planTask(kind, model, layer, {
      ...{ batch: examples, length, precision, gradientCheckpointing },
      backend: "tensorflow",
    }).peakBytes;
  // From some size on, what a step takes grows by the same with every example; to plan large ones takes long.
  const [some, more] = [Math.min(batch, LARGE / 2), Math.min(batch, LARGE)];
  const planned = peak(more);
  const peakBytes = batch <= LARGE ? planned : planned + (planned - peak(some)) / (more - some) * (batch - more);
  return [parameterCounts(layer, model.headPath).adapter, peakBytes];
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
export async function listing(configuration: Configuration, { preset, folder }: ListingOptions): Promise<string> {
  const { title, settings, methods, seeds, rates, first } = configuration;
  checkSettings(settings, first);
  await useBackend("cpu");
  const runs = methods.map((method) => runOf(configuration, method));
  const [{ model: name, data }] = runs;
  const kind = taskKind(`${settings.task}`);
  const model = await openModel(preset ?? name.replace(/=.*$/s, ""));
  const planned = runs.map((run) => run.adapter === NO_METHOD ? undefined : costs(kind, model, run));
  const column = (title: string, of: (run: Run, i: number) => string): Column => ({
    title,
    cells: runs.map((run, i) => ({ text: of(run, i) })),
  });
  const columns = [
    column("method", (_, i) => methods[i]),
    column("steps", stepsOf),
    column("rate", ({ adapter, lr }, i) => adapter === NO_METHOD ? "-" : (rates(methods[i])).join(", ") || `${lr}`),
    column("trained", (_, i) => planned[i]?.[0].toLocaleString("en-US") ?? "0"),
    column("predicted memory", (_, i) => planned[i] === undefined ? "-" : bytesText(planned[i][1])),
  ];
  const large = planned.filter((each) => each !== undefined && each[1] > CARD).length;
  return [
    `### ${title}`,
    "",
    `- model: ${name} (${sourceOf(name)})`,
    ...first === undefined ? [] : [`- first, with all weights: ${first} (${sourceOf(first)})`],
    `- data: ${data} (${sourceOf(data)})`,
    `- recipe: ${recipeInWords(runs[0])}`,
    `- seeds: ${seeds.join(", ")}; ${methods.length} methods`,
    `- folder: ${folder}`,
    "",
    markdownTable(columns),
    "",
    "Memory: of a training step by plan (of more than 16 examples from those of 8 and 16), on the tensorflow backend, head and optimiser included; evaluation aside.",
    ...large === 0 ? [] : [`${large} of them need more than an A100's 40 GB: --accumulate N splits a step.`],
  ].join("\n");
}
