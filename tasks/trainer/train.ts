/**
 * The training loop that every task shares: steps, evaluation, logging, checkpoints, resuming.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { planStep, type Resident, startResident, type StepPlan, type ValueType } from "../../dsl/compile/mod.ts";
import type { Precision } from "../../dsl/engine/mod.ts";
import { OneloraError } from "../../dsl/error.ts";
import type { Schedule } from "../../dsl/optimise/mod.ts";
import { mapTree, type Params, type Tree } from "../../dsl/tree.ts";
import type { Position } from "../data/stream.ts";
import { loadCheckpoint, type Progress, saveCheckpoint } from "./checkpoint.ts";
import { openEvents, scalarsOf } from "../report/events.ts";
import { type LogRecord, openLog } from "./log.ts";
import { type BatchPart, type TaskBatch, weightedMean } from "./parts.ts";
import { type BatchTensors, free, type TrainState, type TrainStep, type WholeStep } from "./step.ts";

/** What a task gives the trainer. */
export interface TrainingTask {
  /** Batches from a position on, without end. */
  readonly batches: (start: Position) => AsyncGenerator<TaskBatch, void, void>;
  /** Metrics of the model with these parameters, all of them, frozen ones included. */
  readonly evaluate: (params: Params) => Promise<Tree<number>>;
  /** The metric that decides which parameters are best. */
  readonly deciding: { readonly metric: string; readonly better: "higher" | "lower" };
}

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

/** Settings of {@linkcode train}. */
export interface TrainSettings {
  /** Steps in all. */
  readonly steps: number;
  /** Learning rate by step, counted from 0. */
  readonly schedule: Schedule;
  /** Evaluate every so many steps; 0 only at the end. */
  readonly evalEvery: number;
  /** Checkpoint every so many steps; 0 only at the end. */
  readonly checkpointEvery: number;
  /** Momentum by step, which the step then takes as `momentum`. */
  readonly momentum?: Schedule;
  /** Whether batches may come in several parts, whose gradients the step's optimiser accumulates (default false). */
  readonly inParts?: boolean;
  /** What a part needs to know of its whole step, which the step measures of batches without a rate. */
  readonly join?: WholeStep["join"];
  /** Stop after so many evaluations without a better one; 0 never (default). */
  readonly patience?: number;
  /** The parameters that count, of a state: evaluated, and kept as the best (default: all). */
  readonly parametersOf?: (state: TrainState) => Params;
  /** Told what a step will take in memory, before the first one. */
  readonly planned?: (plan: StepPlan) => void;
  /** Precision of frozen weights and matrix products (default float32). */
  readonly precision?: Precision;
  /** The run's folder; nothing is written without one. */
  readonly out?: string;
  /** Go on from the folder's last checkpoint, if it has one. */
  readonly resume?: boolean;
  /** Ends the run after the current step, with a checkpoint. */
  readonly signal?: AbortSignal;
  /** Told what happens. */
  readonly reporter: Reporter;
}

/** What came of a run. */
export interface TrainResult {
  /** Final parameters, frozen ones included, and optimiser state; the caller's to dispose. */
  readonly state: TrainState;
  /** Metrics after the last step. */
  readonly metrics: Tree<number>;
  /** Steps done in all. */
  readonly steps: number;
  /** Seconds in all, over all sessions. */
  readonly seconds: number;
  /** Median seconds of a step, over all sessions. */
  readonly stepSeconds: number;
  /** The best evaluation. */
  readonly best?: Progress["best"];
}

/** File of the last checkpoint inside a run's folder. */
export const LAST = "checkpoint/last.safetensors";
/** File of the best checkpoint inside a run's folder. */
export const BEST = "checkpoint/best.safetensors";

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted.length === 0 ? 0 : sorted[Math.floor(sorted.length / 2)];
}

