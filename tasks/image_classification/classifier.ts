/**
 * Image classification (paper, section 4.4) as loss, batches and metrics.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { compile, isSentToCard } from "../../dsl/compile/mod.ts";
import type { Objective } from "../../dsl/differentiate.ts";
import { apply, type Layer } from "../../dsl/layer.ts";
import { OneloraError } from "../../dsl/error.ts";
import { binaryCrossEntropy, crossEntropy, lookUpBytes } from "../../dsl/ops/mod.ts";
import { inTurn } from "../../dsl/ranks.ts";
import type { Params } from "../../dsl/tree.ts";
import { type ImageInput, preparationOf, usableImages } from "../../models/image_input.ts";
import type { Model } from "../../models/model.ts";
import {
  type Augmentation,
  canPack,
  evaluationTransform,
  type ImageTransform,
  trainingTransform,
  type TransformOptions,
} from "../data/augment.ts";
import type { ImageDataset, ImageSplits } from "../data/dataset.ts";
import { type HeldArray, holdExamples } from "../data/held.ts";
import { type Batch, batches, imageSource, labelsOf, type PreparedImage } from "../data/loader.ts";
import { byteTables } from "../data/normalise.ts";
import { stream } from "../data/stream.ts";
import { tableTensor, wordsIn } from "../data/words.ts";
import { type MultiLabelBatch, type MultiLabelMetrics, multiLabelMetrics } from "../metrics/multi_label.ts";
import {
  type ClassificationMetrics,
  classificationMetrics,
  startClassification,
  updateClassification,
} from "../metrics/classification.ts";
import { type BatchPart, rowsOf, stepSpans } from "../trainer/parts.ts";
import type { TrainingTask } from "../trainer/train.ts";
import { type LabelFit, sameLabels } from "./labels.ts";

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
  /** Send pictures as bytes where they can be, which become numbers on the other side (default: to a card). */
  readonly bytes?: boolean;
  /** Prepare all pictures once, which are not augmented then, and keep them on the device (default false). */
  readonly onDevice?: boolean;
  /** Fail at an unreadable image instead of leaving it out. */
  readonly strict?: boolean;
  /** Threads that prepare examples. */
  readonly workers?: number;
  /** Images at a time in evaluations (default 100). */
  readonly evalBatch?: number;
  /** Called for every image left out. */
  readonly onSkip?: (line: string) => void;
  /** Called at the end of an epoch with the number left out. */
  readonly onTotal?: (line: string) => void;
  /** Called when pictures are kept on the device. */
  readonly onLine?: (line: string) => void;
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
export const EVALUATION_BATCH = 100;

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

/**
 * Tensors of some of a batch's rows: pixels [B, C, H, W], or their bytes as words [B, C, H, W / 4] with the numbers that they
 * stand for, and labels [B], or targets [B, classes].
 */
function batchTensors(
  { pixels, shape, labels, targets }: Batch,
  span: readonly [number, number],
  tables: Float32Array | undefined,
): Params {
  const { values, shape: [...size] } = rowsOf(pixels, shape, span);
  const images: Params = tables === undefined
    ? { pixels: tf.tensor(values, size) }
    : { words: tf.tensor(wordsIn(values), size, "int32"), table: tableTensor(tables) };
  return { ...images, ...labelTensors({ labels, targets }, span) };
}

/** What some of a batch's pictures are of: labels [B], or targets [B, classes]. */
function labelTensors({ labels, targets }: Pick<Batch, "labels" | "targets">, span: readonly [number, number]): Params {
  if (targets === undefined) return { labels: tf.tensor1d(labels.slice(...span), "int32") };
  const wanted = rowsOf(targets, [labels.length, targets.length / labels.length], span);
  return { targets: tf.tensor(wanted.values, [...wanted.shape]) };
}

/**
 * Mean cross-entropy of a batch under a model, or, where a picture may have several labels, mean binary cross-entropy over
 * pictures and labels.
 *
 * @param layer The model, pixels to logits
 * @param several Whether a picture may have several labels: `targets` [B, classes] instead of `labels` [B]
 * @param weights Weights of the classes (default 1 each)
 */
