/**
 * What a task is to the trainer.
 *
 * @module
 */
import type { ParameterCounts } from "../../adapters/mod.ts";
import type { StepPlan, ValueType } from "../../dsl/compile/mod.ts";
import type { Objective } from "../../dsl/differentiate.ts";
import type { Layer } from "../../dsl/layer.ts";
import type { Params, Tree } from "../../dsl/tree.ts";
import type { Model } from "../../models/mod.ts";
import type { OwnDataOptions } from "../data/own.ts";
import type { DataFacts } from "../data/record.ts";
import type { HeldOut } from "../data/validation.ts";
import type { Answering } from "./answering.ts";
import type { BatchSize, Needs } from "./needs.ts";
import type { Observer, Reporter } from "./observe.ts";
import type { Making, PicturePrediction, PredictionRun, TrainedModel } from "./prediction.ts";
import type { EvaluationRun, Run, RunRecipe } from "./run_settings.ts";
import type { SettingsOf } from "./setting.ts";
import type { TrainState, WholeStep } from "./step.ts";
import type { TrainingTask, TrainResult } from "./training.ts";

/** What a step of a task reads, and what it descends. */
export interface TaskStep {
  /** Types of a batch's tensors, without the learning rate. */
  readonly batch: Tree<ValueType>;
  /** The task's loss. */
  readonly objective: (params: Params, batch: Params) => Objective;
}

/** A model and the data it is to learn from, both opened. */
export interface Opened<Data> {
  /** The model as it is published. */
  readonly model: Model;
  /** The data. */
  readonly data: Data;
}

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
  /** Bytes of the data that are in memory all the while (default none). */
  readonly held?: number;
  /** Tokens of the longest example, where examples are texts. */
  readonly longest?: number;
  /** Size of pictures, where it is another than the model's own. */
  readonly picture?: BatchSize["picture"];
  /**
   * What its evaluations take by plan, with so many examples at a time.
   *
   * @internal
   */
  readonly evaluations: (rows: number) => Promise<Needs>;
  /** Momentum (AdamW's beta1) by step, for schedules that move it too. */
  readonly momentum?: (span: { readonly steps: number; readonly warmup: number }) => (step: number) => number;
  /**
   * Pictures and texts of what was trained, into a folder that exists. Where its parameters are those that `training.evaluate` was
   * given last, what was answered then need not be asked again.
   */
  readonly show?: (params: Params, folder: string, isEvaluated: boolean) => Promise<void>;
  /** Frees what was opened. */
  readonly close?: () => void | Promise<void>;
}

/** What an evaluation finds. */
export interface EvaluationReport {
  /** Single numbers by name. */
  readonly metrics: Tree<number>;
  /** Everything there is to know, for JSON: curves, histograms, answers. */
  readonly details: unknown;
  /** What a person should know besides, a line each. */
  readonly notes: readonly string[];
}

/** The run that others are compared with: what the method is better than. */
export interface Baseline {
  /** Its method. */
  readonly adapter: string;
  /** What a line of results calls it. */
  readonly name: string;
}

/**
 * A task: everything that is its own, so that nothing else need name it. Functions are written as methods, so that tasks of
 * different settings and data go into one list.
 */
export interface TaskKind<
  Own extends object = object,
  Data = unknown,
  Example extends object = object,
  Input = unknown,
  Output = unknown,
