/**
 * The training loop that every task shares: steps, evaluation, logging, checkpoints, resuming.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { OneloraError } from "../../dsl/error.ts";
import type { Schedule } from "../../dsl/optimise/mod.ts";
import type { Params, Tree } from "../../dsl/tree.ts";
import type { Position } from "../data/loader.ts";
import { loadCheckpoint, type Progress, saveCheckpoint } from "./checkpoint.ts";
import { openLog } from "./log.ts";
import type { BatchTensors, TrainState, TrainStep } from "./step.ts";

/** A batch ready for a step. */
export interface TaskBatch {
  /** Makes the batch's tensors; the trainer disposes them. */
  readonly tensors: () => Params;
  /** Where the next batch starts. */
  readonly next: Position;
}

/** What a task gives the trainer. */
export interface TrainingTask {
  /** Batches from a position on, without end. */
  readonly batches: (start: Position) => AsyncGenerator<TaskBatch, void, void>;
  /** Metrics of the model with these parameters. */
  readonly evaluate: (params: Params) => Promise<Tree<number>>;
  /** The metric that decides which parameters are best. */
  readonly deciding: { readonly metric: string; readonly better: "higher" | "lower" };
}

/** Where the trainer tells what happens. */
export interface Reporter {
  /** A line for people. */
  readonly line: (text: string) => void;
  /** Progress after a step. */
  readonly progress: (done: number, total: number, numbers: { readonly loss: number; readonly lr: number }) => void;
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
  /** Final parameters and optimiser state; the caller's to dispose. */
  readonly state: TrainState;
  /** Metrics after the last step. */
  readonly metrics: Tree<number>;
  /** Steps done in all. */
  readonly steps: number;
  /** Seconds in all, over all sessions. */
  readonly seconds: number;
  /** Median seconds of a step in this session. */
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

/** Disposes the tensors of one tree that the other does not hold: the one place where training frees memory. */
function release(old: Params, kept: Params): void {
  const alive = new Set(Object.values(kept));
  for (const tensor of Object.values(old)) if (!alive.has(tensor)) tensor.dispose();
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

/** Runs one step and reads its numbers; tensors of the old state that the new one replaces are freed. */
async function advance(
  step: TrainStep,
  state: TrainState,
  batch: TaskBatch,
  rate: number,
): Promise<{ readonly state: TrainState; readonly numbers: Tree<number> }> {
  const tensors: BatchTensors = { ...batch.tensors(), rate: tf.scalar(rate) };
  const [next, metrics] = tf.tidy(() => step(state, tensors) as unknown as tf.TensorContainer) as unknown as ReturnType<
    TrainStep
  >;
  const numbers: Record<string, number> = {};
  for (const [name, metric] of Object.entries(metrics)) {
    numbers[name] = (await metric.data())[0];
    metric.dispose();
  }
  release(tensors, {});
  return { state: next, numbers };
}

/**
 * Trains: `steps` times a batch through `step`, with evaluations, a line per step in `metrics.jsonl`, and checkpoints
 * from which a killed run continues bit by bit.
 *
 * @param task Batches and evaluation
 * @param step The pure step
 * @param initial Parameters and optimiser state at step 0; the trained part is the trainer's to dispose
 * @param settings See {@linkcode TrainSettings}
 * @throws OneloraError if the loss is not finite (the last good state is kept as a checkpoint), or if interrupted
 */
export async function train(
  task: TrainingTask,
  step: TrainStep,
  initial: TrainState,
  settings: TrainSettings,
): Promise<TrainResult> {
  const { steps, schedule, out, reporter } = settings;
  let state = initial;
  let progress: Progress = { step: 0, position: { epoch: 0, offset: 0 }, seconds: 0 };
  if (out !== undefined && settings.resume && exists(`${out}/${LAST}`)) {
    const { progress: saved, ...moving } = await loadCheckpoint(`${out}/${LAST}`, state);
    release(state.trained, {});
    release(state.optimiser, {});
    [state, progress] = [{ ...state, ...moving }, saved];
    reporter.line(`resumed at step ${saved.step} of ${steps}`);
  }
  const log = out === undefined ? undefined : openLog(`${out}/metrics.jsonl`, progress.step);
  const save = async (file: string) => {
    if (out !== undefined) await saveCheckpoint(`${out}/${file}`, state, progress);
  };
  const evaluate = async () => {
    const metrics = await task.evaluate({ ...state.frozen, ...state.trained });
    log?.write({ step: progress.step, ...metrics });
    const value = metrics[task.deciding.metric];
    const better = progress.best === undefined ||
      (task.deciding.better === "higher" ? value > progress.best.value : value < progress.best.value);
    if (better) {
      progress = { ...progress, best: { value, step: progress.step } };
      await save(BEST);
    }
    return metrics;
  };

  const earlier = progress.seconds;
  const started = performance.now();
  const times: number[] = [];
  const batches = task.batches(progress.position);
  let metrics: Tree<number> | undefined;
  try {
    while (progress.step < steps) {
      if (settings.signal?.aborted) {
        await save(LAST);
        throw new OneloraError({
          attempted: "training",
          found: `an interrupt after step ${progress.step}`,
          allowed: out === undefined ? "starting again" : `continuing with --resume ${out}`,
        });
      }
      const { value: batch, done } = await batches.next();
      if (done) throw new OneloraError({ attempted: "training", found: "no more batches", allowed: "batches without end" });
      const lr = schedule(progress.step);
      const begun = performance.now();
      const after = await advance(step, state, batch, lr);
      times.push((performance.now() - begun) / 1000);
      if (!Number.isFinite(after.numbers.loss)) {
        // The state before this step is still whole: keep it, not the one the step made.
        release(after.state.trained, state.trained);
        release(after.state.optimiser, state.optimiser);
        await save(LAST);
        throw new OneloraError({
          attempted: `training step ${progress.step + 1}`,
          found: `loss ${after.numbers.loss}`,
          allowed: "a finite loss; try a lower --lr or --clip 1 (the state before this step is the last checkpoint)",
        });
      }
      release(state.trained, after.state.trained);
      release(state.optimiser, after.state.optimiser);
      state = after.state;
      const seconds = earlier + (performance.now() - started) / 1000;
      progress = { ...progress, step: progress.step + 1, position: batch.next, seconds };
      log?.write({ step: progress.step, ...after.numbers, lr, seconds: times[times.length - 1] } as never);
      reporter.progress(progress.step, steps, { loss: after.numbers.loss, lr });
      metrics = settings.evalEvery > 0 && progress.step % settings.evalEvery === 0 ? await evaluate() : undefined;
      if (settings.checkpointEvery > 0 && progress.step % settings.checkpointEvery === 0) await save(LAST);
    }
    reporter.finish();
    metrics ??= await evaluate();
    await save(LAST);
    return {
      state,
      metrics,
      steps: progress.step,
      seconds: earlier + (performance.now() - started) / 1000,
      stepSeconds: median(times),
      best: progress.best,
    };
  } finally {
    reporter.finish();
    log?.close();
    await batches.return();
  }
}
