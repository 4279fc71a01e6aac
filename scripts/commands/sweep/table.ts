/**
 * The paper's table: time, metric, memory and parameters of each method.
 *
 * @module
 */
import { type Column, type Entry, markdownTable, marksInWords } from "./markdown.ts";
import type { Deciding, Row, Trial } from "./rows.ts";
import type { Mean } from "./statistics.ts";

/** How a metric is shown. */
export interface Unit {
  /** Its name, with its unit. */
  readonly title: string;
  /** What values are multiplied by. */
  readonly factor: number;
}

const UNITS: Readonly<Record<string, Unit>> = {
  accuracy: { title: "accuracy %", factor: 100 },
  rmse: { title: "RMSE", factor: 1 },
  // FID itself is what a task calls it: see metricTitle.
  fid: { title: "Fréchet distance", factor: 1 },
};

/**
 * How a metric is shown.
 *
 * @param metric Its name
 */
export function unitOf(metric: string): Unit {
  return UNITS[metric] ?? { title: metric, factor: 1 };
}

/** What is shown of a sweep. */
export interface Shown {
  /** The sweep, in words. */
  readonly title: string;
  /** Its methods. */
  readonly rows: readonly Row[];
  /** What decides. */
  readonly deciding: Deciding;
  /** Columns to stand beside, such as the paper's. */
  readonly beside?: readonly Column[];
  /** The chart's time: of a step (default), or as in the paper up to the best evaluation. */
  readonly time?: "step" | "best";
  /** How the metric is called (default: by its own name). */
  readonly metricTitle?: string;
  /** Lines to stand below. */
  readonly notes?: readonly string[];
}

/** Decimals that give the largest of some values four digits. */
function decimalsOf(values: readonly number[]): number {
  const largest = Math.max(...values.map(Math.abs));
  return largest > 0 && Number.isFinite(largest) ? Math.min(8, Math.max(0, 3 - Math.floor(Math.log10(largest)))) : 2;
}

/** A column of one number of each method, ranked as rounded. */
function column(
  { title, better, rows, decimals, of, after = () => "" }: {
    readonly title: string;
    readonly better?: Deciding["better"];
    readonly rows: readonly Row[];
    readonly decimals: number;
    readonly of: (trial: Trial) => number | undefined;
    readonly after?: (trial: Trial) => string;
  },
): Column {
  const cells = rows.map(({ best, reference }): Entry => {
    const value = best && of(best);
    if (best === undefined || value === undefined) return { text: "-" };
    const number = value.toFixed(decimals);
    const shown = decimals === 0 ? Number(number).toLocaleString("en-US") : number;
    return { text: `${shown}${after(best)}`, value: reference ? undefined : Number(number) };
  });
  return { title, better, cells };
}

/** Methods without a full set of runs, in words. */
function missing(rows: readonly Row[]): readonly string[] {
  const searching = rows.filter((row) => row.searching).map(({ label }) => `${label}: its rate is still to be found.`);
  return [...searching, ...rows.filter(({ failed, pending }) => failed + pending > 0).map(incomplete)];
}

/** What a method lacks, in words. */
function incomplete({ label, failed, pending }: Row): string {
  const counts = [[failed, "failed"], [pending, "to be run"]] as const;
  return `${label}: ${counts.filter(([count]) => count > 0).map(([count, what]) => `${count} ${what}`).join(", ")}.`;
}

function listed(rows: readonly Row[]): string {
  return rows.map(({ label }) => label).join(", ");
}

/** How one of several rates was chosen. */
function choiceInWords(rows: readonly Row[]): string {
  const several = rows.filter(({ rates, best }) => rates > 1 && best !== undefined);
  if (several.every(({ fair }) => fair)) {
    return "Of several learning rates, the one that is best on training examples held out; the test data decide nothing.";
  }
  return "Of several learning rates, the one with the best mean on the test data, which flatters whoever tried more.";
}

/** The runs of the methods that have any. */
function trialsOf(rows: readonly Row[]): readonly Trial[] {
  return rows.flatMap(({ best }) => best === undefined ? [] : [best]);
}

/** Seeds of a method that has all of its runs. */
function seedsOf(trials: readonly Trial[]): number {
  return Math.max(...trials.map((trial) => trial.metric.count));
}

/** Whether rates were tried. */
function isChosen(rows: readonly Row[]): boolean {
  return rows.some((row) => row.rates > 1);
}