export function classificationObjective(
  layer: Layer,
  several: boolean = false,
  weights?: readonly number[],
): (params: Params, batch: Params) => Objective {
  const logits = (params: Params, { pixels, words, table }: Params) =>
    apply(layer, params)(words === undefined ? pixels : lookUpBytes(words, table));
  if (several) {
    return (params, batch) => ({
      loss: binaryCrossEntropy(logits(params, batch), batch.targets, weights, batch.counted) as tf.Scalar,
    });
  }
  return (params, batch) => ({
    loss: crossEntropy(logits(params, batch), batch.labels, {
      classWeights: weights,
      total: batch.counted,
    }) as tf.Scalar,
  });
}

/** How unreadable images are treated, who reads, and how the data's labels go with the model's. */
export interface EvaluationFeed extends Pick<FeedSettings, "strict" | "workers" | "evalBatch" | "onSkip" | "onTotal"> {
  /** By default the model's classes are the data's, a picture has one. */
  readonly fit?: LabelFit;
}

/** A model's logits of every batch of test data. */
async function* evaluationBatches(
  layer: Layer,
  params: Params,
  image: ImageInput,
  dataset: ImageDataset,
  limit: number | undefined,
  { strict, workers, evalBatch = EVALUATION_BATCH, onSkip, onTotal, fit }: EvaluationFeed,
): AsyncGenerator<Batch & { readonly logits: Float32Array }, void, void> {
  const calls = Math.ceil(Math.min(limit ?? Infinity, dataset.size) / evalBatch);
  const forward = compile((all: Params, pixels: tf.Tensor) => apply(layer, all)(pixels), { graph: true, calls });
  const stream = batches({
    dataset,
    transform: evaluationTransform(transformOptions(image)),
    batchSize: evalBatch,
    seed: 0,
    // A choice, since the first examples of a class-per-folder tree are all of one class.
    shuffle: limit !== undefined,
    limit,
    strict,
    workers,
    onSkip,
    onTotal,
    relabel: fit?.relabel,
    manyHot: fit?.several ? fit.classes.length : undefined,
  });
  try {
    const found = inTurn(stream, async ({ pixels, shape }) => {
      const logits = tf.tidy(() => forward(params, tf.tensor(pixels, [...shape])));
      const values = await logits.data<"float32">();
      logits.dispose();
      return values;
    });
    for await (const [batch, logits] of found) yield { ...batch, logits };
  } finally {
    forward.dispose();
  }
}

/**
 * All metrics of a model on a data set.
 *
 * @param layer The model
 * @param params Its parameters
 * @param image What it expects of pixels
 * @param dataset Test data
 * @param limit Use only a fixed choice of so many
 * @param feed See {@linkcode EvaluationFeed}
 */
export async function evaluateClassifier(
  layer: Layer,
  params: Params,
  image: ImageInput,
  dataset: ImageDataset,
  limit?: number,
  feed: EvaluationFeed = {},
): Promise<ClassificationMetrics> {
  let state = startClassification((feed.fit?.classes ?? dataset.classes).length);
  for await (const { logits, labels } of evaluationBatches(layer, params, image, dataset, limit, feed)) {
    state = updateClassification(state, logits, labels);
  }
  return classificationMetrics(state);
}

/**
 * All metrics of a model whose pictures have any number of labels.
 *
 * @param layer The model
 * @param params Its parameters
 * @param image What it expects of pixels
 * @param dataset Test data
 * @param fit How its labels go with the model's
 * @param limit Use only a fixed choice of so many
 * @param feed See {@linkcode EvaluationFeed}
 */
export async function evaluateLabels(
  layer: Layer,
  params: Params,
  image: ImageInput,
  dataset: ImageDataset,
  fit: LabelFit,
  limit?: number,
  feed: EvaluationFeed = {},
): Promise<MultiLabelMetrics> {
  const seen: MultiLabelBatch[] = [];
  const stream = evaluationBatches(layer, params, image, dataset, limit, { ...feed, fit: { ...fit, several: true } });
  for await (const { logits, targets } of stream) seen.push({ logits, targets: targets! });
  return multiLabelMetrics(fit.classes, seen);
}

