/**
 * A step at work, and how it is taken with a batch: alone, or each process with a share of it.
 *
 * @module
 */
import type { Tree } from "../../dsl/tree.ts";
import type { TaskBatch } from "./parts.ts";
import type { BatchTensors, TrainState } from "./step.ts";

/** Numbers of a step, and the seconds it took. */
export interface Timed {
  /** The numbers by name. */
  readonly numbers: Tree<number>;
  /** Seconds of computing. */
  readonly seconds: number;
}

/** What the next step will be taken with. */
export interface NextStep {
  /** Its batch. */
  readonly batch: TaskBatch;
  /** Its rates. */
  readonly rates: Tree<number>;
}

/** A step at work. */
export interface Stepper extends Disposable {
  /** Whether it wants to be told the next step, to send what that is computed from while this one computes. */
  readonly looksAhead: boolean;
  /**
   * Takes a step with a batch, part by part; ends early at a loss that is not finite, and then moves nothing.
   *
   * @param batch The batch
   * @param rates Learning rate, and momentum where the schedule moves it
   * @param seen Shown each part's tensors before they are computed with
   * @param next The next step, if there will be one and that is known
   */
  readonly advance: (
    batch: TaskBatch,
    rates: Tree<number>,
    seen: (batch: BatchTensors) => void,
    next?: NextStep,
  ) => Promise<Timed>;
  /** The state as tensors of the caller's. */
  readonly read: () => TrainState;
}