function columnsOf({ rows, deciding: { metric, better }, metricTitle, beside = [] }: Shown): readonly Column[] {
  const trials = trialsOf(rows);
  const { title: known, factor } = unitOf(metric);
  const name = metricTitle ?? known;
  const decimals = decimalsOf(trials.map((trial) => trial.metric.mean * factor));
  const seeds = seedsOf(trials);
  const isShared = trials.some(({ shared }) => shared);
  const mark = ({ busy }: Trial) => busy ? " †" : "";
  const minutes = trials.every(({ seconds }) => seconds < 600) ? 2 : 0;
  /** A column, where some method has it. */
  const some = (options: Omit<Parameters<typeof column>[0], "rows">) =>
    trials.some((trial) => options.of(trial) !== undefined) ? [column({ ...options, rows })] : [];
  /** A mean as number, with its deviation. */
  const deviating = (mean: Mean | undefined, factor: number, decimals: number) =>
    mean?.deviation === undefined ? "" : ` ± ${(mean.deviation * factor).toFixed(decimals)}`;
  const moved = trials.some(({ metric, bestMetric }) => bestMetric !== undefined && bestMetric.mean !== metric.mean);
  const absRels = trials.flatMap(({ absRel }) => absRel === undefined ? [] : [absRel.mean]);
  const rates = new Set(trials.flatMap(({ rate }) => rate === undefined ? [] : [rate]));
  return [
    { title: "method", cells: rows.map(({ label }) => ({ text: label })) },
    column({
      title: isShared ? "ms a step, shared" : "ms a step",
      better: "lower",
      rows,
      decimals: 0,
      of: ({ stepSeconds }) => stepSeconds && 1000 * stepSeconds,
      after: mark,
    }),
    column({
      title: "min",
      better: "lower",
      rows,
      decimals: minutes,
      of: ({ seconds, stepSeconds }) => stepSeconds === undefined ? undefined : seconds / 60,
      after: mark,
    }),
    ...some({
      title: "min to best",
      better: "lower",
      decimals: minutes,
      of: ({ bestSeconds, stepSeconds }) =>
        stepSeconds === undefined || bestSeconds === undefined ? undefined : bestSeconds / 60,
      after: mark,
    }),
    column({
      title: name,
      better,
      rows,
      decimals,
      of: (trial) => trial.metric.mean * factor,
      after: ({ metric }) =>
        deviating(metric, factor, decimals) + (metric.count < seeds ? ` (${metric.count} of ${seeds})` : ""),
    }),
    ...(moved
      ? some({
        // With examples held out they are what decides on the way.
        title: trials.every(({ heldOut }) => heldOut !== undefined) ? `held out, best ${name}` : `best ${name}`,
        better,
        decimals,
        of: ({ bestMetric }) => bestMetric && bestMetric.mean * factor,
        after: ({ bestMetric }) => deviating(bestMetric, factor, decimals),
      })
      : []),
    ...some({
      title: "AbsRel",
      better: "lower",
      decimals: decimalsOf(absRels),
      of: ({ absRel }) => absRel?.mean,
      after: ({ absRel }) => deviating(absRel, 1, decimalsOf(absRels)),
    }),
    column({
      title: "peak MB",
      better: "lower",
      rows,
      decimals: 0,
      of: ({ peakRssBytes }) => peakRssBytes / 1e6,
    }),
    ...some({
      title: "memory %",
      better: "lower",
      decimals: 1,
      of: ({ share }) => share && 100 * share,
    }),
    column({ title: "trained", better: "lower", rows, decimals: 0, of: ({ parameters }) => parameters }),
    ...(isChosen(rows) || rates.size > 1
      ? [{ title: "rate", cells: rows.map(({ best }) => ({ text: best?.rate === undefined ? "-" : `${best.rate}` })) }]
      : []),
    ...beside,
  ];
}

/** What is said below a table. */
function legendOf({ rows, notes = [] }: Shown): readonly string[] {
  const trials = trialsOf(rows);
  const seeds = seedsOf(trials);
  const heads = [...new Set(trials.map(({ head }) => head))].filter((head) => head > 0);
  const references = rows.filter(({ reference }) => reference);
  return [
    `Marked: ${marksInWords} of each column${references.length === 0 ? "" : `, without ${listed(references)}`}.`,
    seeds > 1 ? `Means over ${seeds} seeds ± sample standard deviation.` : "One seed.",
    ...(isChosen(rows) ? [choiceInWords(rows)] : []),
    ...rows.flatMap(({ label, edge }) =>
      edge === undefined ? [] : [`${label}: its rate is the ${edge} of those tried.`]
    ),
    ...(trials.some(({ shared }) => shared)
      ? ["Runs shared the machine: their times are not comparable with others'."]
      : []),
    ...(trials.some(({ busy }) => busy)
      ? ["† The machine was busy with other things: these times are not the methods' own."]
      : []),
    ...heads.map((head) => `The head's ${head.toLocaleString("en-US")} parameters are trained besides.`),
    ...missing(rows),
    ...notes,
  ];
}

/**
 * The table in Markdown, with a legend.
 *
 * @param shown What is shown
 */
export function tableOf(shown: Shown): string {
  return [`### ${shown.title}`, "", markdownTable(columnsOf(shown)), "", ...legendOf(shown)].join("\n");
}
