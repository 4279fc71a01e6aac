/**
 * The settings that decide a run's result, and those of an evaluation.
 *
 * @module
 */
import type { Precision } from "../../dsl/engine/mod.ts";

/** The method and where it goes. */
export interface MethodSettings {
  /** Method, as `adapt` takes it; `none` only evaluates. */
  readonly adapter: string;
  /** Rank of low-rank methods. */
  readonly rank?: number;
  /** LoRA's alpha. */
  readonly alpha?: number;
  /** Share of their inputs that LoRA and DoRA drop out in training steps. */
  readonly dropout?: number;
  /** Which linear layers. */
  readonly target: string;
}

/** The settings that every task has. */
export interface RunSettings extends MethodSettings {
  /** Folder of an adapter, or of a run, whose parameters are the first ones; its method is the run's. */
  readonly from?: string;
  /** Passes over the training data, if `steps` is not given. */
  readonly epochs?: number;
  /** Steps. */
  readonly steps?: number;
  /** Examples a step. */
  readonly batchSize: number;
  /** Parts that a step's examples are split into at most (default 1). */
  readonly accumulate?: number;
  /**
   * Compute a batch in as many parts however many processes there are, and so come to the same bytes (default off; on wasm two and
   * four processes come to those of one anyway).
   */
  readonly batchInvariant?: "on" | "off";
  /** Peak learning rate. */
  readonly lr: number;
  /** AdamW's decoupled weight decay. */
  readonly weightDecay: number;
  /** Name of the schedule. */
  readonly schedule: string;
  /** Warm-up: a share of all steps if below 1, else a number of steps. */
  readonly warmup: number;
  /** Largest global gradient norm; 0 for no clipping. */
  readonly clip: number;
  /** Decay of the average of parameters that is the result; 0 for none (default). */
  readonly ema?: number;
  /** Seed of everything random. */
  readonly seed: number;
  /** Precision of frozen weights and matrix products (default float32). */
  readonly precision?: Precision;
  /** Keep frozen weights of linear layers other than heads in 8 or 4 bits (default: as `precision` says). */
  readonly quantise?: "int8" | "nf4";
  /** Keep only the inputs of blocks and compute the rest again for the gradient. */
  readonly gradientCheckpointing?: boolean;
  /** A new order every epoch. */
  readonly shuffle: boolean;
  /** Use only so many training and test examples. */
  readonly limit?: number;
  /** Fail at an unreadable example. */
  readonly strict: boolean;
  /** Evaluate every so many steps, or below 1 every such share of all steps; 0 only at the end. */
  readonly evalEvery: number;
  /** Checkpoint every so many steps; 0 only at the end. */
  readonly checkpointEvery: number;
  /** Stop after so many evaluations without a better one; 0 never (default). */
  readonly patience?: number;
  /** Seconds, over all sessions, after which the run ends with the parameters of its best evaluation; 0 never (default). */
  readonly timeLimit?: number;
  /** Which parameters are the result: those of the last step, or those of the best evaluation (default last). */
  readonly keep?: "last" | "best";
  /** Threads that prepare examples (default: as the data set is worth). */
  readonly workers?: number;
  /** Training examples stay in the device's memory, and steps are told which they take (default: on a card, where it pays). */
  readonly dataOnDevice?: "auto" | "yes" | "no";
  /**
   * Training examples that are held out, the same for every method and seed, and evaluated instead of the test data while
   * there is something to decide: which parameters are best, when patience ends, which rate. The test data are evaluated once,
   * at the end (default: none are held out).
   */
  readonly validation?: number;
  /** Evaluate the test data at the end (default); else nothing but what is held out is. */
  readonly testing?: boolean;
  /** Examples at a time in evaluations (default: the task's). */
  readonly evalBatch?: number;
  /** Factors of the learning rate for parts of the model, `PATTERN=FACTOR,...`: the first pattern that matches a parameter's path. */
  readonly lrFactor?: string;
}

/** Everything that decides a run's result. */
export interface Run<Own extends object = object> extends RunSettings {
  /** Preset name or folder. */
  readonly model: string;
  /** Data set, as the task takes it. */
  readonly data: string;
  /** Start from random weights instead of the model's published ones. */
  readonly scratch?: boolean;
  /** The task's own settings. */
  readonly own: Own;
}

/** Settings that every recipe gives. */
export type EssentialSetting = "batchSize" | "lr" | "weightDecay" | "schedule";

/** Settings of a run where none were given. */
export type RunRecipe<Own extends object = object> =
  & Pick<RunSettings, EssentialSetting>
  & Partial<Omit<RunSettings, EssentialSetting | "adapter">>
  & { readonly own?: Partial<Own> };

/** What an evaluation of a trained model takes. */
export type EvaluationRun<Own extends object = object> =
  & Pick<Run, "data">
  & Partial<Pick<Run, "limit" | "seed" | "strict" | "workers" | "validation" | "evalBatch">>
  & { readonly own: Partial<Own> };
