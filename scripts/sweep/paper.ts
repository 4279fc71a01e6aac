/**
 * How the paper's tables are made, full size and in micro size.
 *
 * @module
 */
import type { Column } from "./markdown.ts";
import { type PaperTable, paperTables } from "./paper_tables.ts";
import { placed, UNADAPTED } from "./plan.ts";
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
  /** Learning rates of a method. */
  readonly rates: (method: string) => readonly number[];
}

/** What experiments with one model have in common. */
export interface Experiment {
  /** The preset that has the model's sizes. */
  readonly preset: string;
  /** Classes to learn, where they decide how many parameters are trained. */
  readonly classes?: number;
  /** Query, key and value as the paper has them, where that is not how the weights are published. */
  readonly qkv?: "fused";
  /** Where the weights are published. */
  readonly weights: string;
  /** The metric's name in the table, and the unit of its times. */
  readonly columns: readonly [metric: string, time: string];
  /** Models whose parameters the table's figures add up. */
  readonly copies: number;
  /** Why our parameters differ from the table's, by method. */
  readonly differing: Readonly<Record<string, string>>;
  /** The recipe, and the learning rate. */
  readonly settings: Settings;
  /** Peak learning rate. */
  readonly rate: number;
  /** Independent runs. */
  readonly runs: number;
  /** The same in micro size. */
  readonly micro: {
    /** Settings besides the data. */
    readonly settings: Settings;
    /** Learning rates. */
    readonly rates: readonly number[];
    /** Learning rates of full fine-tuning. */
    readonly fullRates: readonly number[];
  };
}

const reasoning: Omit<Experiment, "preset" | "weights"> = {
  columns: ["loss", "min"],
  copies: 1,
  differing: { difffit: "the paper's DiffFit has no scaling factors here, and one bias as long as the vocabulary" },
  // MoRA's recipe, which the paper takes over.
  settings: {
    "task": "reasoning",
    "epochs": 3,
    "batch-size": 128,
    "weight-decay": 0,
    "schedule": "cosine",
    "warmup": 0.03,
    "precision": "bf16",
  },
  rate: 3e-4,
  runs: 4,
  micro: {
    settings: { task: "reasoning", model: "llama-micro", steps: 100 },
    rates: [5e-3],
    fullRates: [5e-4],
  },
};

/** Experiments by name. */
export const experiments: Readonly<Record<PaperTable["experiment"], Experiment>> = {
  "classification": {
    preset: "vit-base",
    weights: "google/vit-base-patch16-224-in21k",
    columns: ["accuracy %", "min"],
    copies: 4,
    differing: {},
    // Epochs and schedule are not stated.
    settings: {
      "task": "image-classification",
      "epochs": 3,
      "batch-size": 10,
      "weight-decay": 0.01,
      "schedule": "linear",
      "augment": "true",
    },
    rate: 2e-5,
    runs: 4,
    micro: {
      settings: { "task": "image-classification", "model": "vit-micro", "steps": 200, "batch-size": 64 },
      rates: [8e-3],
      fullRates: [1e-3],
    },
  },
  "depth": {
    preset: "depth-anything-large",
    qkv: "fused",
    weights: "a Depth Anything large fine-tuned to metric depth on the first data set",
    columns: ["RMSE", "min"],
    copies: 1,
    differing: { difffit: "the paper's DiffFit has no scaling factors here" },
    // Depth Anything's own.
    settings: {
      "task": "depth",
      "epochs": 5,
      "batch-size": 16,
      "weight-decay": 0.01,
      "schedule": "one-cycle",
      "clip": 0.1,
    },
    rate: 1.61e-4,
    runs: 4,
    micro: { settings: { task: "depth", model: "dpt-micro", steps: 100 }, rates: [5e-3], fullRates: [5e-4] },
  },
  "reasoning-7b": { ...reasoning, preset: "llama-2-7b", weights: "meta-llama/Llama-2-7b-hf" },
  "reasoning-13b": { ...reasoning, preset: "llama-2-13b", weights: "meta-llama/Llama-2-13b-hf" },
  "generation": {
    preset: "dit-xl-2",
    classes: 101,
    weights: "facebook/DiT-XL-2-256",
    columns: ["FID", "h"],
    copies: 1,
    differing: {},
    // DiffFit's; the paper stopped every run after 24 hours.
    settings: { "task": "generation", "weight-decay": 0, "schedule": "constant" },
    rate: 1e-3,
    runs: 1,
    micro: { settings: { task: "generation", model: "dit-micro", steps: 100 }, rates: [5e-3], fullRates: [5e-4] },
  },
};