> {
  /** Its name. */
  readonly name: string;
  /** What a line of help says of it. */
  readonly summary: string;
  /** Preset that is trained where no model is given. */
  readonly model: string;
  /** Data set where none is given. */
  readonly data: string;
  /** What `data` may be, in words. */
  readonly dataForms: readonly string[];
  /** Its own settings. */
  readonly settings: SettingsOf<Own>;
  /** What Hugging Face's hub (`pipeline_tag`) and Python (library and class) call it. */
  readonly hub: { readonly pipeline: string; readonly python: string };
  /** What a default run is compared with. */
  readonly baseline: Baseline;
  /** The models that it trains, in words. */
  readonly models: string;
  /** Whether it trains a model. */
  trains(model: Model): boolean;
  /** Whether its weights may be quantised. */
  readonly compact?: true;
  /**
   * Bytes that whatever is done with a model holds besides tensors, by plan: a tokenizer.
   *
   * @internal
   */
  holds?(model: Model): Promise<number>;
  /** Methods that go with every other: a head, a table of labels. */
  besides(model: Model): readonly string[];
  /** Default settings for a model and data. */
  recipe(model: string, data: string): RunRecipe<Own>;
  /** Types of a step's batch and the loss, for planning: neither weights nor data are read. */
  step(model: Model, layer: Layer, size: BatchSize): TaskStep;
  /** What a step is given, in words. */
  sizeInWords(size: BatchSize): string;
  /** Opens a data set by name. */
  openData(spec: string, run: Pick<EvaluationRun<Own>, "strict"> & { readonly own?: Partial<Own> }): Promise<Data>;
  /** What an example of one's own is, in words. */
  readonly exampleForm: string;
  /** Whether a value is an example of this task's. */
  takes(example: object): boolean;
  /** Examples of one's own as data; some are held out to be judged by where there are no others for that. */
  ownData(train: readonly Example[], test: readonly Example[] | undefined, options: OwnDataOptions): Data;
  /** Data of whose training examples some, the same for every method and seed, are held out to validate with. */
  holdOut(data: Data, count: number): HeldOut<Data>;
  /** What a run remembers of its data, to notice other. */
  dataFacts(data: Data): DataFacts;
  /** Places the method and makes ready to train. */
  open(run: Run<Own>, opened: Opened<Data>, reporter: Reporter): Promise<PreparedTask>;
  /**
   * What an evaluation takes by plan, found out before any weight is read.
   *
   * @internal
   */
  evaluationNeeds(model: Model, data: Data, run: EvaluationRun<Own>): Promise<Needs>;
  /**
   * Examples at a time in an evaluation where the run does not say.
   *
   * @internal
   */
  evaluationRows(model: Model): number;
  /** All metrics of a model on test data. */
  evaluate(trained: TrainedModel, data: Data, run: EvaluationRun<Own>, reporter: Reporter): Promise<EvaluationReport>;
  /** What a model makes of one input. */
  predict(trained: TrainedModel, input: Input, run: PredictionRun<Own>): Promise<Output>;
  /** The metrics that a line shows, in words; those that are missing are left out. */
  inWords(metrics: Tree<number>): string;
  /** Predictions for pictures in files, if the task's models take pictures. */
  readonly pictures?: PicturePrediction;
  /** What the task's models make anew, if they do. */
  readonly making?: Making;
  /** Why these cannot work, as far as names and settings tell before anything is opened. */
  unfit?(asked: Asked<Own>): Unfit | undefined;
  /** What the deciding metric is called with these settings, where that depends on them. */
  metricTitle?(asked: Asked<Own>): string | undefined;
  /** Answers to be compared between models, if the task asks questions. */
  readonly answering?: Answering<Own, Data>;
  /** A chart (SVG) of what an evaluation found, if there is one. */
  chart?(name: string, details: EvaluationReport["details"]): string;
}

/** What a run is asked to do, by names. */
export interface Asked<Own extends object> {
  /** What `openModel` takes. */
  readonly model: string;
  /** Data by name. */
  readonly data: string;
  /** The task's own settings, those that were given. */
  readonly own: Partial<Own>;
}

/** Why something cannot work. */
export interface Unfit {
  /** What was asked for. */
  readonly found: string;
  /** What would work. */
  readonly allowed: string;
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
  /** Told what happens, too. */
  readonly observers?: readonly Observer[];
  /** The model, if it is opened already. */
  readonly model?: Model;
  /** The data, if it is opened already. */
  readonly data?: unknown;
  /** What else decides the result, by name. */
  readonly facts?: Readonly<Record<string, unknown>>;
}

/** What came of a run. */
export interface RunResult extends Omit<TrainResult, "state" | "best"> {
  /** Parameter counts. */
  readonly parameters: ParameterCounts;
  /** The metric that decides, and which way. */
  readonly deciding: TrainingTask["deciding"];
  /** The best evaluation. */
  readonly best?: { readonly value: number; readonly step: number };
  /** The metrics of the examples held out, where there are some; `metrics` are then those of the test data. */
  readonly validation?: { readonly examples: number; readonly metrics: Tree<number> };
  /** Whether the test data were left alone; `metrics` are then those of the examples held out. */
  readonly untested?: boolean;
}

/**
 * Opens the data that a model is judged by at the end: those of its run, with the same examples held out.
 *
 * @param kind The task
 * @param run The data's name, and how many examples are held out
 */
export async function testData<Own extends object, Data>(
  kind: Pick<TaskKind<Own, Data>, "openData" | "holdOut">,
  run: EvaluationRun<Own>,
): Promise<Data> {
  const data = await kind.openData(run.data, run);
  return run.validation === undefined ? data : kind.holdOut(data, run.validation).testing;
}

/** All parameters of a state. */
export type ParametersOf = (state: TrainState) => Params;
