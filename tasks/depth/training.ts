/**
 * Monocular depth (paper, section 4.1) as loss and batches.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { isSentToCard } from "../../dsl/compile/mod.ts";
import type { Objective } from "../../dsl/differentiate.ts";
import { OneloraError } from "../../dsl/error.ts";
import type { Layer } from "../../dsl/layer.ts";
import { apply } from "../../dsl/apply.ts";
import { lookUpBytes } from "../../dsl/ops/mod.ts";
import { key } from "../../dsl/random.ts";
import type { Params } from "../../dsl/tree.ts";
import { type HeldArray, heldBytes, type HeldExamples, holdExamples, type HoldOptions } from "../data/held.ts";
import { type ExampleSource, stream } from "../data/stream.ts";
import { tableTensor, wordsIn } from "../data/words.ts";
import type { DataSize } from "../trainer/on_device.ts";
import { type BatchPart, stepSpans } from "../trainer/parts.ts";
import type { WholeStep } from "../trainer/step.ts";
import type { TrainingTask } from "../trainer/training.ts";
import {
  depthEvaluationTransform,
  type DepthSample,
  depthTrainingTransform,
  type DepthTransformOptions,
} from "./augment.ts";
import type { DepthProtocol, DepthSplits } from "./dataset.ts";
import { evaluateDepth, threadsFor } from "./estimator.ts";
import { depthGroups, type DepthPart, depthSource } from "./loader.ts";
import { resampled } from "./resample.ts";
import { silog, silogPart, type SilogStep, silogStep, validDepth } from "./silog.ts";

/** How examples are fed in training. */
export interface DepthFeed {
  /** Examples a step. */
  readonly batchSize: number;
  /** Parts that they are split into at most (default 1). */
  readonly accumulate?: number;
  /** Seed of order and augmentation. */
  readonly seed: number;
  /** A new order every epoch. */
  readonly shuffle: boolean;
  /** Depth Anything's augmentation, or none. */
  readonly augment: boolean;
  /**
   * Prepare all examples once, which are not augmented then, and keep them on the device: `yes`, or `auto`, which does without
   * where their sizes differ (default `no`).
   */
  readonly onDevice?: "auto" | "yes" | "no";
  /** Send pictures as bytes where that is less, which become numbers on the other side (default: to a card). */
  readonly bytes?: boolean;
  /** Use only so many training and test examples. */
  readonly limit?: number;
  /** Fail at an unreadable example instead of leaving it out. */
  readonly strict?: boolean;
  /** Threads that prepare examples. */
  readonly workers?: number;
  /** Called for every example left out. */
  readonly onSkip?: (line: string) => void;
  /** Called at the end of an epoch with the number left out. */
  readonly onTotal?: (line: string) => void;
  /** Called when examples are kept on the device. */
  readonly onLine?: (line: string) => void;
  /** Evaluate the mean of a picture's and its mirror image's predictions. */
  readonly flip?: boolean;
  /** Pictures at a time in evaluations (default: as many as fill a million values of the model's input). */
  readonly evalBatch?: number;
}

/** Rows and columns of what a model reads. */
export type InputSize = Pick<DepthTransformOptions, "height" | "width">;

/** A batch's pictures as the model reads them. */
function pixelsOf({ pixels, words, table }: Params, input: InputSize | undefined): tf.Tensor {
  if (words === undefined) return pixels;
  const seen = lookUpBytes(words, table) as tf.Tensor4D;
  return input === undefined ? seen : resampled(seen, [input.height, input.width]);
}

/**
 * The scale-invariant logarithmic loss of a batch (see {@linkcode silog}) over the pixels within a data set's range.
 *
 * @param layer The model, pixels to metres
 * @param range The data set's range
 * @param input What the model reads, for pictures that come as bytes
 */
export function depthObjective(
  layer: Layer,
  range: Pick<DepthProtocol, "minDepth" | "maxDepth">,
  input?: InputSize,
): (params: Params, batch: Params) => Objective {
  return (params, { depth, parts, ...rest }) => ({
    loss: silog(
      apply(layer, params)(pixelsOf(rest, input)),
      depth,
      validDepth(depth, range),
      parts && { ...rest, parts } as unknown as SilogStep,
    ) as tf.Scalar,
  });
}

/**
 * What parts of a step must know of it: the loss of a batch is no mean over its pictures.
 *
 * @param layer The model, pixels to metres
 * @param range The data set's range
 * @param input What the model reads, for pictures that come as bytes
 */
export function depthWholeStep(
  layer: Layer,
  range: Pick<DepthProtocol, "minDepth" | "maxDepth">,
  input?: InputSize,
): WholeStep {
  return {
    measure: (params, { depth, ...batch }) =>
      silogPart(apply(layer, params)(pixelsOf(batch, input)), depth, validDepth(depth, range)),
    join: silogStep,
  };
}

/**
 * A batch's tensors: pixels [B, 3, h, w], or bytes of pictures [B, 3, H, W / 4] and what they stand for [B, 3, 256]; and depth
 * [B, H, W].
 */
