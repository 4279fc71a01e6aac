/**
 * The steps of a run, from where it stands to its end: evaluations, checkpoints, the log.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import { agreed, alone, together as allHere } from "../../dsl/ranks.ts";
import { Interruption, turn } from "../../dsl/turn.ts";
import { BEST, LAST, saveCheckpoint } from "./checkpoint.ts";
import type { LogRecord } from "./log.ts";
import { recording, reporting, together } from "./observe.ts";
import type { TaskBatch } from "./parts.ts";
import { evaluated, type Progress, stepped } from "./progress.ts";
import { sayingHowLong } from "./waiting.ts";
import { type BatchTensors, free, type TrainState } from "./step.ts";
import type { Stepper } from "./stepper.ts";
import type { TrainingTask, TrainResult, TrainSettings } from "./training.ts";

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted.length === 0 ? 0 : sorted[Math.floor(sorted.length / 2)];
}

/** A state that is freed at the end of its block. */
function scoped(state: TrainState): TrainState & Disposable {
  return { ...state, [Symbol.dispose]: () => free(state.frozen, state.trained, state.optimiser) };
}

/** The steps of a run from where it stands. */
export async function course(
  task: TrainingTask,
  stepper: Stepper,
  reached: Progress,
  seen: (batch: BatchTensors) => void,
  settings: TrainSettings,
): Promise<TrainResult> {
  const { steps, schedule, momentum, out, identity, evalEvery, checkpointEvery, patience = 0, timeLimit = 0 } =
    settings;
  const {
    reporter,
    shared: { ranks } = { ranks: alone },
    parametersOf = ({ frozen, trained }: TrainState) => ({ ...frozen, ...trained }),
  } = settings;
  // A step whose evaluation is still to be made is logged with it, again if a session was killed after it had.
  using folder = recording(out, reached.record === undefined ? reached.step : reached.step - 1);
  const observer = together([reporting(reporter), folder, ...settings.observers ?? []]);
  const batches = task.batches(reached.position);
  const [started, times] = [performance.now(), [...folder.times]];
  const elapsed = () => reached.seconds + (performance.now() - started) / 1000;
  let progress = reached;
  let saved = reached.step;
  const isDue = (every: number) => every > 0 && progress.step > 0 && progress.step % every === 0;
  const isOutOfPatience = () => patience > 0 && (progress.since ?? 0) >= patience;
  // The first process's clock, so that all go on or none does.
  let clock = reached.seconds;
  const agree = async () => {
    await turn();
    const [first] = await agreed(ranks, elapsed());
    clock = first;
  };
  const isOutOfTime = () => timeLimit > 0 && clock >= timeLimit;
  const isOver = () => progress.step >= steps || isOutOfPatience() || isOutOfTime();

  const saveState = async (file: string, state: TrainState) => {
    if (out === undefined) return;
    await saveCheckpoint(`${out}/${file}`, state, progress, identity);
    if (file === LAST) saved = progress.step;
    await observer.onCheckpoint({ step: progress.step, path: `${out}/${file}` });
  };
  const save = async (file: string) => {
    if (out === undefined) return;
    using state = scoped(stepper.read());
    await saveState(file, state);
  };
  const evaluate = async () => {
    observer.onEvaluating();
    using state = scoped(stepper.read());
    const metrics = await sayingHowLong(reporter.line, "evaluating", () => task.evaluate(parametersOf(state)));
    const [next, isBest] = evaluated(progress, metrics, task.deciding, elapsed());
    progress = { ...next, record: undefined };
    if (isBest) await saveState(BEST, state);
    await observer.onEvaluation({ step: progress.step, metrics, best: isBest });
    return metrics;
  };

  /** Logs a step, with its evaluation if one is due. */
  const recorded = async (record: LogRecord) => {
    const isEvaluated = isDue(evalEvery);
    // An interrupted evaluation is made again by whoever goes on.
    progress = { ...progress, record: isEvaluated ? record : undefined };
    await observer.onRecord(isEvaluated ? { ...record, evaluation: await evaluate() } : record);
  };

  try {
    observer.onStart(progress.step, steps);
    // A run that ended before its last evaluation and is now longer, or in an evaluation on the way.
    if (progress.record !== undefined && !isOver()) await recorded(progress.record);
    const ratesAt = (step: number) => ({ rate: schedule(step), ...(momentum && { momentum: momentum(step) }) });
    let coming: Promise<TaskBatch> | undefined;
    for (await agree(); !isOver(); await agree()) {
      const rates = ratesAt(progress.step);
      using pending = isDue(checkpointEvery) && progress.step > saved ? scoped(stepper.read()) : undefined;
      const batch = await (coming ?? nextOf(batches));
      coming = stepper.looksAhead && progress.step + 1 < steps ? nextOf(batches) : undefined;
      // Why there is none, if there is none, is for the step to say that needs it.
      const ahead = await coming?.catch(() => undefined);
      const next = ahead && { batch: ahead, rates: ratesAt(progress.step + 1) };
      const { numbers, seconds } = await stepper.advance(batch, rates, seen, next);
      if (!Number.isFinite(numbers.loss)) {
        await allHere(ranks);
        throw diverged(progress.step + 1, numbers.loss, out && saved);
      }
      if (pending !== undefined) await saveState(LAST, pending);
      times.push(seconds);
      progress = stepped(progress, batch.next, elapsed());
      const record = { step: progress.step, ...numbers as { loss: number }, lr: rates.rate, seconds };
      await observer.onStep(record);
      if (progress.step === steps) {
        progress = { ...progress, record };
        await save(LAST);
      } else {
        await recorded(record);
      }
    }
    const outOfTime = progress.step < steps && !isOutOfPatience();
    if (progress.step < steps) {
      const why = outOfTime
        ? `the time limit of ${timeLimit} s is reached`
        : `${patience} evaluations without a better ${task.deciding.metric}`;
      reporter.line(`stopped after step ${progress.step}: ${why}`);
    }
    const { record } = progress;
    const metrics = progress.metrics ?? await evaluate();
    if (record !== undefined) await observer.onRecord({ ...record, evaluation: metrics });
    progress = { ...progress, seconds: elapsed() };
    await save(LAST);
    const { step: done, seconds, best, bestSeconds } = progress;
    const numbers = { metrics, steps: done, seconds, stepSeconds: median(times), best, bestSeconds, outOfTime };
    return { state: stepper.read(), ...numbers };
  } catch (error) {
    if (!(error instanceof Interruption)) throw error;
    await save(LAST);
    // Who ends first takes the others along.
    await allHere(ranks);
    throw interrupted(`after step ${progress.step}`, out);
  } finally {
    observer.onFinish();
    await batches.return();
  }
}

async function nextOf(batches: AsyncGenerator<TaskBatch, void, void>): Promise<TaskBatch> {
  const { value, done } = await batches.next();
  if (!done) return value;
  throw new OneloraError({ attempted: "training", found: "no more batches", allowed: "batches without end" });
}

/**
 * A run that was ended by its signal.
 *
 * @param when After which step
 * @param out The run's folder, if it has one
 */
export function interrupted(when: string, out: string | undefined): OneloraError {
  const allowed = out === undefined ? "starting again" : `continuing with \`resume: ${out}\``;
  return new OneloraError({ attempted: "training", found: `an interrupt ${when}`, allowed });
}

function diverged(step: number, loss: number, saved: number | "" | undefined): OneloraError {
  const kept = saved ? `; the checkpoint of step ${saved} is kept` : "";
  const allowed = `a finite loss; try a lower \`lr\` or \`clip: 1\`${kept}`;
  return new OneloraError({ attempted: `training step ${step}`, found: `loss ${loss}`, allowed });
}