/** A state that is freed at the end of its block. */
function scoped(state: TrainState): TrainState & Disposable {
  return { ...state, [Symbol.dispose]: () => free(state.frozen, state.trained, state.optimiser) };
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

/** Numbers of a step, and the seconds it took. */
interface Timed {
  readonly numbers: Tree<number>;
  readonly seconds: number;
}

/** Takes one step with a part of a batch and some scalars, which `seen` is shown. */
async function advance(
  { step }: Resident<BatchTensors>,
  part: BatchPart,
  scalars: Tree<number>,
  seen: (batch: BatchTensors) => void = () => {},
): Promise<Timed> {
  const given = Object.fromEntries(Object.entries(scalars).map(([name, value]) => [name, tf.scalar(value)]));
  const tensors: BatchTensors = { ...part.tensors(), ...given };
  try {
    seen(tensors);
    const begun = performance.now();
    return { numbers: await step(tensors), seconds: (performance.now() - begun) / 1000 };
  } finally {
    free(tensors);
  }
}

/** Takes a step with a batch, part by part; ends early at a loss that is not finite. */
async function advanceAll(
  resident: Resident<BatchTensors>,
  { parts }: TaskBatch,
  rates: Tree<number>,
  { inParts, join }: TrainSettings,
  seen: (batch: BatchTensors) => void,
): Promise<Timed> {
  const measured: Timed[] = [];
  if (join !== undefined && parts.length > 1) {
    for (const part of parts) measured.push(await advance(resident, part, {}));
  }
  const whole = join === undefined || measured.length === 0 ? {} : join(measured.map(({ numbers }) => numbers));
  // Equal parts weigh 1, which leaves their gradients as they are.
  const mean = parts.reduce((sum, { counted }) => sum + counted, 0) / parts.length;
  const taken: (Timed & { readonly counted: number })[] = [];
  for (const [i, part] of parts.entries()) {
    const place: Tree<number> = inParts
      ? { partWeight: part.counted / mean, lastPart: i === parts.length - 1 ? 1 : 0 }
      : {};
    const done = await advance(resident, part, { ...rates, ...whole, ...place }, seen);
    taken.push({ ...done, counted: part.counted });
    if (!Number.isFinite(done.numbers.loss)) break;
  }
  const seconds = [...measured, ...taken].reduce((sum, each) => sum + each.seconds, 0);
  return { numbers: weightedMean(taken), seconds };
}

/** The run's state at its start, or that of the folder's last checkpoint. */
async function begin(
  initial: TrainState,
  { out, resume, reporter, steps }: TrainSettings,
): Promise<readonly [TrainState, Progress]> {
  if (out === undefined || !resume || !exists(`${out}/${LAST}`)) {
    return [initial, { step: 0, position: { epoch: 0, offset: 0 }, seconds: 0 }];
  }
  const { progress, ...moving } = await loadCheckpoint(`${out}/${LAST}`, initial);
  free(initial.trained, initial.optimiser);
  reporter.line(`resumed at step ${progress.step} of ${steps}`);
  return [{ ...initial, ...moving }, progress];
}

/**
 * Trains: `steps` times a batch through `step`, with evaluations, a line per step in `metrics.jsonl`, and checkpoints
 * from which a killed run continues bit by bit. A checkpoint on the way is written one step late, when that step has
 * shown the loss of its parameters to be finite, so a run that diverges leaves one from before.
 *
 * @param task Batches and evaluation
 * @param step The pure step
 * @param initial Parameters and optimiser state at step 0, the trainer's to dispose
 * @param settings See {@linkcode TrainSettings}
 * @throws OneloraError if the loss is not finite, or if interrupted
 */
export async function train(
  task: TrainingTask,
  step: TrainStep,
  initial: TrainState,
  settings: TrainSettings,
): Promise<TrainResult> {
  const { steps, schedule, out, reporter, evalEvery, checkpointEvery, patience = 0 } = settings;
  const parametersOf = settings.parametersOf ?? (({ frozen, trained }) => ({ ...frozen, ...trained }));
  const stop = (attempted: string, found: string, allowed: string): never => {
    throw new OneloraError({ attempted, found, allowed });
  };
  const [state, reached] = await begin(initial, settings).catch((error) => {
    free(initial.frozen, initial.trained, initial.optimiser);
    throw error;
  });
  let progress = reached;
  const typed = mapTree(({ shape, dtype }: tf.Tensor): ValueType => ({ shape, dtype }));
  const types = { frozen: typed(state.frozen), trained: typed(state.trained), optimiser: typed(state.optimiser) };
  const { planned, precision } = settings;
  let foretell = planned &&
    ((batch: BatchTensors) => planned(planStep(step, { ...types, batch: typed(batch) }, { precision })));
  const resident = startResident(step, state, { precision: settings.precision, onFallback: reporter.line });
  try {
    const isDue = (every: number) => every > 0 && progress.step > 0 && progress.step % every === 0;
    let saved = progress.step;
    const saveState = async (file: string, state: TrainState) => {
      if (out !== undefined) await saveCheckpoint(`${out}/${file}`, state, progress);
      if (file === LAST) saved = progress.step;
    };
    const save = async (file: string) => {
      using state = scoped(resident.read());
      await saveState(file, state);
    };
    const evaluate = async () => {
      using state = scoped(resident.read());
      const metrics = await task.evaluate(parametersOf(state));
      const { metric, better } = task.deciding;
      const [value, record] = [metrics[metric], progress.best?.value];
      const isBest = record === undefined || (better === "higher" ? value > record : value < record);
      const since = isBest ? 0 : (progress.since ?? 0) + 1;
      progress = { ...progress, metrics, since, best: isBest ? { value, step: progress.step } : progress.best };
      if (isBest) await save(BEST);
      return metrics;
    };

    const earlier = progress.seconds;
    const started = performance.now();
    const elapsed = () => earlier + (performance.now() - started) / 1000;
    using log = out === undefined ? undefined : openLog(`${out}/metrics.jsonl`, progress.step);
    using events = out === undefined ? undefined : openEvents(out, progress.step);
    const times = (log?.kept ?? []).flatMap(({ seconds }) => typeof seconds === "number" ? [seconds] : []);
    const batches = task.batches(progress.position);
    try {
      reporter.start(progress.step, steps);
      const isPatient = () => patience === 0 || (progress.since ?? 0) < patience;
      while (progress.step < steps && isPatient()) {
        if (settings.signal?.aborted) {
          await save(LAST);
          const allowed = out === undefined ? "starting again" : `continuing with --resume ${out}`;
          stop("training", `an interrupt after step ${progress.step}`, allowed);
        }
        const next = async () => {
          const { value: batch, done } = await batches.next();
          return done ? stop("training", "no more batches", "batches without end") : batch;
        };
        const lr = schedule(progress.step);
        using pending = isDue(checkpointEvery) && progress.step > saved ? scoped(resident.read()) : undefined;
        const rates = { rate: lr, ...(settings.momentum && { momentum: settings.momentum(progress.step) }) };
        const batch = await next();
        const { numbers, seconds } = await advanceAll(resident, batch, rates, settings, (tensors) => {
          foretell?.(tensors);
          foretell = undefined;
        });
        const { loss } = numbers;
        if (!Number.isFinite(loss)) {
          const last = out === undefined || saved === 0 ? "" : `; the checkpoint of step ${saved} is kept`;
          stop(
            `training step ${progress.step + 1}`,
            `loss ${loss}`,
            `a finite loss; try a lower --lr or --clip 1${last}`,
          );
        }
        if (pending !== undefined) await saveState(LAST, pending);
        times.push(seconds);
        const { best, since } = progress;
        progress = { step: progress.step + 1, position: batch.next, seconds: elapsed(), best, since };
        reporter.progress(progress.step, { loss, lr });
        const record: LogRecord = { step: progress.step, ...numbers, lr, seconds };
        const evaluates = isDue(evalEvery) || progress.step === steps;
        const line: LogRecord = evaluates ? { ...record, evaluation: await evaluate() } : record;
        log?.write(line);
        events?.scalars(progress.step, scalarsOf(line));
      }
      if (progress.step < steps) {
        reporter.line(
          `stopped after step ${progress.step}: ${patience} evaluations without a better ${task.deciding.metric}`,
        );
      }
      const metrics = progress.metrics ?? await evaluate();
      progress = { ...progress, seconds: elapsed() };
      await save(LAST);
      const { step: done, seconds, best } = progress;
      return { state: resident.read(), metrics, steps: done, seconds, stepSeconds: median(times), best };
    } finally {
      reporter.finish();
      await batches.return();
    }
  } finally {
    resident.dispose();
  }
}