function batchTensors({ pixels, shape, tables, depth, depthShape }: DepthPart): Params {
  const input: Params = tables === undefined ? { pixels: tf.tensor4d(pixels, [...shape]) } : {
    words: tf.tensor4d(wordsIn(pixels), [...shape], "int32"),
    table: tf.tensor3d(tables, [shape[0], 3, 256]),
  };
  return { ...input, depth: tf.tensor3d(depth, [...depthShape]) };
}

/** What is kept of an example, and its arrays. */
function keptOf({ pixels, table, depth, height, width }: DepthSample, [channels, rows, columns]: readonly number[]) {
  const arrays: Readonly<Record<string, HeldArray>> = {
    ...table === undefined
      ? { pixels: { shape: [channels, rows, columns], dtype: "float32" } }
      : { words: { shape: [channels, height, width / 4], dtype: "int32" } },
    depth: { shape: [height, width], dtype: "float32" },
  };
  const values: Readonly<Record<string, Float32Array>> = { [table === undefined ? "pixels" : "words"]: pixels, depth };
  const rest: { readonly table?: Float32Array } = { table };
  return { arrays, kept: { values, rest } };
}

/** The first example that can be read; none if none can. */
async function firstOf({ size, get }: ExampleSource<DepthSample>): Promise<DepthSample | undefined> {
  for (let i = 0; i < size; i++) {
    try {
      return await get(i, key(0));
    } catch (error) {
      if (!(error instanceof OneloraError)) throw error;
    }
  }
  return undefined;
}

/** All examples, kept; none where they are of several sizes and need not be. */
async function heldDepth(
  source: ExampleSource<DepthSample>,
  order: HoldOptions,
  onDevice: "auto" | "yes",
  shape: readonly number[],
): Promise<HeldExamples<{ readonly table?: Float32Array }> | undefined> {
  const first = await firstOf(source);
  if (first === undefined) return undefined;
  const { arrays } = keptOf(first, shape);
  try {
    return await holdExamples(source, arrays, (sample) => keptOf(sample, shape).kept, order);
  } catch (error) {
    if (onDevice === "yes" || !(error instanceof OneloraError)) throw error;
    return undefined;
  }
}

/**
 * How much there is of examples as they are kept where all stay on the device, going by the first.
 *
 * @param data The examples
 * @param input What the model reads
 * @param limit Use only so many
 */
export async function heldDepthSize(
  { train }: DepthSplits,
  input: DepthTransformOptions,
  limit?: number,
): Promise<DataSize> {
  const transform = depthEvaluationTransform({ ...input, packed: true });
  const first = await firstOf(depthSource(train, transform));
  const examples = Math.min(limit ?? Infinity, train.size);
  return { examples, bytes: first === undefined ? 0 : heldBytes(keptOf(first, transform.shape).arrays, examples) };
}

/**
 * The task for the trainer; the root mean squared error decides, as in the paper's figures.
 *
 * @param layer The model
 * @param input What it reads
 * @param data Training and test data
 * @param feed How examples are fed
 */
export function depthTask(
  layer: Layer,
  input: DepthTransformOptions,
  data: DepthSplits,
  feed: DepthFeed,
): TrainingTask {
  const { protocol: { brightness }, protocol } = data;
  const { flip, limit, augment, workers, evalBatch, onDevice = "no", bytes, ...order } = feed;
  const options = { ...input, packed: onDevice !== "no" || (bytes ?? isSentToCard()) };
  const transform = augment ? depthTrainingTransform(options, { brightness }) : depthEvaluationTransform(options);
  return {
    deciding: { metric: "rmse", better: "lower" },
    evaluate: async (params) => ({
      ...await evaluateDepth(layer, params, { dataset: data.test, input, flip, limit, workers, evalBatch }, protocol),
    }),
    async *batches(start) {
      const how = { ...order, limit, workers: threadsFor(input, workers) };
      using held = onDevice === "no"
        ? undefined
        : await heldDepth(depthSource(data.train, transform), how, onDevice, transform.shape);
      const passes = { ...how, start, epochs: Infinity };
      if (held !== undefined) {
        for await (const { items, next } of stream(held.source, passes)) {
          const parts = stepSpans(items.length, feed).map((span): BatchPart => {
            const own = items.slice(...span);
            const { tensors, staying } = held.tensorsOf(own);
            const [{ rest: { table } }] = own;
            return {
              tensors: () => ({ ...tensors(), ...table && { table: tableTensor(table) } }),
              staying,
              counted: 1,
            };
          });
          yield { parts, next };
        }
        return;
      }
      const groups = depthGroups({ ...passes, dataset: data.train, transform, parts: feed });
      for await (const { batches, next } of groups) {
        // Each knows the whole step, and gives as much of its gradient as any other.
        yield { parts: batches.map((batch) => ({ tensors: () => batchTensors(batch), counted: 1 })), next };
      }
    },
  };
}
