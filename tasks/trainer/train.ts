/**
 * The training loop that every task shares.
 *
 * @module
 */
import type * as tf from "@tensorflow/tfjs-core";
import { planStep, type ResidentOptions, startResident, type StepPlan, type ValueType } from "../../dsl/compile/mod.ts";
import type { Precision } from "../../dsl/engine/mod.ts";
import { type StoredForm, storedForm } from "../../dsl/engine/stored.ts";
import { OneloraError } from "../../dsl/error.ts";
import type { Schedule } from "../../dsl/optimise/mod.ts";
import { agreed, alone, heeding, together as allHere } from "../../dsl/ranks.ts";
import { mapTree, type Params, type Path, type Tree } from "../../dsl/tree.ts";
import { endedBy, Interruption, turn } from "../../dsl/turn.ts";
import type { Position } from "../data/stream.ts";
import { aloneStepper } from "./advance.ts";
import { hasCheckpoint, type Identity, loadCheckpoint, saveCheckpoint } from "./checkpoint.ts";
import type { LogRecord } from "./log.ts";
import { type Observer, recording, type Reporter, reporting, together } from "./observe.ts";
import type { TaskBatch } from "./parts.ts";
import { atStart, type Deciding, evaluated, type Progress, stepped } from "./progress.ts";
import { type SharedOptions, sharedState, sharedStepper } from "./shared.ts";
import { type BatchTensors, free, type TrainState, type TrainStep, type WholeStep } from "./step.ts";
import type { Stepper } from "./stepper.ts";

/** What a task gives the trainer. */
export interface TrainingTask {
  /** Batches from a position on, without end. */
  readonly batches: (start: Position) => AsyncGenerator<TaskBatch, void, void>;
  /** Metrics of the model with these parameters, all of them, frozen ones included. */
  readonly evaluate: (params: Params) => Promise<Tree<number>>;
  /** The metric that decides which parameters are best. */
  readonly deciding: Deciding;
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
  /**
   * Processes that take the steps together, and the halves of the step between which they do; one alone takes `step`, unless it is to
   * come to what several do.
   *
   * @internal
   */
  readonly shared?: Pick<SharedOptions, "ranks" | "halves" | "isInvariant">;
  /** Stop after so many evaluations without a better one; 0 never (default). */
  readonly patience?: number;
  /** Stop after so many seconds, over all sessions; 0 never (default). */
  readonly timeLimit?: number;
  /** The parameters that count, of a state: evaluated, and kept as the best (default: all). */
  readonly parametersOf?: (state: TrainState) => Params;
  /** Told what a step will take in memory, before the first one. */
  readonly planned?: (plan: StepPlan) => void;
  /** Precision of frozen weights and matrix products (default float32). */
  readonly precision?: Precision;
  /** How the engine is to run the step (default: as it does best). */
  readonly running?: Pick<ResidentOptions, "feed" | "graph">;
  /** The run's folder; nothing is written without one. */
  readonly out?: string;
  /** Go on from the folder's last checkpoint, if it has one. */
  readonly resume?: boolean;
  /** What decides the result: checkpoints of runs with other such facts are refused. */
  readonly identity?: Identity;
  /** Ends the run after the current step or batch of an evaluation, with a checkpoint. */
  readonly signal?: AbortSignal;
  /** Told what happens, for people. */
  readonly reporter: Reporter;
  /** Told what happens, too. */
  readonly observers?: readonly Observer[];
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
  /** Seconds until then, evaluations included, over all sessions. */
  readonly bestSeconds?: number;
  /** Whether the time that it had ended the run. */
  readonly outOfTime: boolean;
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

/** The run's state at its start, or that of the folder's last checkpoint. */
async function begin(
  initial: TrainState,
  { out, resume, reporter, steps, identity }: TrainSettings,
): Promise<readonly [TrainState, Progress]> {
  if (out === undefined || !resume) return [initial, atStart];
  if (!await hasCheckpoint(`${out}/${LAST}`)) {
    reporter.line(`note: no checkpoint in ${out}: it starts again`);
    return [initial, atStart];
  }
  const { progress, ...moving } = await loadCheckpoint(`${out}/${LAST}`, initial, identity);
  free(initial.trained, initial.optimiser);
  reporter.line(`resumed at step ${progress.step} of ${steps}`);
  return [{ ...initial, ...moving }, progress];
}

/** The same for all processes: the first has the folder. */
async function beginning(initial: TrainState, settings: TrainSettings): Promise<readonly [TrainState, Progress]> {
  const begun = await begin(initial, settings);
  const ranks = settings.shared?.ranks ?? alone;
  return ranks.size === 1 ? begun : await sharedState(ranks, ...begun);
}

/** What parameters are kept as, those that are. */
function formsIn(params: Params): ReadonlyMap<Path, StoredForm> {
  return new Map(
    Object.entries(params).flatMap(([path, tensor]) => {
      const form = storedForm(tensor);
      return form === undefined ? [] : [[path, form] as const];
    }),
  );
}

/** Shows the first batch to whom the plan of a step is for. */
function planner(step: TrainStep, state: TrainState, { planned, precision }: TrainSettings) {
  const typed = mapTree(({ shape, dtype }: tf.Tensor): ValueType => ({ shape, dtype }));
  const types = { frozen: typed(state.frozen), trained: typed(state.trained), optimiser: typed(state.optimiser) };
  let due = planned;
  return (batch: BatchTensors) => {
    // What one of several processes computes has no rate in it, which its update takes.
    const whole = { rate: { shape: [], dtype: "float32" } as const, ...typed(batch) };
    due?.(planStep(step, { ...types, batch: whole }, { precision, forms: formsIn(state.frozen) }));
    due = undefined;
  };
}

/**
 * Trains: `steps` times a batch through `step`, with evaluations, a line per step in `metrics.jsonl`, and checkpoints
 * from which a killed run continues bit by bit. A checkpoint on the way is written one step late, when that step has
 * shown the loss of its parameters to be finite, so a run that diverges leaves one from before. The last one is written
 * before the last evaluation, and again with what that found.
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
  const [state, progress] = await beginning(initial, settings).catch((error) => {
    free(initial.frozen, initial.trained, initial.optimiser);
    throw error;
  });
  const { precision, reporter: { line }, inParts, join } = settings;
  const { ranks, isInvariant } = settings.shared ?? { ranks: alone };
  const shared = ranks.size > 1 || isInvariant ? settings.shared : undefined;
  const isOfSeveral = ranks.size > 1;
  const seen = planner(step, state, settings);
  // Only the first kind of batch is compiled whole, and which that is depends on who computes what.
  const running = isInvariant ? { ...settings.running, graph: "clusters" as const } : settings.running;
  const options = { ...running, precision, steps: settings.steps, onFallback: line, onCompile: line };
  using stepper = shared === undefined
    ? aloneStepper({ resident: startResident(step, state, options), inParts, join })
    : sharedStepper(state, { ...shared, join, options });
  // Several processes are interrupted where all of them know.
  using _heeding = heeding(isOfSeveral ? settings.signal : undefined);
  return await endedBy(
    isOfSeveral ? undefined : settings.signal,
    () => course(task, stepper, progress, seen, settings),
  );
}

/** The steps of a run from where it stands. */
async function course(
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
    const metrics = await task.evaluate(parametersOf(state));
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
