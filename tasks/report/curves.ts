/**
 * The curves of a run, from its log.
 *
 * @module
 */
import type { LogRecord } from "../trainer/log.ts";
import { type Chart, charts } from "./chart.ts";
import { type Point, type Series, smoothed, thinned } from "./series.ts";
import type { Markup } from "./markup.ts";

/** What the log's names mean. */
const TITLES: Readonly<Record<string, string>> = { loss: "Loss", lr: "Learning rate" };

/** What is no curve: x, and times that other programs of the machine decide. */
const LEFT_OUT = ["step", "seconds"];

/** Names of numbers in any of the records, in order of their first appearance. */
function names(parts: readonly Readonly<Record<string, unknown>>[]): readonly string[] {
  const found = new Set<string>();
  for (const part of parts) {
    for (const [name, value] of Object.entries(part)) if (typeof value === "number") found.add(name);
  }
  return [...found];
}

function evaluationOf({ evaluation }: LogRecord): Readonly<Record<string, number>> {
  return typeof evaluation === "object" ? evaluation : {};
}

function pointsOf(records: readonly LogRecord[], valueOf: (record: LogRecord) => unknown): readonly Point[] {
  return records.flatMap((record): readonly Point[] => {
    const value = valueOf(record);
    return typeof value === "number" ? [[record.step, value]] : [];
  });
}

/**
 * A chart of each number that training logs, and of each metric that was evaluated more than once.
 *
 * @param records The log
 */
export function curves(records: readonly LogRecord[]): readonly Markup[] {
  const evaluations = records.filter((record) => record.evaluation !== undefined);
  const evaluated = (metric: string) => pointsOf(evaluations, (record) => evaluationOf(record)[metric]);
  const last = records.at(-1)?.step ?? 1;
  const chartOf = (title: string, series: readonly Series[], each = 1): Chart => ({
    title,
    x: { label: each > 1 ? `step; means of ${each}, and their range` : "step", domain: [0, last] },
    y: { label: "", zero: title === TITLES.lr },
    series,
  });
  const own = names(records).filter((name) => !LEFT_OUT.includes(name));
  const trained = own.map((name) => {
    const { series, each } = thinned("training", pointsOf(records, (record) => record[name]));
    const beside = name === "loss" ? evaluated(name) : [];
    const smooth = name === "lr" ? undefined : smoothed(series.points);
    const more = beside.length > 0 ? [{ name: "evaluation", points: beside, marked: true }] : [];
    return chartOf(TITLES[name] ?? name, [{ ...series, smooth }, ...more], each);
  });
  const metrics = names(evaluations.map(evaluationOf))
    .filter((name) => name !== "count" && !(name === "loss" && own.includes("loss")))
    .map((name) => ({ name, points: evaluated(name) }))
    .filter(({ points }) => points.length > 1)
    .map(({ name, points }) => chartOf(`${name}, evaluated`, [{ name, points, marked: true }]));
  return [...trained, ...metrics].map((chart) => charts(chart));
}
