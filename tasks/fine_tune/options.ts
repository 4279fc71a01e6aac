/**
 * What `fineTune` is given.
 *
 * @module
 */
import type { StepPlan } from "../../dsl/compile/mod.ts";
import type { BackendName } from "../../dsl/engine/mod.ts";
import type { HubOptions, Model } from "../../models/mod.ts";
import type { Examples } from "../data/own.ts";
import type { TaskName, Tasks } from "../kinds.ts";
import type { Observer, Reporter } from "../trainer/observe.ts";
import type { RunSettings } from "../trainer/run_settings.ts";

/** A task's own settings. */
export type OwnSettings<Name extends TaskName> = Parameters<Tasks[Name]["open"]>[0]["own"];
/** An example of one's own for a task. */
export type ExampleOf<Name extends TaskName> = Parameters<Tasks[Name]["ownData"]>[0][number];
/** What a task's models take. */
export type InputOf<Name extends TaskName> = Parameters<Tasks[Name]["predict"]>[1];
/** What a task's models make of it. */
export type OutputOf<Name extends TaskName> = Awaited<ReturnType<Tasks[Name]["predict"]>>;

/** Data by name, such as `mnist` or `images:DIR`, or your own examples. */
export type DataOf<Name extends TaskName> = string | Examples<ExampleOf<Name>>;

/** Options of `fineTune` besides settings. */
export interface FineTuneSurroundings {
  /** Preset, folder, `hf:ORG/NAME`, or an opened model (default: the task's built-in one). */
  readonly model?: string | Model;
  /** Engine (default: the one in use, else the first that works). */
  readonly backend?: BackendName | "auto";
  /** Threads of the wasm engine, which give the same bytes whatever their number (default: the cores there are). */
  readonly threads?: number;
  /**
   * Services that the run's numbers go to, separated by commas: `mlflow:http://HOST:PORT`, `wandb:[ENTITY/]PROJECT`; their keys
   * come from `MLFLOW_TRACKING_TOKEN` and `WANDB_API_KEY` (default: none; TensorBoard's file is always in the folder).
   */
  readonly log?: string;
  /** Where models of Hugging Face's hub come from and go. */
  readonly hub?: HubOptions;
  /** The run's folder, or where to make a new one; nothing is written without. */
  readonly out?: string | { readonly under: string };
  /** Folder of a run to continue, with its own settings; only its length, `backend`, `threads` and `log` may change. */
  readonly resume?: string;
  /**
   * Ends the run after the current step, or batch of an evaluation, with a checkpoint if there is a folder; before the first
   * step and after the last one at the next turn of what is done there.
   */
  readonly signal?: AbortSignal;
  /** Train the task's baseline first, for comparison. */
  readonly baseline?: boolean;
  /** Called after every step. */
  readonly onStep?: Observer["onStep"];
  /** Called after every evaluation. */
  readonly onEvaluation?: Observer["onEvaluation"];
  /** Called after every checkpoint. */
  readonly onCheckpoint?: Observer["onCheckpoint"];
  /** Called with what a step will take in memory, before the first one. */
  readonly onPlan?: (plan: StepPlan) => void;
  /** Called with lines on what happens. */
  readonly onLine?: (line: string) => void;
  /** Shows progress, by what is trained; beside `onLine`. */
  readonly reporter?: (label: string) => Reporter;
}

/** Options of `fineTune`: everything has a default but your own data. */
export type FineTuneOptions<Name extends TaskName> =
  & FineTuneSurroundings
  & Partial<RunSettings>
  & Partial<OwnSettings<Name>>
  & {
    /** Data to learn from (default: the task's built-in one). */
    readonly data?: DataOf<Name>;
    /** Your own examples to evaluate (default: some of `data`, held out). */
    readonly test?: Examples<ExampleOf<Name>>;
    /** The task (default: the one that the examples are of, else that of the data and the model). */
    readonly task?: Name;
  };

/** Names of the options that are no settings. */
export const SURROUNDINGS: Readonly<Record<keyof FineTuneSurroundings | "data" | "test" | "task", true>> = {
  model: true,
  backend: true,
  threads: true,
  log: true,
  hub: true,
  out: true,
  resume: true,
  signal: true,
  baseline: true,
  onStep: true,
  onEvaluation: true,
  onCheckpoint: true,
  onPlan: true,
  onLine: true,
  reporter: true,
  data: true,
  test: true,
  task: true,
};
