/**
 * How the paper's tables are made, full size and in micro size.
 *
 * @module
 */
import { NO_METHOD } from "../../../tasks/trainer/method.ts";
import { paperNote } from "../params/paper.ts";
import type { Column } from "./markdown.ts";
import { compressionTables, type PaperTable, paperTable, paperTables } from "./paper_tables.ts";
import { placed } from "./plan.ts";
import type { Settings } from "./folder.ts";

/** What a sweep over a table's methods is. */
export interface Configuration {
  /** In words. */
  readonly title: string;
  /** Settings of `train`. */
  readonly settings: Settings;
  /** Methods, in the table's order. */
  readonly methods: readonly string[];
  /** Seeds. */
  readonly seeds: readonly number[];
  /** Learning rates of a method; none for the recipe's. */
  readonly rates: (method: string) => readonly number[];
  /** Data that the model learns first, with all weights; the methods start from what comes of it. */
  readonly first?: string;
  /** Whether a rate is searched for each method, from the first of its rates on. */
  readonly search?: boolean;
}

/** What experiments with one model have in common; the rest of the recipe is what `train` does with that model. */
export interface Experiment {
  /** The preset that has the model's sizes. */
  readonly preset: string;
  /** Classes to learn, where they decide how many parameters are trained. */
  readonly classes?: number;
  /** What `--model` takes: the published model, or a form of it. */
  readonly model: string;
  /** Flags for what else is published and has to be there. */
  readonly besides?: string;
  /** The metric's name in the table, and the unit of its times. */
  readonly columns: readonly [metric: string, time: string];
  /** Models whose parameters the table's figures add up. */
  readonly copies: number;
  /** Settings of `train`. */
  readonly settings: Settings;
  /** Independent runs. */
  readonly runs: number;
  /** The same in micro size: settings besides the data, and the learning rate of full fine-tuning. */
  readonly micro: { readonly settings: Settings; readonly fullRate: number };
}

/** The paper reports the best evaluation of a run, and the time up to it. */
const REPORTED: Settings = { keep: "best" };

const reasoning: Omit<Experiment, "preset" | "model"> = {
  columns: ["loss", "min"],
  copies: 1,
  // MoRA's `save_steps` (train.py, line 604); it never evaluates.
  settings: { task: "reasoning", "eval-every": 1000, ...REPORTED },
  runs: 4,
  micro: { settings: { task: "reasoning", model: "llama-micro", steps: 100 }, fullRate: 1e-3 },
};

/** Experiments by name. */
export const experiments: Readonly<Record<PaperTable["experiment"], Experiment>> = {
  "classification": {
    preset: "vit-base",
    model: "hf:google/vit-base-patch16-224-in21k",
    columns: ["accuracy %", "min"],
    copies: 4,
    // Once an epoch of CIFAR's 50,000 pictures.
    settings: { task: "image-classification", "eval-every": 5000, ...REPORTED },
    runs: 4,
    micro: { settings: { task: "image-classification", model: "vit-micro", steps: 200 }, fullRate: 1e-3 },
  },
  "depth": {
    preset: "depth-anything-large",
    // The preset has query, key and value in one layer, as the paper's model.
    model:
      "depth-anything-large-indoor=FILE or -outdoor=FILE, fine-tuned to the first data set, or --first-data beside it",
    columns: ["RMSE", "min"],
    copies: 1,
    // A quarter of one of the recipe's 5 epochs: `validate_every` (utils/config.py).
    settings: { task: "depth", "eval-every": 0.05, ...REPORTED },
    runs: 4,
    micro: { settings: { task: "depth", model: "dpt-micro", steps: 200 }, fullRate: 1e-3 },
  },
  "reasoning-7b": { ...reasoning, preset: "llama-2-7b", model: "hf:meta-llama/Llama-2-7b-hf" },
  "reasoning-13b": {
    ...reasoning,
    preset: "llama-2-13b",
    model: "hf:meta-llama/Llama-2-13b-hf",
    // The paper's 64 cards take 2 examples of a step each.
    settings: { ...reasoning.settings, accumulate: 64 },
  },
  "generation": {
    preset: "dit-xl-2",
    classes: 101,
    model: "dit-xl-2=DiT-XL-2-256x256.pt",
    besides: "--vae hf:stabilityai/sd-vae-ft-ema --features inception-v3-fid=pt_inception-2015-12-05-6726825d.pth",
    columns: ["FID", "h"],
    copies: 1,
    // The paper stopped each after 24 hours, which more epochs than an A100 takes until then leave to the clock.
    // As many samples as Inception has features; at 12 TFLOP/s they take about 5 hours.
    settings: {
      ...{ task: "generation", epochs: 40, "time-limit": 86_400, "eval-every": 10_000, samples: 2048 },
      ...REPORTED,
    },
    runs: 1,
    micro: { settings: { task: "generation", model: "dit-micro", steps: 200, samples: 300 }, fullRate: 1e-3 },
  },
};