/**
 * All metrics of a model, of the kind that its labels ask for.
 *
 * @param layer The model
 * @param params Its parameters
 * @param image What it expects of pixels
 * @param dataset Test data
 * @param fit How its labels go with the model's
 * @param limit Use only a fixed choice of so many
 * @param feed See {@linkcode EvaluationFeed}
 */
export async function evaluateFitted(
  layer: Layer,
  params: Params,
  image: ImageInput,
  dataset: ImageDataset,
  fit: LabelFit,
  limit?: number,
  feed: EvaluationFeed = {},
): Promise<ClassificationMetrics | MultiLabelMetrics> {
  return fit.several
    ? await evaluateLabels(layer, params, image, dataset, fit, limit, feed)
    : await evaluateClassifier(layer, params, image, dataset, limit, { ...feed, fit });
}

/** The single numbers among the metrics. */
export function scalarMetrics(metrics: ClassificationMetrics | MultiLabelMetrics): Readonly<Record<string, number>> {
  return Object.fromEntries(Object.entries(metrics).filter(([, value]) => typeof value === "number"));
}

/**
 * What is kept of a picture where all stay on the device: its bytes where they can be told from them, else its numbers.
 *
 * @param options The model's input
 */
export function heldPictures(options: TransformOptions): Readonly<Record<string, HeldArray>> {
  const { size, channels } = options;
  const [height, width] = typeof size === "number" ? [size, size] : size;
  return canPack(options)
    ? { words: { shape: [channels, height, width / 4], dtype: "int32" } }
    : { pixels: { shape: [channels, height, width], dtype: "float32" } };
}

/**
 * The task for the trainer.
 *
 * @param layer The model
 * @param image What it expects of pixels
 * @param data Training and test data
 * @param feed How examples are fed
 * @param fit How the data's labels go with the model's; by default they are the same
 * @param weights Weights of the classes in the loss (default 1 each)
 */
export function classificationTask(
  layer: Layer,
  image: ImageInput,
  data: ImageSplits,
  feed: FeedSettings,
  fit: LabelFit = sameLabels(data.train),
  weights?: readonly number[],
): TrainingTask {
  // What a part's loss is a mean over: pictures, each by its class's weight.
  const countedOf = (labels: Int32Array, [begin, end]: readonly [number, number]) =>
    weights === undefined || fit.several
      ? end - begin
      : labels.subarray(begin, end).reduce((sum, label) => sum + weights[label], 0);
  const options = transformOptions(image);
  return {
    deciding: { metric: fit.several ? "map" : "accuracy", better: "higher" },
    evaluate: async (params) =>
      scalarMetrics(await evaluateFitted(layer, params, image, data.test, fit, feed.limit, feed)),
    async *batches(start) {
      const packed = (feed.onDevice || (feed.bytes ?? isSentToCard())) && canPack(options);
      const tables = packed ? byteTables({ ...options, ...options.preparation }) : undefined;
      const transform = trainingOrNot({ ...options, packed }, feed.augment);
      const numbers = { relabel: fit.relabel, manyHot: fit.several ? fit.classes.length : undefined };
      const order = { ...feed, start, epochs: Infinity };
      if (feed.onDevice) {
        const arrays = heldPictures(options);
        const [name] = Object.keys(arrays);
        const keep = ({ values, ...rest }: PreparedImage) => ({ values: { [name]: values }, rest });
        using held = await holdExamples(imageSource(data.train, transform), arrays, keep, feed);
        for await (const { items, next } of stream(held.source, order)) {
          const labels = labelsOf(items.map(({ rest }) => rest), numbers);
          const parts = stepSpans(items.length, feed).map((span): BatchPart => {
            const { tensors, staying } = held.tensorsOf(items.slice(...span));
            return {
              tensors: () => ({
                ...tensors(),
                ...tables && { table: tableTensor(tables) },
                ...labelTensors(labels, span),
              }),
              staying,
              counted: countedOf(labels.labels, span),
            };
          });
          yield { parts, next };
        }
        return;
      }
      for await (const batch of batches({ ...order, ...numbers, dataset: data.train, transform })) {
        const spans = stepSpans(batch.labels.length, feed);
        yield {
          parts: spans.map((span) => ({
            tensors: () => batchTensors(batch, span, tables),
            counted: countedOf(batch.labels, span),
          })),
          next: batch.next,
        };
      }
    },
  };
}
