/**
 * The metrics of a classifier on test data.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { compile } from "../../dsl/compile/mod.ts";
import type { Layer } from "../../dsl/layer.ts";
import { apply } from "../../dsl/apply.ts";
import { release } from "../../dsl/release.ts";
import { inTurn } from "../../dsl/ranks.ts";
import type { Params } from "../../dsl/tree.ts";
import type { ImageInput } from "../../models/image_input.ts";
import { evaluationTransform } from "../data/augment.ts";
import type { ImageDataset } from "../data/dataset.ts";
import { type Batch, batches } from "../data/loader.ts";
import {
  type ClassificationMetrics,
  classificationMetrics,
  startClassification,
  updateClassification,
} from "../metrics/classification.ts";
import { type MultiLabelBatch, type MultiLabelMetrics, multiLabelMetrics } from "../metrics/multi_label.ts";
import { EVALUATION_BATCH, type EvaluationFeed, transformOptions } from "./feed.ts";
import type { LabelFit } from "./labels.ts";

/**
 * A model's logits of every batch of test data; its pixels are there until the next one is asked for.
 *
 * @param layer The model
 * @param params Its parameters
 * @param image What it expects of pixels
 * @param dataset Test data
 * @param limit Use only a fixed choice of so many
 * @param feed See {@linkcode EvaluationFeed}
 */
export async function* evaluationBatches(
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
    for await (const [batch, logits] of found) {
      yield { ...batch, logits };
      // A hundred pictures of 224 are 60 MB, which JavaScript would not look for until there are several batches of them.
      release(batch.pixels);
    }
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
