/**
 * What a task is to the trainer, and the settings that decide a run's result.
 *
 * @module
 */
import type { ParameterCounts } from "../../adapters/mod.ts";
import type { StepPlan } from "../../dsl/compile/mod.ts";
import type { Objective } from "../../dsl/differentiate.ts";
import type { Precision } from "../../dsl/engine/mod.ts";
import type { Layer } from "../../dsl/layer.ts";
import type { Params, Tree } from "../../dsl/tree.ts";
import type { Model } from "../../models/mod.ts";
import type { Augmentation } from "../data/augment.ts";
import type { TrainState, WholeStep } from "./step.ts";
import type { Reporter, TrainingTask, TrainResult } from "./train.ts";

/** Everything that decides a run's result. What concerns one task alone is left out by the others. */
export interface Run {
  /** Preset name or folder. */
  readonly model: string;
  /** Data set, as the task takes it. */
  readonly data: string;
  /** Method, as `adapt` takes it; `none` only evaluates. */
  readonly adapter: string;
  /** Rank of low-rank methods. */
  readonly rank?: number;
  /** LoRA's alpha. */
  readonly alpha?: number;
  /** Which linear layers. */
  readonly target: string;
  /** Passes over the training data, if `steps` is not given. */
  readonly epochs?: number;
  /** Steps. */
  readonly steps?: number;
  /** Examples a step. */
  readonly batchSize: number;
  /** Parts that a step's examples are split into at most (default 1). */
  readonly accumulate?: number;
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
  /** Seed of everything random. */
  readonly seed: number;
  /** A new order every epoch. */
  readonly shuffle: boolean;
  /** The task's standard augmentation, none, or another. */
  readonly augment: boolean | Augmentation;
  /** Use only so many training and test examples. */
  readonly limit?: number;
  /** Fail at an unreadable example. */
  readonly strict: boolean;
  /** Start from random weights instead of the model's published ones. */
  readonly scratch?: boolean;
  /** Precision of frozen weights and matrix products (default float32). */
  readonly precision?: Precision;
  /** Keep only the inputs of blocks and compute the rest again for the gradient. */
  readonly gradientCheckpointing?: boolean;
  /** Evaluate every so many steps; 0 only at the end. */
  readonly evalEvery: number;
  /** Checkpoint every so many steps; 0 only at the end. */
  readonly checkpointEvery: number;
  /** Stop after so many evaluations without a better one; 0 never (default). */
  readonly patience?: number;
  /** Which parameters are the result: those of the last step, or those of the best evaluation (default last). */
  readonly keep?: "last" | "best";
  /** Threads that prepare examples (default: as the data set is worth). */
  readonly workers?: number;
  /** Depth: evaluate the mean of a picture's and its mirror image's predictions. */
  readonly flip?: boolean;
  /** Reasoning: tokens of an example at most. */
  readonly length?: number;
  /** Generation: decay of the average of parameters that is the result; 0 for none. */
  readonly ema?: number;
  /** Generation: steps of a sample. */
  readonly samplingSteps?: number;
  /** Generation: scale of classifier-free guidance; 1 for none. */
  readonly guidance?: number;
  /** Generation: model in whose features the distance of samples is measured. */
  readonly features?: string;
  /** Generation: autoencoder of a model of latents. */
  readonly vae?: string;
  /** How many examples are answered, sampled or shown where that is slow. */
  readonly samples?: number;
}

/** Settings that every recipe gives. */
export type EssentialSetting = "batchSize" | "lr" | "weightDecay" | "schedule" | "augment";

/** Settings of a run where none were given. */
export type RunRecipe =
  & Pick<Run, EssentialSetting>
  & Partial<Omit<Run, EssentialSetting | "model" | "data" | "adapter">>;

/** An opened task, ready to train. */
export interface PreparedTask {
  /** The model's description. */
  readonly model: Model;
  /** Its layer with the method on it. */
  readonly layer: Layer;
  /** The loss of all parameters and a batch. */
  readonly objective: (params: Params, batch: Params) => Objective;
  /** What parts of a step need to know of it, for a loss that is no mean over examples. */
  readonly whole?: WholeStep;
  /** Batches, evaluation, and what decides. */
  readonly training: TrainingTask;
  /** Training examples of an epoch. */
  readonly examples: number;
  /** Momentum (AdamW's beta1) by step, for schedules that move it too. */
  readonly momentum?: (span: { readonly steps: number; readonly warmup: number }) => (step: number) => number;
  /** Pictures and texts of what was trained, into a folder that exists. */
  readonly show?: (params: Params, folder: string) => Promise<void>;
  /** Lets go of what was opened. */
  readonly close?: () => void | Promise<void>;
}

/** What an evaluation of a trained model takes. */
export type EvaluationRun =
  & Pick<Run, "data">
  & Partial<
    Pick<Run, "limit" | "seed" | "flip" | "length" | "samplingSteps" | "guidance" | "samples" | "features" | "vae">
  >;

/** What an evaluation finds. */
export interface EvaluationReport {
  /** Single numbers by name. */
  readonly metrics: Tree<number>;
  /** Everything there is to know, for JSON: curves, histograms, answers. */
  readonly details: unknown;
  /** What a person should know besides, a line each. */
  readonly notes: readonly string[];
}

/** A task by name. */
export interface TaskKind {
  /** What a line of help says of it. */
  readonly summary: string;
  /** Preset that is trained where no model is given. */
  readonly model: string;
  /** Data set where none is given. */
  readonly data: string;
  /** What `data` may be, in words. */
  readonly dataForms: readonly string[];
  /** Default settings for a model and data. */
  readonly recipe: (model: string, data: string) => RunRecipe;
  /** Opens data and model, and places the method. */
  readonly open: (run: Run, reporter: Reporter) => Promise<PreparedTask>;
  /** All metrics of a model on test data. */
  readonly evaluate: (trained: TrainedModel, run: EvaluationRun, reporter: Reporter) => Promise<EvaluationReport>;
  /** The metrics that a line shows, in words; those that are missing are left out. */
  readonly inWords: (metrics: Tree<number>) => string;
}

/** Where a run writes and reports. */
export interface RunSurroundings {
  /** The run's folder; nothing is written without one. */
  readonly out?: string;
  /** Go on from the folder's last checkpoint. */
  readonly resume?: boolean;
  /** Ends the run after the current step. */
  readonly signal?: AbortSignal;
  /** Called when all that was given has proved usable, before the first step. */
  readonly ready?: () => Promise<void>;
  /** Told what happens. */
  readonly reporter: Reporter;
  /** Told what a step will take in memory, before the first one. */
  readonly planned?: (plan: StepPlan) => void;
  /** Keeps what was trained; its tensors are freed afterwards. */
  readonly save?: (trained: TrainedModel) => Promise<void>;
}

/** An adapted model and its parameters. */
export interface TrainedModel {
  /** The model's description. */
  readonly model: Model;
  /** Its adapted layer. */
  readonly layer: Layer;
  /** All parameters. */
  readonly params: Params;
}

/** What came of a run. */
export interface RunResult extends Omit<TrainResult, "state" | "best"> {
  /** Parameter counts. */
  readonly parameters: ParameterCounts;
  /** The metric that decides, and which way. */
  readonly deciding: TrainingTask["deciding"];
  /** The best evaluation. */
  readonly best?: { readonly value: number; readonly step: number };
}

/** All parameters of a state. */
export type ParametersOf = (state: TrainState) => Params;
