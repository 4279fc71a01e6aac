/**
 * Who is told what happens in a run: the terminal, the log, TensorBoard's events, the caller.
 *
 * @module
 */
import type { Tree } from "../../dsl/tree.ts";
import { openEvents, scalarsOf } from "../report/events.ts";
import { type LogRecord, openLog } from "./log.ts";

/** Where the trainer tells what happens. */
export interface Reporter {
  /** A line for people. */
  readonly line: (text: string) => void;
  /** The first step is about to begin; a resumed run has done some before. */
  readonly start: (done: number, total: number) => void;
  /** Progress after a step. */
  readonly progress: (done: number, numbers: { readonly loss: number; readonly lr: number }) => void;
  /** No more progress. */
  readonly finish: () => void;
}

/** A reporter that says nothing. */
export const silent: Reporter = { line: () => {}, start: () => {}, progress: () => {}, finish: () => {} };

/** An evaluation on the way or at the end. */
export interface EvaluationEvent {
  /** Steps done. */
  readonly step: number;
  /** What it found. */
  readonly metrics: Tree<number>;
  /** Whether these parameters are the best so far. */
  readonly best: boolean;
}

/** A checkpoint that lies on the disk now. */
export interface CheckpointEvent {
  /** Steps done. */
  readonly step: number;
  /** The file. */
  readonly path: string;
}

/** Told what happens; the run waits for promises. */
export interface Observer {
  /** The first step is about to begin. */
  readonly onStart?: (done: number, total: number) => void;
  /** A step is done; its evaluation, if one is due, is yet to come. */
  readonly onStep?: (record: LogRecord & { readonly loss: number; readonly lr: number }) => void | Promise<void>;
  /** The model is about to be evaluated. */
  readonly onEvaluating?: () => void;
  /** The model has been evaluated. */
  readonly onEvaluation?: (evaluation: EvaluationEvent) => void | Promise<void>;
  /** A step is done, with its evaluation if one was due. */
  readonly onRecord?: (record: LogRecord) => void | Promise<void>;
  /** A checkpoint has been written. */
  readonly onCheckpoint?: (saved: CheckpointEvent) => void | Promise<void>;
  /** No more steps. */
  readonly onFinish?: () => void;
}

/** An observer that holds something open. */
export type OpenObserver = Observer & Disposable;

/**
 * A reporter as an observer.
 *
 * @param reporter The reporter
 */
export function reporting({ start, progress, finish }: Reporter): Observer {
  return { onStart: start, onStep: ({ step, loss, lr }) => progress(step, { loss, lr }), onFinish: finish };
}

/** Observers of a run's folder, and the seconds of the steps of earlier sessions. */
export interface FolderObserver extends OpenObserver {
  /** Seconds of each step that the log holds. */
  readonly times: readonly number[];
}

/**
 * Writes a line a step into a run's `metrics.jsonl`, and its numbers as TensorBoard's events.
 *
 * @param out The run's folder; nothing is written without one
 * @param done Steps of the checkpoint that the run goes on from
 */
export function recording(out: string | undefined, done: number): FolderObserver {
  if (out === undefined) return { times: [], [Symbol.dispose]: () => {} };
  using stack = new DisposableStack();
  const log = stack.use(openLog(`${out}/metrics.jsonl`, done));
  const events = stack.use(openEvents(out, done));
  const opened = stack.move();
  return {
    times: log.kept.flatMap(({ seconds }) => typeof seconds === "number" ? [seconds] : []),
    onRecord: (record) => {
      log.write(record);
      events.scalars(record.step, scalarsOf(record));
    },
    [Symbol.dispose]: () => opened.dispose(),
  };
}

/**
 * Several observers as one, told in turn.
 *
 * @param observers The observers
 */
export function together(observers: readonly Observer[]): Required<Observer> {
  return {
    onStart: (done, total) => observers.forEach(({ onStart }) => onStart?.(done, total)),
    onStep: async (record) => {
      for (const { onStep } of observers) await onStep?.(record);
    },
    onEvaluating: () => observers.forEach(({ onEvaluating }) => onEvaluating?.()),
    onEvaluation: async (evaluation) => {
      for (const { onEvaluation } of observers) await onEvaluation?.(evaluation);
    },
    onRecord: async (record) => {
      for (const { onRecord } of observers) await onRecord?.(record);
    },
    onCheckpoint: async (saved) => {
      for (const { onCheckpoint } of observers) await onCheckpoint?.(saved);
    },
    onFinish: () => observers.forEach(({ onFinish }) => onFinish?.()),
  };
}
