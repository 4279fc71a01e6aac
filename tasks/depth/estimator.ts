/**
 * Monocular depth (paper, section 4.1): what models read, predict, and are judged by.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { compile } from "../../dsl/compile/mod.ts";
import { OneloraError } from "../../dsl/error.ts";
import type { Layer } from "../../dsl/layer.ts";
import { apply } from "../../dsl/apply.ts";
import { inTurn } from "../../dsl/ranks.ts";
import type { Params } from "../../dsl/tree.ts";
import { type ImageInput, preparationOf, usableImages } from "../../models/image_input.ts";
import type { Model } from "../../models/model.ts";
import { depthEvaluationTransform, type DepthTransformOptions } from "./augment.ts";
import type { DepthDataset, DepthProtocol } from "./dataset.ts";
import { depthKindOf } from "./encode.ts";
import { type DepthBatch, depthBatches } from "./loader.ts";
import { type DepthMetrics, depthMetrics, startDepth, updateDepth } from "./metrics.ts";
import { flipAveraged, mirroredMap, resampleMap } from "./resample.ts";

/** Side of the published models' images, and what Depth Anything stretches pictures to when it trains metric ones. */
const [PUBLISHED_SIDE, PUBLISHED_INPUT] = [518, { height: 392, width: 518 }] as const;

/**
 * What a model reads when it is trained and evaluated: 392x518 for those published, as Depth Anything has it, else the
 * model's own size.
 *
 * @param model The model
 * @throws OneloraError (exit code 2) if it gives no metres
 */
export function metricInput(model: Pick<Model, "name" | "family" | "image" | "config">): DepthTransformOptions {
  const { name, family, image, config } = model;
  const isDepth = family === "depth_anything" && image !== undefined;
  if (!isDepth || depthKindOf({ config }).kind !== "metric") {
    throw new OneloraError({
      attempted: `training or judging ${name} by depth in metres`,
      found: isDepth ? "a model of relative depth" : `a ${family} model`,
      allowed: "a metric depth_anything model, such as depth-anything-large-outdoor",
    }, { exitCode: 2 });
  }
  return inputOf(image);
}

/**
 * What pictures of a model of depth are made into, whatever its depth is.
 *
 * @param image What it expects of pictures
 */
export function inputOf(image: ImageInput): DepthTransformOptions {
  const { height, width, mean, std, multipleOf = 1 } = usableImages(image);
  const { rescale } = preparationOf(image);
  const isPublished = height === PUBLISHED_SIDE && width === PUBLISHED_SIDE;
  // Pictures are stretched, not padded, so to whole patches.
  const whole = (side: number) => Math.max(1, Math.round(side / multipleOf)) * multipleOf;
  const own = { height: whole(height), width: whole(width) };
  return { ...(isPublished ? PUBLISHED_INPUT : own), mean, std, ...(rescale === 1 / 255 ? {} : { rescale }) };
}

/** A model with its parameters, as a function from pixels to metres. */
export interface DepthPredictor {
  /**
   * Metres for pictures that a {@linkcode DepthTransformOptions} has prepared, at the model's size.
   *
   * @param pixels [B, 3, h, w]
   * @param shape B, 3, h and w
   * @returns [B, h, w]
   */
  readonly predict: (pixels: Float32Array, shape: DepthBatch["shape"]) => Promise<Float32Array>;
  /** Lets go of what was compiled. */
  readonly dispose: () => void;
}

/**
 * Compiles a model for prediction.
 *
 * @param layer The model
 * @param params Its parameters
 * @param flip Whether to average with the prediction for the mirrored picture, mirrored back
 * @param calls How often it will be asked (default: often)
 */
export function depthPredictor(layer: Layer, params: Params, flip: boolean = false, calls?: number): DepthPredictor {
  const forward = compile((all: Params, pixels: tf.Tensor) => apply(layer, all)(pixels), { graph: true, calls });
  const plain = async (pixels: Float32Array, shape: DepthBatch["shape"]): Promise<Float32Array> => {
    const depth = tf.tidy(() => forward(params, tf.tensor4d(pixels, [...shape])));
    try {
      return await depth.data() as Float32Array;
    } finally {
      depth.dispose();
    }
  };
  return {
    predict: async (pixels, shape) => {
      const [, , , width] = shape;
      const depth = await plain(pixels, shape);
      return flip ? flipAveraged(depth, await plain(mirroredMap(pixels, width), shape), width) : depth;
    },
    dispose: forward.dispose,
  };
}

/** Inputs with fewer values are prepared in less time than another thread would save. */
const LIGHT = 3 * 64 * 64;

