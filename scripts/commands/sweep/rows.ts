/**
 * Results of cells, brought together by method.
 *
 * @module
 */
import { NO_METHOD } from "../../../tasks/trainer/method.ts";
import type { Summary } from "./folder.ts";
import { placed } from "./plan.ts";
import type { CellResult } from "./run.ts";
import { type Mean, meanOf } from "./statistics.ts";

/** A method with one learning rate, over its seeds; other numbers than the metric are means. */
export interface Trial {
  /** The learning rate; undefined where no step was taken. */
  readonly rate?: number;
  /** The deciding metric. */
  readonly metric: Mean;
  /** Seconds of a step; undefined where no step was taken. */
  readonly stepSeconds?: number;
  /** Seconds of a run in all, evaluations included. */
  readonly seconds: number;
  /** Seconds until the best value. */
  readonly bestSeconds?: number;
  /** The deciding metric of the examples held out. */
  readonly heldOut?: Mean;
  /** The best value over training. */
  readonly bestMetric?: Mean;
  /** Depth: the mean absolute relative error. */
  readonly absRel?: Mean;
  /** Share of the card's memory, or else the machine's. */
  readonly share?: number;
  /** Peak resident memory of a run. */
  readonly peakRssBytes: number;
  /** Trained parameters, the head's left out. */
  readonly parameters: number;
  /** Parameters of the head. */
  readonly head: number;
  /** Whether some run shared the machine with others of the sweep. */
  readonly shared: boolean;
  /** Whether the machine was busy with other things during some run. */
  readonly busy: boolean;
}

/** A method. */
export interface Row {
  /** As written: `lora@qkv`. */
  readonly method: string;
  /** How it is shown. */
  readonly label: string;
  /** Whether it is there for comparison only: nothing, the head alone, or everything is trained. */
  readonly reference: boolean;
  /** The learning rate that did best; undefined if no run has finished. */
  readonly best?: Trial;
  /** How many learning rates there are runs with. */
  readonly rates: number;
  /** Whether examples held out, not the test data, have decided between them. */
  readonly fair: boolean;
  /** Rates that were tried to find the best one, with what the examples held out said; none where nothing was searched. */
  readonly search: readonly { readonly rate: number; readonly value?: number }[];
  /** The end of the rates that were tried at which the best one lies. */
  readonly edge?: "lowest" | "highest";
  /** Whether the rate is still to be found. */
  readonly searching: boolean;
  /** Every learning rate with a finished run, in the order of the sweep. */
  readonly tried: readonly Trial[];
  /** Runs that failed. */
  readonly failed: number;
  /** Runs that have not ended. */
  readonly pending: number;
}

/** What decides between methods. */
export type Deciding = Summary["deciding"];

const REFERENCES: readonly string[] = [NO_METHOD, "head", "all", "full"];

type Finished = Extract<CellResult, { readonly state: "finished" }>;

const isFinished = (result: CellResult): result is Finished => result.state === "finished";

/**
 * What decides in a sweep: what its runs say; undefined if none has finished.
 *
 * @param results Results of cells
 */
export function decidingOf(results: readonly CellResult[]): Deciding | undefined {
  return results.find(isFinished)?.summary.deciding;
}

/**
 * Which of two values is better, as a sort order; what is not finite comes last.
 *
 * @param better Which way is better
 */
export function order(better: Deciding["better"]): (a: number, b: number) => number {
  const rank = (value: number) => Number.isFinite(value) ? better === "higher" ? -value : value : Infinity;
  return (a, b) => rank(a) === rank(b) ? 0 : rank(a) - rank(b);
}

/**
 * A run's deciding metric on the examples held out.
 *
 * @param result What came of it
 * @returns The value; undefined if it did not end, or with no number
 */
export function heldOutValue(result: CellResult): number | undefined {
  if (result.state !== "finished") return undefined;
  const { validation, deciding: { metric } } = result.summary;
  const value = validation?.metrics[metric];
  return Number.isFinite(value) ? value : undefined;
}

