/**
 * How wrong and how sure classifiers are (paper, Figure 11): error distribution and calibration, method beside method.
 *
 * @module
 */
import type { ClassificationMetrics } from "../metrics/classification.ts";
import { type Axis, type Chart, charts } from "./chart.ts";
import type { Point } from "./series.ts";

/** What is drawn of a classifier's metrics. */
export type Calibration = Pick<ClassificationMetrics, "count" | "accuracy" | "ece" | "reliability" | "errors">;

/** A classifier under its name. */
export interface NamedCalibration {
  /** What the legend calls it. */
  readonly name: string;
  /** Its metrics. */
  readonly metrics: Calibration;
}

const percent = (share: number) => `${Number((100 * share).toPrecision(3))} %`;

/** The least power of ten that every share above zero reaches. */
function floorOf(shares: readonly number[]): number {
  return 10 ** Math.floor(Math.log10(Math.min(0.1, ...shares.filter((share) => share > 0))));
}

/** Share of examples by error, as stairs; on the logarithmic axis an empty bin lies on the ground. */
function errorChart(methods: readonly NamedCalibration[]): Chart {
  const floor = floorOf(methods.flatMap(({ metrics: { errors, count } }) => errors.map((bin) => bin.count / count)));
  const y: Axis = { label: "share of examples", log: true, domain: [floor, 1], format: percent };
  return {
    title: "Error distribution",
    x: { label: "error, 1 - p(label)", domain: [0, 1] },
    y,
    series: methods.map(({ name, metrics: { errors, count } }) => ({
      name,
      points: errors.flatMap(({ low, high, count: own }): readonly Point[] => {
        const share = Math.max(own / count, floor);
        return [[low, share], [high, share]];
      }),
    })),
  };
}

/** Accuracy by confidence; where both are equal, a classifier is as right as it is sure. */
function reliabilityChart(methods: readonly NamedCalibration[]): Chart {
  return {
    title: "Calibration",
    x: { label: "mean confidence of a bin", domain: [0, 1] },
    y: { label: "accuracy", domain: [0, 1] },
    diagonal: true,
    series: methods.map(({ name, metrics: { reliability } }) => ({
      name,
      points: reliability.filter(({ count }) => count > 0).map((
        { confidence, accuracy },
      ): Point => [confidence, accuracy]),
      marked: true,
    })),
  };
}

/**
 * Error distribution (share of examples by 1 - p(label), logarithmic) and reliability diagram (accuracy by confidence)
 * side by side, as SVG.
 *
 * @param methods Classifiers to compare
 *
 * @example
 * ```ts
 * import { calibrationChart, classificationMetrics, startClassification, updateClassification } from "@onelora/onelora/tasks";
 * import { assert } from "@std/assert";
 * const state = updateClassification(startClassification(2), Float32Array.of(1, 0, 2, 0), Int32Array.of(0, 1));
 * const svg = calibrationChart([{ name: "1lora", metrics: classificationMetrics(state) }]);
 * assert(svg.startsWith("<svg") && svg.includes("Calibration"));
 * ```
 */
export function calibrationChart(methods: readonly NamedCalibration[]): string {
  const named = methods.map(({ name, metrics }) => ({
    metrics,
    name: `${name}: accuracy ${percent(metrics.accuracy)}, ECE ${percent(metrics.ece)}`,
  }));
  return charts(errorChart(named), reliabilityChart(named));
}

/** Whether a value is an array whose entries have numbers under some names. */
function areBins(value: unknown, names: readonly string[]): boolean {
  return Array.isArray(value) && value.length > 0 &&
    value.every((bin) => typeof bin === "object" && bin !== null && names.every((name) => Number.isFinite(bin[name])));
}

/**
 * Whether a value read from JSON is what `evaluate --json` prints of a classifier.
 *
 * @param value Anything
 */
export function isCalibration(value: unknown): value is Calibration {
  if (typeof value !== "object" || value === null) return false;
  const { count, accuracy, ece, reliability, errors } = value as Readonly<Record<string, unknown>>;
  return [count, accuracy, ece].every(Number.isFinite) && (count as number) > 0 &&
    areBins(reliability, ["low", "high", "count", "accuracy", "confidence"]) &&
    areBins(errors, ["low", "high", "count"]);
}
