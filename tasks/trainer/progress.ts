/**
 * Where a run stands, as values: after a step, after an evaluation, and when patience ends.
 *
 * @module
 */
import type { Tree } from "../../dsl/tree.ts";
import type { Position } from "../data/stream.ts";
import type { LogRecord } from "./log.ts";

/** Where a run stands, tensors aside. Random numbers are keyed by position, so there is no generator state to keep. */
export interface Progress {
  /** Steps done. */
  readonly step: number;
  /** Where the next batch starts. */
  readonly position: Position;
  /** Seconds spent so far, over all sessions of the run. */
  readonly seconds: number;
  /** Metrics of these very parameters, if they have been evaluated. */
  readonly metrics?: Tree<number>;
  /** Best value so far of the task's deciding metric, and the step it was reached. */
  readonly best?: { readonly value: number; readonly step: number };
  /** Seconds spent until then, over all sessions. */
  readonly bestSeconds?: number;
  /** Evaluations since then. */
  readonly since?: number;
  /** Numbers of the last step, while they wait for its evaluation before they are logged. */
  readonly record?: LogRecord;
}

/** The metric that decides, and which way. */
export interface Deciding {
  /** Its name. */
  readonly metric: string;
  /** What is better of it. */
  readonly better: "higher" | "lower";
}

/** A run that has not begun. */
export const atStart: Progress = { step: 0, position: { epoch: 0, offset: 0 }, seconds: 0 };

/**
 * Whether a value is the best so far; one that is not finite never is.
 *
 * @param value Of the deciding metric
 * @param best The best before, if there is one
 * @param better Which way
 */
export function isBetter(value: number, best: number | undefined, better: Deciding["better"]): boolean {
  if (!Number.isFinite(value)) return false;
  return best === undefined || (better === "higher" ? value > best : value < best);
}

/**
 * A run after one more step.
 *
 * @param progress Before it
 * @param position Where the next batch starts
 * @param seconds Spent so far
 */
export function stepped({ step, best, bestSeconds, since }: Progress, position: Position, seconds: number): Progress {
  return { step: step + 1, position, seconds, best, bestSeconds, since };
}

/**
 * A run after an evaluation.
 *
 * @param progress Before it
 * @param metrics What it found
 * @param deciding What decides
 * @param seconds Spent so far, the evaluation included (default: until before it)
 * @returns The run, and whether its parameters are the best so far
 */
export function evaluated(
  progress: Progress,
  metrics: Tree<number>,
  { metric, better }: Deciding,
  seconds: number = progress.seconds,
): readonly [Progress, isBest: boolean] {
  const value = metrics[metric];
  const isBest = isBetter(value, progress.best?.value, better);
  const since = isBest ? 0 : (progress.since ?? 0) + 1;
  const best = isBest ? { value, step: progress.step } : progress.best;
  const bestSeconds = isBest ? seconds : progress.bestSeconds;
  return [{ ...progress, metrics, since, best, bestSeconds }, isBest];
}
