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
    const finished = own.filter(isFinished);
    const tried = [...new Set(finished.map(({ cell }) => cell.rate))].map((rate) =>
      trialOf(finished.filter(({ cell }) => cell.rate === rate), deciding)
    );
    const most = Math.max(...tried.map(({ metric }) => metric.count));
    const inOrder = order(deciding.better);
    const [best] = tried.filter(({ metric }) => metric.count === most)
      .sort((a, b) => inOrder(a.metric.mean, b.metric.mean));
    return {
      method,
      label: label(method),
      reference: REFERENCES.includes(placed(method).adapter),
      best,
      rates: new Set(own.map(({ cell }) => cell.rate)).size,
      tried,
      failed: own.filter(({ state }) => state === "failed").length,
      pending: own.filter(({ state }) => state === "pending").length,
    };
  });
}
