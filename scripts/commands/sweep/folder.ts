/**
 * A sweep's folder: its settings, and how far each cell in it is.
 *
 * @module
 */
import { OneloraError } from "../../../dsl/error.ts";
import { jsonIfThere, textIfThere } from "../../../dsl/files/if_there.ts";
import { readNumbers } from "../../../dsl/files/json.ts";
import { makeFolder, writeJson, writeWhole } from "../../../dsl/files/write.ts";
import { usage } from "../../cli/options.ts";
import type { Cell } from "./plan.ts";

/** Settings of `train` that all cells share, by the flag's name: `{ "batch-size": 64 }`. */
export type Settings = Readonly<Record<string, string | number | boolean>>;

/** What a finished run says about itself in `summary.json`. */
export interface Summary {
  /** The task. */
  readonly task: string;
  /** The model. */
  readonly model: string;
  /** The engine. */
  readonly backend: string;
  /** Precision of frozen weights and products. */
  readonly precision: string;
  /** Numbers of parameters. */
  readonly parameters: { readonly adapter: number; readonly head: number };
  /** Steps done. */
  readonly steps: number;
  /** Seconds in all. */
  readonly seconds: number;
  /** Seconds until the best value. */
  readonly bestSeconds?: number;
  /** The best value over training. */
  readonly best?: { readonly value: number; readonly step: number };
  /** Peak memory, and its share of the card's, or else the machine's. */
  readonly memory?: { readonly peakBytes: number; readonly deviceBytes?: number; readonly share?: number };
  /** Share of the processors' time that other processes took. */
  readonly otherLoad?: number;
  /** Median seconds of a step. */
  readonly stepSeconds: number;
  /** Peak resident memory. */
  readonly peakRssBytes: number;
  /** Evaluation after the last step. */
  readonly metrics: Readonly<Record<string, number>>;
  /** Metrics of examples held out; `metrics` are then those of the test data. */
  readonly validation?: { readonly examples: number; readonly metrics: Readonly<Record<string, number>> };
  /** Whether the test data were left alone. */
  readonly untested?: boolean;
  /** The metric that decides, and which way. */
  readonly deciding: { readonly metric: string; readonly better: "higher" | "lower" };
}

/** How far a run is. */
export type Stage = "new" | "begun" | "untested" | "finished";

/**
 * How far a run is.
 *
 * @param run Its folder
 */
export async function stageOf(run: string): Promise<Stage> {
  const summary = await textIfThere(`${run}/summary.json`);
  if (summary !== undefined) return /^ {2}"untested": true,$/m.test(summary) ? "untested" : "finished";
  return await textIfThere(`${run}/config.json`) === undefined ? "new" : "begun";
}

/**
 * A finished run's summary.
 *
 * @param run Its folder
 * @throws OneloraError for one without the numbers that a sweep compares
 */
export async function readSummary(run: string): Promise<Summary> {
  const path = `${run}/summary.json`;
  const summary = await jsonIfThere(path, readNumbers) as Partial<Summary> | undefined;
  const value = summary?.metrics?.[summary.deciding?.metric ?? ""];
  const numbers = [value, summary?.parameters?.adapter, summary?.parameters?.head];
  if (numbers.every((number) => typeof number === "number")) return summary as Summary;
  throw new OneloraError({
    attempted: `reading ${path}`,
    found: "no deciding metric or no parameter counts",
    allowed: "a summary of this version; remove the folder to run the cell again",
  });
}

/**
 * A run's learning rate, the recipe's if none was given.
 *
 * @param run Its folder
 */
export async function readRate(run: string): Promise<number | undefined> {
  const config = await jsonIfThere(`${run}/config.json`) as { readonly lr?: number } | undefined;
  return config?.lr;
}

const SHARED = "shared.json";

/**
 * Notes that a run shared the machine with others, so that its times are not its own.
 *
 * @param run Its folder
 */
export async function noteShared(run: string): Promise<void> {
  await makeFolder(run);
  await writeWhole(`${run}/${SHARED}`, "true\n", { within: run });
}

/**
 * Whether a run shared the machine with others.
 *
 * @param run Its folder
 */
export async function wasShared(run: string): Promise<boolean> {
  return await textIfThere(`${run}/${SHARED}`) !== undefined;
}

const DIVERGED = "diverged.json";

/**
 * Notes that a run's loss was no number, so that it is not tried again.
 *
 * @param run Its folder
 * @param why What was found
 */
export async function noteDiverged(run: string, why: string): Promise<void> {
  await writeWhole(`${run}/${DIVERGED}`, `${JSON.stringify(why)}\n`, { within: run });
}

/**
 * What was found of a run whose loss was no number; undefined of others.
 *
 * @param run Its folder
 */
export async function divergence(run: string): Promise<string | undefined> {
  return await jsonIfThere(`${run}/${DIVERGED}`) as string | undefined;
}

/**
 * Makes a folder that of a sweep with these settings; more methods, seeds and rates may join it, other settings not.
 *
 * @param folder The folder
 * @param settings What all cells share
 * @throws OneloraError (exit code 2) if it is that of a sweep with other settings
 */
export async function claim(folder: string, settings: Settings): Promise<void> {
  const path = `${folder}/sweep.json`;
  const before = await jsonIfThere(path) as Settings | undefined;
  if (before === undefined) return await writeJson(path, settings);
  const differing = [...new Set([...Object.keys(before), ...Object.keys(settings)])]
    .find((name) => before[name] !== settings[name]);
  if (differing === undefined) return;
  const shown = (value: Settings[string] | undefined) => value === undefined ? "not given" : `${value}`;
  throw usage(
    `continuing ${folder}`,
    `--${differing} ${shown(settings[differing])} where it was ${shown(before[differing])}`,
    "the settings of before, or another --out",
  );
}

/**
 * All cells of a sweep's folder: those of earlier commands, then those that join them. The folder remembers them.
 *
 * @param folder The folder
 * @param cells The cells of this command
 */
export async function joinCells(folder: string, cells: readonly Cell[]): Promise<readonly Cell[]> {
  const path = `${folder}/cells.json`;
  const before = await jsonIfThere(path) ?? [];
  const isInside = (name: string) => name.split(/[/\\]/).every((part) => !["", ".", ".."].includes(part));
  const isCell = (cell: Partial<Cell> | null) =>
    [cell?.name, cell?.method, cell?.adapter].every((it) => typeof it === "string") && isInside(cell!.name!);
  if (!Array.isArray(before) || !before.every(isCell)) {
    throw new OneloraError({
      attempted: `reading ${path}`,
      found: "no list of a sweep's runs",
      allowed: "as it was written",
    });
  }
  const joining = new Map(cells.map((cell) => [cell.name, cell]));
  const names = new Set(before.map(({ name }) => name));
  const all: readonly Cell[] = [
    // One that found a rate is judged by the test data now; never the other way round.
    ...before.map((cell: Cell) => cell.testing === false ? joining.get(cell.name) ?? cell : cell),
    ...cells.filter(({ name }) => !names.has(name)),
  ];
  await writeJson(path, all);
  return all;
}