/**
 * A table's sweep with the published model and data, which the user has to name.
 *
 * @param name The table's name
 */
export function fullSize(name: string): Configuration {
  const { title, experiment, rows } = paperTables[name];
  const { settings, rate, runs } = experiments[experiment];
  return {
    title: `Table ${name}: ${title}`,
    settings,
    methods: rows.map(({ method }) => method),
    seeds: Array.from({ length: runs }, (_, seed) => seed),
    rates: () => [rate],
  };
}

/**
 * A table's sweep with a built-in model and data: the same methods beside the unadapted model, three seeds.
 *
 * @param name The table's name
 */
export function microSize(name: string): Configuration {
  const { title, experiment, micro: data, rows } = paperTables[name];
  const { settings, rates, fullRates } = experiments[experiment].micro;
  return {
    title: `Table ${name} in micro size: ${settings.model}, ${data}, for ${title}`,
    settings: { ...settings, data },
    methods: [UNADAPTED, ...rows.map(({ method }) => method)],
    seeds: [0, 1, 2],
    rates: (method) => placed(method).adapter === "all" ? fullRates : rates,
  };
}

/**
 * A method as a table calls it.
 *
 * @param name The table's name
 * @param method The method
 */
export function paperLabel(name: string, method: string): string {
  return paperTables[name].rows.find((row) => row.method === method)?.label ?? method;
}

/**
 * The paper's figures for some methods as columns.
 *
 * @param name The table's name
 * @param methods The methods
 */
export function paperColumns(name: string, methods: readonly string[]): readonly Column[] {
  const { experiment, rows } = paperTables[name];
  const { columns: [metric, time], copies } = experiments[experiment];
  const own = methods.map((method) => rows.find((row) => row.method === method));
  const column = (title: string, of: (row: PaperTable["rows"][number]) => string): Column => ({
    title: `paper: ${title}`,
    cells: own.map((row) => ({ text: row === undefined ? "-" : of(row) })),
  });
  return [
    column(time, (row) => `${row.time}`),
    column(metric, ({ mean, deviation }) => deviation === undefined ? `${mean}` : `${mean} ± ${deviation}`),
    column("memory %", (row) => `${row.memory}`),
    column(copies === 1 ? "trained" : `trained, x ${copies}`, (row) => row.parameters),
  ];
}

/**
 * What has to be known to read the paper's figures beside ours.
 *
 * @param name The table's name
 */
export function paperNotes(name: string): readonly string[] {
  const { copies, differing } = experiments[paperTables[name].experiment];
  return [
    "The paper's memory is of an A100 with 40 GB; its time is that of training and validation.",
    ...(copies === 1 ? [] : [`The paper's parameters are those of ${copies} models.`]),
    ...Object.entries(differing).map(([method, why]) => `${paperLabel(name, method)}: ${why}.`),
  ];
}

/** A line for each table. */
export function paperList(): string {
  return Object.entries(paperTables).map(([name, { title, experiment, data, micro, rows }]) => {
    const { weights, settings, micro: { settings: { model } } } = experiments[experiment];
    return [
      `${name.padEnd(4)}${title}: ${settings.task}, ${rows.length} methods`,
      `    --paper ${name} --data ${data} --model DIR   (${weights})`,
      `    --paper ${name} --micro   (${model} on ${micro})`,
    ].join("\n");
  }).join("\n");
}
