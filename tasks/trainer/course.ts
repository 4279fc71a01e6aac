/**
 * The steps of a run, from where it stands to its end: evaluations, checkpoints, the log.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import { agreed, alone, type Ranks, together as allHere } from "../../dsl/ranks.ts";
import type { Tree } from "../../dsl/tree.ts";
import { Interruption, turn } from "../../dsl/turn.ts";
import { BEST, LAST, saveCheckpoint } from "./checkpoint.ts";
import type { LogRecord } from "./log.ts";
import { type Observer, recording, reporting, together } from "./observe.ts";
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

/** A run on its way. */
class Course {
  /** Where it stands. */
  #progress: Progress;
  /** The step of the last checkpoint. */
  #saved: number;
  /** Seconds that the first process has spent when the last step ended, so that all go on or none does. */
  #clock: number;
  readonly #started = performance.now();
  /** Seconds of each step, over all sessions. */
  readonly #times: number[];

  constructor(
    readonly task: TrainingTask,
    readonly stepper: Stepper,
    readonly reached: Progress,
    readonly seen: (batch: BatchTensors) => void,
    readonly settings: TrainSettings,
    readonly observer: Required<Observer>,
    times: readonly number[],
  ) {
    this.#times = [...times];
    this.#progress = reached;
    this.#saved = reached.step;
    this.#clock = reached.seconds;
  }

