/**
 * Image classification (paper, section 4.4) as loss, batches and metrics.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { compile } from "../../dsl/compile/mod.ts";
import type { Objective } from "../../dsl/differentiate.ts";
import { apply, type Layer } from "../../dsl/layer.ts";
import { OneloraError } from "../../dsl/error.ts";
import { crossEntropy } from "../../dsl/ops/mod.ts";
import type { Params } from "../../dsl/tree.ts";
import { type ImageInput, preparationOf, usableImages } from "../../models/image_input.ts";
import type { Model } from "../../models/model.ts";
import {
  type Augmentation,
  evaluationTransform,
  type ImageTransform,
  trainingTransform,
  type TransformOptions,
} from "../data/augment.ts";
import type { ImageDataset, ImageSplits } from "../data/dataset.ts";
import { type Batch, batches } from "../data/loader.ts";
import {
  type ClassificationMetrics,
  classificationMetrics,
  startClassification,
  updateClassification,
} from "../metrics/classification.ts";
import { partRows, partSpans, rowsOf } from "../trainer/parts.ts";
import type { TrainingTask } from "../trainer/train.ts";

/** How training examples are fed. */
export interface FeedSettings {
  /** Examples a step. */
  readonly batchSize: number;
  /** Parts that they are split into at most (default 1). */
  readonly accumulate?: number;
  /** Seed of order and augmentation. */
  readonly seed: number;
  /** A new order every epoch. */
  readonly shuffle: boolean;
  /** Random resized crops and mirroring: the standard ones, none, or others. */
  readonly augment: boolean | Augmentation;
  /** Use only so many training and test examples. */
  readonly limit?: number;
  /** Fail at an unreadable image instead of leaving it out. */
  readonly strict?: boolean;
  /** Threads that prepare examples. */
  readonly workers?: number;
  /** Told of every image left out. */
  readonly onSkip?: (line: string) => void;
  /** Told at the end of an epoch how many were left out. */
  readonly onTotal?: (line: string) => void;
}

/**
 * What a model expects of its images.
 *
 * @param model The model
 * @throws OneloraError if it takes none, or none that are square
 */
export function squareImages({ name, family, image }: Model): ImageInput {
  if (image !== undefined && image.height === image.width) return usableImages(image);
  throw new OneloraError({
    attempted: `classifying images with ${name}`,
    found: image === undefined ? `a ${family} model` : `images of ${image.height}x${image.width}`,
    allowed: "a model of square images",
  });
}

/** Images of one evaluation batch. */
const EVALUATION_BATCH = 100;

/**
 * What transforms must know of a model's input.
 *
 * @param image The input
 */
export function transformOptions(image: ImageInput): TransformOptions {
  const { height, width, channels, mean, std } = image;
  return { size: [height, width], channels, mean, std, preparation: preparationOf(image) };
}

function trainingOrNot(options: TransformOptions, augment: FeedSettings["augment"]): ImageTransform {
  if (augment === false) return evaluationTransform(options);
  return trainingTransform(augment === true ? options : { ...options, ...augment });
}

/** Tensors of some of a batch's rows: pixels [B, C, H, W] and labels [B]. */
function batchTensors({ pixels, shape, labels }: Batch, span: readonly [number, number] = [0, labels.length]): Params {
  const rows = rowsOf(pixels, shape, span);
  return { pixels: tf.tensor(rows.values, [...rows.shape]), labels: tf.tensor1d(labels.slice(...span), "int32") };
}

/**
 * Mean cross-entropy of a batch under a model.
 *
 * @param layer The model, pixels to logits
 */
export function classificationObjective(layer: Layer): (params: Params, batch: Params) => Objective {
  return (params, { pixels, labels }) => ({
    loss: crossEntropy(apply(layer, params)(pixels), labels) as tf.Scalar,
  });
}

/**
 * All metrics of a model on a data set.
 *
 * @param layer The model
 * @param params Its parameters
 * @param image What it expects of pixels
 * @param dataset Test data
 * @param limit Use only a fixed choice of so many
 * @param feed How unreadable images are treated, and who reads
 */
export async function evaluateClassifier(
  layer: Layer,
  params: Params,
  image: ImageInput,
  dataset: ImageDataset,
  limit?: number,
  feed: Pick<FeedSettings, "strict" | "workers" | "onSkip" | "onTotal"> = {},
): Promise<ClassificationMetrics> {
  const { strict, workers, onSkip, onTotal } = feed;
  let state = startClassification(dataset.classes.length);
  const forward = compile((all: Params, pixels: tf.Tensor) => apply(layer, all)(pixels), { graph: true });
  const stream = batches({
    dataset,
    transform: evaluationTransform(transformOptions(image)),
    batchSize: EVALUATION_BATCH,
    seed: 0,
    // A choice, since the first examples of a class-per-folder tree are all of one class.
    shuffle: limit !== undefined,
    limit,
    strict,
    workers,
    onSkip,
    onTotal,
  });
  for await (const batch of stream) {
    const logits = tf.tidy(() => forward(params, batchTensors(batch).pixels));
    state = updateClassification(state, await logits.data() as Float32Array, batch.labels);
    logits.dispose();
  }
  forward.dispose();
  return classificationMetrics(state);
}

/** The single numbers among the metrics. */
export function scalarMetrics(metrics: ClassificationMetrics): Readonly<Record<string, number>> {
  return Object.fromEntries(Object.entries(metrics).filter(([, value]) => typeof value === "number"));
}

/**
 * The task for the trainer.
 *
 * @param layer The model
 * @param image What it expects of pixels
 * @param data Training and test data
 * @param feed How examples are fed
 */
export function classificationTask(
  layer: Layer,
  image: ImageInput,
  data: ImageSplits,
  feed: FeedSettings,
): TrainingTask {
  const options = transformOptions(image);
  return {
    deciding: { metric: "accuracy", better: "higher" },
    evaluate: async (params) =>
      scalarMetrics(await evaluateClassifier(layer, params, image, data.test, feed.limit, feed)),
    async *batches(start) {
      const stream = batches({
        ...feed,
        dataset: data.train,
        transform: trainingOrNot(options, feed.augment),
        start,
        epochs: Infinity,
      });
      for await (const batch of stream) {
        const spans = partSpans(batch.labels.length, partRows(feed));
        yield {
          parts: spans.map((span) => ({ tensors: () => batchTensors(batch, span), counted: span[1] - span[0] })),
          next: batch.next,
        };
      }
    },
  };
}
