/**
 * A whole image-classification run: open, adapt, train, evaluate, save.
 *
 * @module
 */
import { adapt, type ParameterCounts, parameterCounts } from "../../adapters/mod.ts";
import { isTrainable, type Layer } from "../../dsl/layer.ts";
import {
  adamw,
  chain,
  clipByGlobalNorm,
  type Optimiser,
  parseSchedule,
  type Schedule,
} from "../../dsl/optimise/mod.ts";
import type { Precision } from "../../dsl/engine/mod.ts";
import { key } from "../../dsl/random.ts";
import { type Params, partition } from "../../dsl/tree.ts";
import { loadParams, type Model, openModel } from "../../models/mod.ts";
import type { Augmentation } from "../data/augment.ts";
import type { ImageSplits } from "../data/dataset.ts";
import { openImageData } from "../data/open.ts";
import { trainStep } from "../trainer/step.ts";
import { type Reporter, train, type TrainResult } from "../trainer/train.ts";
import { classificationObjective, classificationTask, squareImages } from "./classifier.ts";
import type { Tensor } from "@tensorflow/tfjs-core";

/** Everything that decides a run's result. */
export interface ClassificationRun {
  /** Preset name or Hugging Face folder. */
  readonly model: string;
  /** Data set, as `openImageData` takes it. */
  readonly data: string;
  /** Method, as `adapt` takes it; the head is trained with every method. */
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
  /** Random resized crops and mirroring: the standard ones, none, or others. */
  readonly augment: boolean | Augmentation;
  /** Use only so many training and test examples. */
  readonly limit?: number;
  /** Fail at an unreadable image. */
  readonly strict: boolean;
  /** Start from random weights instead of the model's published ones. */
  readonly scratch?: boolean;
  /** Precision of frozen weights and matrix products (default float32). */
  readonly precision?: Precision;
  /** Evaluate every so many steps; 0 only at the end. */
  readonly evalEvery: number;
  /** Checkpoint every so many steps; 0 only at the end. */
  readonly checkpointEvery: number;
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
  /** Keeps what was trained; its tensors are freed afterwards. */
  readonly save?: (trained: AdaptedModel & { readonly params: Params }) => Promise<void>;
}

/** What came of a run. */
export interface ClassificationResult extends Omit<TrainResult, "state"> {
  /** Parameter counts. */
  readonly parameters: ParameterCounts;
}

/** A model with a method on it and a fresh head of the right size. */
export interface AdaptedModel {
  /** The model's description. */
  readonly model: Model;
  /** Its adapted layer, head trainable. */
  readonly layer: Layer;
}

/**
 * Opens a model for a set of classes and places a method on it. The head's weights are kept if it is for these classes.
 *
 * @param run Model and method
 * @param classes Names of the classes
 */
export async function openAdapted(
  run: Pick<ClassificationRun, "model" | "adapter" | "rank" | "alpha" | "target">,
  classes: readonly string[],
): Promise<AdaptedModel> {
  const model = await openModel(run.model, { labels: classes });
  const { rank, alpha, target } = run;
  const named = run.adapter.split("+").includes("head") ? run.adapter : `${run.adapter}+head`;
  return { model, layer: adapt(named, { rank, alpha, target })(model.layer) };
}

/** Steps in all: as given, or epochs times the batches of an epoch. */
function totalSteps(run: ClassificationRun, data: ImageSplits): number {
  if (run.steps !== undefined) return run.steps;
  return Math.max(
    1,
    Math.round((run.epochs ?? 1) * Math.ceil(Math.min(data.train.size, run.limit ?? Infinity) / run.batchSize)),
  );
}

function rateOf(run: ClassificationRun, steps: number): Schedule {
  const warmup = run.warmup < 1 ? Math.round(run.warmup * steps) : run.warmup;
  const factor = parseSchedule(run.schedule)({ steps, warmup });
  return (step) => run.lr * factor(step);
}

function optimiserOf({ weightDecay, clip }: ClassificationRun): Optimiser {
  const optimiser = adamw({ weightDecay });
  return clip > 0 ? chain(clipByGlobalNorm(clip))(optimiser) : optimiser;
}

/** Disposes every tensor of some trees. */
function free(...trees: readonly Params[]): void {
  for (const tree of trees) for (const tensor of Object.values(tree)) tensor.dispose();
}

/**
 * Trains and evaluates; with an `out` folder, writes metrics and checkpoints there.
 *
 * @param run Everything that decides the result
 * @param surroundings Where it writes and reports
 */
export async function runClassification(
  run: ClassificationRun,
  surroundings: RunSurroundings,
): Promise<ClassificationResult> {
  const { reporter } = surroundings;
  const data = await openImageData(run.data);
  const { model, layer } = await openAdapted(run, data.train.classes);
  const image = squareImages(model);
  const source = run.scratch ? { ...model, folder: undefined } : model;
  const steps = totalSteps(run, data);
  const schedule = rateOf(run, steps);
  const optimiser = optimiserOf(run);
  const { params } = await loadParams(source, key(run.seed), layer);
  const { kept: trained, rest: frozen } = partition<Tensor>(isTrainable(layer))(params);
  const step = trainStep(classificationObjective(layer), optimiser);
  try {
    await surroundings.ready?.();
    if (source.folder === undefined) {
      reporter.line(`note: ${run.model} has no weights here and starts from random ones`);
    }
    const { state, ...numbers } = await train(
      classificationTask(layer, image, data, { ...run, onSkip: (line) => reporter.line(`skipped: ${line}`) }),
      step,
      { frozen, trained, optimiser: optimiser.init(trained) },
      {
        ...surroundings,
        steps,
        schedule,
        precision: run.precision,
        evalEvery: run.evalEvery,
        checkpointEvery: run.checkpointEvery,
      },
    );
    try {
      await surroundings.save?.({ model, layer, params: { ...state.frozen, ...state.trained } });
    } finally {
      free(state.frozen, state.trained, state.optimiser);
    }
    return { ...numbers, parameters: parameterCounts(layer, model.headPath) };
  } finally {
    // Whatever the trainer has disposed already stays so.
    free(params);
  }
}