/** Rates of a method's search with their values, which are those of the first seed, lowest rate first. */
function searchOf(own: readonly CellResult[]): Row["search"] {
  const seed = own.find(({ cell }) => cell.testing === false)!.cell.seed;
  return own.filter(({ cell, state }) => cell.seed === seed && cell.rate !== undefined && state !== "pending")
    .map((result) => ({ rate: result.cell.rate!, value: heldOutValue(result) }))
    .sort((a, b) => a.rate - b.rate);
}

/** The end of some rates at which one lies; undefined inside. */
function edgeOf(search: Row["search"], rate: number | undefined): Row["edge"] {
  if (rate === search[0].rate) return "lowest";
  return rate === search[search.length - 1].rate ? "highest" : undefined;
}

/** Share of the processors' time taken by others from which on a run's times are not its own. */
const BUSY = 0.1;

function trialOf(runs: readonly Finished[], { metric }: Deciding): Trial {
  const mean = (of: (summary: Summary) => number) => meanOf(runs.map(({ summary }) => of(summary))).mean;
  const known = (of: (summary: Summary) => number | undefined) => {
    const values = runs.map(({ summary }) => of(summary));
    return values.every((value) => typeof value === "number") ? meanOf(values as readonly number[]) : undefined;
  };
  const [{ rate, summary: { parameters, steps } }] = runs;
  return {
    rate: steps === 0 ? undefined : rate,
    metric: meanOf(runs.map(({ summary }) => summary.metrics[metric])),
    stepSeconds: steps === 0 ? undefined : mean(({ stepSeconds }) => stepSeconds),
    seconds: mean(({ seconds }) => seconds),
    heldOut: known(({ validation }) => validation?.metrics[metric]),
    bestSeconds: known(({ bestSeconds }) => bestSeconds)?.mean,
    bestMetric: known(({ best }) => best?.value),
    absRel: metric === "absRel" ? undefined : known(({ metrics: { absRel } }) => absRel),
    share: known(({ memory }) => memory?.share)?.mean,
    peakRssBytes: mean(({ peakRssBytes }) => peakRssBytes),
    parameters: parameters.adapter,
    head: parameters.head,
    shared: runs.some(({ shared }) => shared),
    busy: runs.some(({ shared, summary: { otherLoad = 0 } }) => !shared && otherLoad > BUSY),
  };
}

/**
 * A row for each method: among the learning rates with the most finished seeds, the one with the best mean stands for it.
 *
 * @param results Results of cells
 * @param deciding What decides
 * @param label How a method is shown
 */
export function rowsOf(
  results: readonly CellResult[],
  deciding: Deciding,
  label: (method: string) => string,
): readonly Row[] {
  return [...new Set(results.map(({ cell }) => cell.method))].map((method) => {
    const own = results.filter(({ cell }) => cell.method === method);
    const sought = own.filter(({ cell }) => cell.testing === false);
    const counted = own.filter(({ cell }) => cell.testing !== false);
    const finished = counted.filter(isFinished);
    const tried = [...new Set(finished.map(({ cell }) => cell.rate))].map((rate) =>
      trialOf(finished.filter(({ cell }) => cell.rate === rate), deciding)
    );
    const most = Math.max(...tried.map(({ metric }) => metric.count));
    const inOrder = order(deciding.better);
    const fair = tried.length > 0 && tried.every(({ heldOut }) => heldOut !== undefined);
    const judged = ({ heldOut, metric }: Trial) => (fair ? heldOut! : metric).mean;
    const [best] = tried.filter(({ metric }) => metric.count === most).sort((a, b) => inOrder(judged(a), judged(b)));
    const search = sought.length === 0 ? [] : searchOf(own);
    return {
      method,
      label: label(method),
      reference: REFERENCES.includes(placed(method).adapter),
      best,
      rates: new Set(own.map(({ cell }) => cell.rate)).size,
      fair,
      search,
      edge: search.length === 0 || best === undefined ? undefined : edgeOf(search, best.rate),
      searching: counted.length === 0 && sought.length > 0,
      tried,
      failed: counted.filter(({ state }) => state === "failed").length,
      pending: counted.filter(({ state }) => state === "pending").length,
    };
  });
}
