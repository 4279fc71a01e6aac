/**
 * Image classification (paper, section 4.4) for the trainer: its batches and evaluations.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { isSentToCard } from "../../dsl/compile/mod.ts";
import type { Layer } from "../../dsl/layer.ts";
import type { Params } from "../../dsl/tree.ts";
import type { ImageInput } from "../../models/image_input.ts";
import {
  canPack,
  evaluationTransform,
  type ImageTransform,
  trainingTransform,
  type TransformOptions,
} from "../data/augment.ts";
import type { ImageSplits } from "../data/dataset.ts";
import { type HeldArray, holdExamples } from "../data/held.ts";
import { type Batch, batches, imageSource, labelsOf, type PreparedImage } from "../data/loader.ts";
import { byteTables } from "../data/normalise.ts";
import { stream } from "../data/stream.ts";
import { tableTensor, wordsIn } from "../data/words.ts";
import { type BatchPart, rowsOf, stepSpans } from "../trainer/parts.ts";
import type { TrainingTask } from "../trainer/training.ts";
import { evaluateFitted, scalarMetrics } from "./evaluate.ts";
import { type FeedSettings, transformOptions } from "./feed.ts";
import { type LabelFit, sameLabels } from "./labels.ts";

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