  get #ranks(): Ranks {
    return this.settings.shared?.ranks ?? alone;
  }

  get #elapsed(): number {
    return this.reached.seconds + (performance.now() - this.#started) / 1000;
  }

  #isDue(every: number): boolean {
    const { step } = this.#progress;
    return every > 0 && step > 0 && step % every === 0;
  }

  get #isOutOfPatience(): boolean {
    const { patience = 0 } = this.settings;
    return patience > 0 && (this.#progress.since ?? 0) >= patience;
  }

  get #isOver(): boolean {
    const { steps, timeLimit = 0 } = this.settings;
    return this.#progress.step >= steps || this.#isOutOfPatience || timeLimit > 0 && this.#clock >= timeLimit;
  }

  /** Lets others have their turn, and looks at the clock. */
  async #agree(): Promise<void> {
    await turn();
    [this.#clock] = await agreed(this.#ranks, this.#elapsed);
  }

  async #saveState(file: string, state: TrainState): Promise<void> {
    const { out, identity } = this.settings;
    if (out === undefined) return;
    await saveCheckpoint(`${out}/${file}`, state, this.#progress, identity);
    if (file === LAST) this.#saved = this.#progress.step;
    await this.observer.onCheckpoint({ step: this.#progress.step, path: `${out}/${file}` });
  }

  async #save(): Promise<void> {
    if (this.settings.out === undefined) return;
    using state = scoped(this.stepper.read());
    await this.#saveState(LAST, state);
  }

  async #evaluate(): Promise<Tree<number>> {
    const { parametersOf = ({ frozen, trained }: TrainState) => ({ ...frozen, ...trained }), reporter } = this.settings;
    const { observer } = this;
    observer.onEvaluating();
    using state = scoped(this.stepper.read());
    const metrics = await sayingHowLong(reporter.line, "evaluating", () => this.task.evaluate(parametersOf(state)));
    const [next, isBest] = evaluated(this.#progress, metrics, this.task.deciding, this.#elapsed);
    this.#progress = { ...next, record: undefined };
    if (isBest) await this.#saveState(BEST, state);
    await observer.onEvaluation({ step: this.#progress.step, metrics, best: isBest });
    return metrics;
  }

  /** Logs a step, with its evaluation if one is due. */
  async #record(record: LogRecord): Promise<void> {
    const isEvaluated = this.#isDue(this.settings.evalEvery);
    // An interrupted evaluation is made again by whoever goes on.
    this.#progress = { ...this.#progress, record: isEvaluated ? record : undefined };
    await this.observer.onRecord(isEvaluated ? { ...record, evaluation: await this.#evaluate() } : record);
  }

  #ratesAt(step: number): Tree<number> {
    const { schedule, momentum } = this.settings;
    return { rate: schedule(step), ...(momentum && { momentum: momentum(step) }) };
  }

  /** One step after the other, until the run is over. */
  async #steps(batches: AsyncGenerator<TaskBatch, void, void>): Promise<void> {
    const { stepper, seen, settings: { steps, checkpointEvery, out } } = this;
    let coming: Promise<TaskBatch> | undefined;
    for (await this.#agree(); !this.#isOver; await this.#agree()) {
      const { step } = this.#progress;
      const rates = this.#ratesAt(step);
      using pending = this.#isDue(checkpointEvery) && step > this.#saved ? scoped(stepper.read()) : undefined;
      const batch = await (coming ?? nextOf(batches));
      coming = stepper.looksAhead && step + 1 < steps ? nextOf(batches) : undefined;
      // Why there is none, if there is none, is for the step to say that needs it.
      const ahead = await coming?.catch(() => undefined);
      const next = ahead && { batch: ahead, rates: this.#ratesAt(step + 1) };
      const { numbers, seconds } = await stepper.advance(batch, rates, seen, next);
      if (!Number.isFinite(numbers.loss)) {
        await allHere(this.#ranks);
        throw diverged(step + 1, numbers.loss, out && this.#saved);
      }
      if (pending !== undefined) await this.#saveState(LAST, pending);
      this.#times.push(seconds);
      this.#progress = stepped(this.#progress, batch.next, this.#elapsed);
      await this.#stepTaken({ step: step + 1, ...numbers as { loss: number }, lr: rates.rate, seconds });
    }
  }

  async #stepTaken(record: LogRecord & { readonly loss: number; readonly lr: number }): Promise<void> {
    await this.observer.onStep(record);
    if (record.step < this.settings.steps) return await this.#record(record);
    this.#progress = { ...this.#progress, record };
    await this.#save();
  }

  /** What came of it: the metrics of the last evaluation, or of one more. */
  async #end(): Promise<TrainResult> {
    const { settings: { steps, patience, timeLimit, reporter }, observer } = this;
    const outOfTime = this.#progress.step < steps && !this.#isOutOfPatience;
    if (this.#progress.step < steps) {
      const why = outOfTime
        ? `the time limit of ${timeLimit} s is reached`
        : `${patience} evaluations without a better ${this.task.deciding.metric}`;
      reporter.line(`stopped after step ${this.#progress.step}: ${why}`);
    }
    const { record } = this.#progress;
    const metrics = this.#progress.metrics ?? await this.#evaluate();
    if (record !== undefined) await observer.onRecord({ ...record, evaluation: metrics });
    this.#progress = { ...this.#progress, seconds: this.#elapsed };
    await this.#save();
    const { step, seconds, best, bestSeconds } = this.#progress;
    const numbers = { metrics, steps: step, seconds, stepSeconds: median(this.#times), best, bestSeconds, outOfTime };
    return { state: this.stepper.read(), ...numbers };
  }

  /**
   * Takes it to its end.
   *
   * @throws OneloraError if the loss is no number, or a signal ended it
   */
  async run(): Promise<TrainResult> {
    const { settings: { steps, out }, observer } = this;
    const batches = this.task.batches(this.reached.position);
    try {
      observer.onStart(this.#progress.step, steps);
      // A run that ended before its last evaluation and is now longer, or in an evaluation on the way.
      if (this.#progress.record !== undefined && !this.#isOver) await this.#record(this.#progress.record);
      await this.#steps(batches);
      return await this.#end();
    } catch (error) {
      if (!(error instanceof Interruption)) throw error;
      await this.#save();
      // Who ends first takes the others along.
      await allHere(this.#ranks);
      throw interrupted(`after step ${this.#progress.step}`, out);
    } finally {
      observer.onFinish();
      await batches.return();
    }
  }
}

/** The steps of a run from where it stands. */
export async function course(
  task: TrainingTask,
  stepper: Stepper,
  reached: Progress,
  seen: (batch: BatchTensors) => void,
  settings: TrainSettings,
): Promise<TrainResult> {
  const { out, reporter, observers = [] } = settings;
  // A step whose evaluation is still to be made is logged with it, again if a session was killed after it had.
  using folder = recording(out, reached.record === undefined ? reached.step : reached.step - 1);
  const observer = together([reporting(reporter), folder, ...observers]);
  return await new Course(task, stepper, reached, seen, settings, observer, folder.times).run();
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
