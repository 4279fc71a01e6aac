/**
 * Runs the cells of a sweep that are not finished, some at once, and says what came of each.
 *
 * @module
 */
import { OneloraError } from "../../../dsl/error.ts";
import {
  divergence,
  noteDiverged,
  noteShared,
  readRate,
  readSummary,
  stageOf,
  type Summary,
  wasShared,
} from "./folder.ts";
import { type Claiming, insideSlot } from "./part.ts";
import type { Cell } from "./plan.ts";
import type { Slots } from "./slots.ts";

/** What came of a cell. */
export type CellResult =
  | {
    readonly cell: Cell;
    readonly state: "finished";
    readonly summary: Summary;
    /** The learning rate, the recipe's too. */
    readonly rate?: number;
    /** Whether it shared the machine with others. */
    readonly shared: boolean;
  }
  | { readonly cell: Cell; readonly state: "failed"; readonly why: string }
  | { readonly cell: Cell; readonly state: "pending" };

/** What a sweep needs from its surroundings. */
export interface Surroundings {
  /** The sweep's folder. */
  readonly folder: string;
  /** Places for runs. */
  readonly slots: Slots;
  /** Which of several sweeps that share them goes first: the lowest. */
  readonly rank: number;
  /** Ends the sweep. */
  readonly signal: AbortSignal;
  /** Runs a cell to its end; fails with OneloraError. */
  readonly run: (cell: Cell) => Promise<void>;
  /** Called with each result as it comes, and whether it was there before. */
  readonly onResult: (result: CellResult, earlier: boolean) => void;
  /** Keeps other workers out of a cell; undefined where one has it (default: there are none). */
  readonly claim?: Claiming;
}

/** The result of a cell that has ended. */
async function resultOf(cell: Cell, folder: string): Promise<CellResult> {
  const run = `${folder}/${cell.name}`;
  const [summary, rate, shared] = await Promise.all([readSummary(run), readRate(run), wasShared(run)]);
  return { cell, state: "finished", summary, rate, shared };
}

/** Whether a cell's run has ended, judged as the cell asks for it. */
async function isDone({ testing }: Cell, run: string): Promise<boolean> {
  const stage = await stageOf(run);
  return stage === "finished" || testing === false && stage === "untested";
}

/**
 * Whether a run failed since its loss was no number, which a lower rate mends.
 *
 * @param result What came of it
 */
export function hasDiverged(result: CellResult): boolean {
  return result.state === "failed" && /^loss (NaN|-?Infinity)/.test(result.why);
}

/** A cell whose run failed, or whose summary cannot be used. */
function failed(cell: Cell, error: unknown): Extract<CellResult, { readonly state: "failed" }> {
  if (error instanceof OneloraError) return { cell, state: "failed", why: error.problem.found };
  throw error;
}

/**
 * What came of a cell that is not run now.
 *
 * @param cell The cell
 * @param folder Its sweep's folder
 * @returns Its result, pending if its run has not ended
 */
export async function earlierResult(cell: Cell, folder: string): Promise<CellResult> {
  const run = `${folder}/${cell.name}`;
  const why = cell.testing === false ? await divergence(run) : undefined;
  if (why !== undefined) return { cell, state: "failed", why };
  if (!await isDone(cell, run)) return { cell, state: "pending" };
  return await resultOf(cell, folder).catch((error) => failed(cell, error));
}

/** Sweeps at most of a command, as far as their order goes. */
const SWEEPS = 1000;
/** Seeds with which a table has deviations. */
const FEW = 2;

/**
 * Searches first, then all methods with one seed, so that an unfinished sweep compares too; what is more than two seeds
 * after the two of all sweeps.
 */
function turnOf(seed: number): number {
  return Math.min(seed + 1, 1000) / 10_000 + (seed < FEW ? 0 : SWEEPS);
}

/**
 * Runs every cell that is not finished. A cell that another worker runs is waited for where it is there to find a rate, on
 * which others depend; else it is pending.
 *
 * @param cells The cells, in order
 * @param surroundings Where and how
 * @returns A result for each cell, in order; pending ones were not ended because of an interrupt, or run elsewhere
 */
export async function runCells(cells: readonly Cell[], surroundings: Surroundings): Promise<readonly CellResult[]> {
  const { folder, slots, rank, signal, run, onResult, claim } = surroundings;
  /** What comes of a cell, and whether it was there before; undefined where another worker has it. */
  const attempted = async (cell: Cell): Promise<readonly [CellResult, earlier: boolean] | undefined> => {
    if (signal.aborted) return [{ cell, state: "pending" }, false];
    using own = await claim?.(cell.name);
    if (claim !== undefined) {
      if (own === undefined) return undefined;
      const earlier = await earlierResult(cell, folder);
      if (earlier.state !== "pending") return [earlier, true];
    }
    try {
      if (slots.count > 1) await noteShared(`${folder}/${cell.name}`);
      await run(cell);
      return [await resultOf(cell, folder), false];
    } catch (error) {
      const result = failed(cell, error);
      if (cell.testing === false && hasDiverged(result)) await noteDiverged(`${folder}/${cell.name}`, result.why);
      // What an interrupt ended has not failed.
      return [signal.aborted ? { cell, state: "pending" } : result, false];
    }
  };
  const ended = async (cell: Cell): Promise<CellResult> => {
    const wait = cell.testing === false;
    const turn = rank + (wait ? 0 : turnOf(cell.seed));
    const [result, earlier] = await insideSlot({ slots, rank: turn, signal, wait }, () => attempted(cell)) ?? [];
    if (result === undefined) return { cell, state: "pending" };
    if (result.state !== "pending") onResult(result, earlier ?? false);
    return result;
  };
  const known = new Map<Cell, CellResult>();
  // One after the other, so that cells take their places in order.
  for (const cell of cells) {
    const earlier = await earlierResult(cell, folder);
    if (earlier.state === "pending") continue;
    onResult(earlier, true);
    known.set(cell, earlier);
  }
  return await Promise.all(cells.map((cell) => known.get(cell) ?? ended(cell)));
}