/**
 * A table's sweep with the published model and data, which the user has to name.
 *
 * @param name The table's name
 */
export function fullSize(name: string): Configuration {
  const { title, experiment, rows } = paperTable(name);
  const { settings, runs } = experiments[experiment];
  return {
    title: `Table ${name}: ${title}`,
    settings,
    methods: rows.map(({ method }) => method),
    seeds: Array.from({ length: runs }, (_, seed) => seed),
    rates: () => [],
  };
}

/**
 * A table's sweep with a built-in model and data: the same methods beside the unadapted model, three seeds.
 *
 * @param name The table's name
 */
export function microSize(name: string): Configuration {
  const { title, experiment, micro: data, first, rows } = paperTable(name);
  const { settings, fullRate } = experiments[experiment].micro;
  return {
    title:
      `Table ${name} in micro size: ${settings.model}, ${first === undefined ? "" : `${first.micro} to `}${data}, ` +
      `for ${title}`,
    settings: { ...settings, data },
    methods: [NO_METHOD, ...rows.map(({ method }) => method)],
    seeds: [0, 1, 2],
    rates: (method) => placed(method).adapter === "all" ? [fullRate] : [],
    first: first?.micro,
  };
}

/**
 * A method as a table calls it.
 *
 * @param name The table's name
 * @param method The method
 */
export function paperLabel(name: string, method: string): string {
  return paperTable(name).rows.find((row) => row.method === method)?.label ?? method;
}

/**
 * The paper's figures for some methods as columns.
 *
 * @param name The table's name
 * @param methods The methods
 */
export function paperColumns(name: string, methods: readonly string[]): readonly Column[] {
  const { experiment, rows } = paperTable(name);
  const { columns: [metric, time], copies } = experiments[experiment];
  const own = methods.map((method) => rows.find((row) => row.method === method));
  const column = (title: string, of: (row: PaperTable["rows"][number]) => string): Column => ({
    title: `paper: ${title}`,
    cells: own.map((row) => ({ text: row === undefined ? "-" : of(row) })),
  });
  return [
    column(time, (row) => `${row.time ?? "-"}`),
    column(metric, ({ mean, deviation }) => deviation === undefined ? `${mean}` : `${mean} ± ${deviation}`),
    column("memory %", (row) => `${row.memory ?? "-"}`),
    column(copies === 1 ? "trained" : `trained, x ${copies}`, (row) => row.parameters),
  ];
}

/**
 * What has to be known to read the paper's figures beside ours.
 *
 * @param name The table's name
 * @param methods The methods that are shown (default: all of the table's)
 */
export function paperNotes(name: string, methods?: readonly string[]): readonly string[] {
  const { experiment, rows: all } = paperTable(name);
  const rows = all.filter(({ method }) => methods === undefined || methods.includes(method));
  const { copies, preset } = experiments[experiment];
  const differing = copies > 1
    ? [`The paper's parameters are those of ${copies} models.`]
    : rows.flatMap(({ label, method }) => {
      const note = paperNote(preset, placed(method).adapter, 0);
      return note === undefined ? [] : [`${label}: ${note}.`];
    });
  return [
    "The paper's memory is of an A100 with 40 GB; its metric is the best evaluation's of a run, its time that of training " +
    "and validation up to it: `min to best`.",
    ...differing,
  ];
}

/** A line for each table. */
export function paperList(): string {
  const transfers = Object.values(compressionTables);
  const { model, micro: small } = experiments.depth;
  const first = [
    `S1  Depth Anything, summation and random compression: depth, 2 methods, ${transfers.length} transfers`,
    `    --paper S1 --data ${[...new Set(transfers.map(({ data }) => data))].join(",")} --model ${model}`,
    `    --paper S1 --micro   (${small.settings.model} on ${
      transfers.map(({ first, micro }) => `${first!.micro} to ${micro}`).join(", ")
    })`,
  ];
  const others = Object.entries(paperTables).flatMap(([name, { title, experiment, data, micro, first, rows }]) => {
    const { model, besides, settings, micro: small } = experiments[experiment];
    return [
      `${name.padEnd(4)}${title}: ${settings.task}, ${rows.length} methods`,
      `    --paper ${name} --data ${data} --model ${model}${besides === undefined ? "" : ` ${besides}`}`,
      `    --paper ${name} --micro   (${small.settings.model} on ${first ? `${first.micro} to ` : ""}${micro})`,
    ];
  });
  return [...first, ...others].join("\n");
}

/**
 * The model that a list of a table's runs shows: every transfer between depth data sets has one with depth beyond that of
 * indoor scenes.
 *
 * @param experiment The table's kind of experiment
 */
export function listedModel(experiment: PaperTable["experiment"]): string {
  return experiment === "depth" ? "depth-anything-large-outdoor=FILE" : experiments[experiment].model;
}