/**
 * The threads that were asked for, else none for light work, else as the data set is worth.
 *
 * @param input What the model reads
 * @param asked The number that was asked for
 */
export function threadsFor({ height, width }: DepthTransformOptions, asked?: number): number | undefined {
  return asked ?? (3 * height * width < LIGHT ? 0 : undefined);
}

/** Values of the input of an evaluation batch, at most, where that leaves a picture: memory for what is computed of them. */
const EVALUATION_VALUES = 2 ** 20;

/**
 * Pictures of an evaluation at a time.
 *
 * @param input What the model reads
 * @param asked The number that was asked for
 */
export function evaluationRows({ height, width }: DepthTransformOptions, asked?: number): number {
  return asked ?? Math.max(1, Math.trunc(EVALUATION_VALUES / (3 * height * width)));
}

/** What {@linkcode depthPredictions} takes. */
export interface DepthEvaluation {
  /** Test data. */
  readonly dataset: DepthDataset;
  /** What the model reads. */
  readonly input: DepthTransformOptions;
  /** Average with the prediction for the mirrored picture. */
  readonly flip?: boolean;
  /** Use only a fixed choice of so many pictures. */
  readonly limit?: number;
  /** Threads that prepare pictures. */
  readonly workers?: number;
  /** Pictures at a time (default: as many as fill a million values of the model's input). */
  readonly evalBatch?: number;
}

/** A picture's prediction beside its truth. */
export interface DepthPrediction {
  /** Index in the data set. */
  readonly index: number;
  /** Metres, [height, width] of the truth. */
  readonly prediction: Float32Array;
  /** Metres, [height, width]; 0 where nothing was measured. */
  readonly truth: Float32Array;
  /** Rows of the truth. */
  readonly height: number;
  /** Columns of the truth. */
  readonly width: number;
}

/**
 * Predictions for test pictures, brought to the truth's size (bilinear, corners aligned).
 *
 * @param layer The model
 * @param params Its parameters
 * @param evaluation Of what
 */
export async function* depthPredictions(
  layer: Layer,
  params: Params,
  { dataset, input, flip, limit, workers, evalBatch }: DepthEvaluation,
): AsyncGenerator<DepthPrediction, void, void> {
  const batchSize = evaluationRows(input, evalBatch);
  const calls = (flip ? 2 : 1) * Math.ceil(Math.min(limit ?? Infinity, dataset.size) / batchSize);
  const predictor = depthPredictor(layer, params, flip, calls);
  const stream = depthBatches({
    dataset,
    transform: depthEvaluationTransform(input),
    batchSize,
    seed: 0,
    // A choice, since the first pictures of a data set are often of one scene.
    shuffle: limit !== undefined,
    limit,
    workers: threadsFor(input, workers),
  });
  try {
    const found = inTurn(stream, ({ pixels, shape }) => predictor.predict(pixels, shape));
    for await (const [{ shape, depth, depthShape: [count, height, width], indices }, maps] of found) {
      const [, , rows, columns] = shape;
      for (let i = 0; i < count; i++) {
        const map = maps.subarray(i * rows * columns, (i + 1) * rows * columns);
        const prediction = resampleMap(map, { height: rows, width: columns, channels: 1 }, [height, width]);
        const truth = depth.subarray(i * height * width, (i + 1) * height * width);
        yield { index: indices[i], prediction, truth, height, width };
      }
    }
  } finally {
    predictor.dispose();
  }
}

/**
 * All measures of a model on test data, by the data set's rules.
 *
 * @param layer The model
 * @param params Its parameters
 * @param evaluation Of what
 * @param protocol The rules
 *
 * @example
 * ```ts
 * import { key, useBackend } from "@onelora/onelora/dsl";
 * import { evaluateDepth, openTrained, sceneSplits } from "@onelora/onelora/tasks";
 * import { metricInput } from "./estimator.ts";
 * import { assert } from "@std/assert";
 * await useBackend("wasm");
 * const { model, layer, params } = await openTrained("dpt-micro", { key: key(0) });
 * const { test, protocol } = sceneSplits("indoor", { train: 1, test: 2 });
 * const { delta1 } = await evaluateDepth(layer, params, { dataset: test, input: metricInput(model) }, protocol);
 * assert(delta1 > 0.5);
 * ```
 */
export async function evaluateDepth(
  layer: Layer,
  params: Params,
  evaluation: DepthEvaluation,
  protocol: DepthProtocol,
): Promise<DepthMetrics> {
  let state = startDepth(protocol);
  for await (const { prediction, truth, height, width } of depthPredictions(layer, params, evaluation)) {
    state = updateDepth(state, prediction, truth, height, width);
  }
  return depthMetrics(state);
}
