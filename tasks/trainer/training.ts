/**
 * What the trainer is given, and what comes of it.
 *
 * @module
 */
import type { ResidentOptions, StepPlan } from "../../dsl/compile/mod.ts";
import type { Precision } from "../../dsl/engine/mod.ts";
import type { Schedule } from "../../dsl/optimise/mod.ts";
import type { Params, Tree } from "../../dsl/tree.ts";
import type { Position } from "../data/stream.ts";
import type { Identity } from "./checkpoint.ts";
import type { Observer, Reporter } from "./observe.ts";
import type { TaskBatch } from "./parts.ts";
import type { Deciding, Progress } from "./progress.ts";
import type { SharedOptions } from "./shared.ts";
import type { TrainState, WholeStep } from "./step.ts";

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
