/**
 * What a classifier sees in a picture.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { compile } from "../../dsl/compile/mod.ts";
import { OneloraError } from "../../dsl/error.ts";
import type { Layer } from "../../dsl/layer.ts";
import { apply } from "../../dsl/apply.ts";
import { key } from "../../dsl/random.ts";
import type { Params } from "../../dsl/tree.ts";
import type { PicturePrediction } from "../trainer/prediction.ts";
import type { Model } from "../../models/mod.ts";
import { evaluationTransform } from "../data/augment.ts";
import type { ImageExample } from "../data/dataset.ts";
import { squareImages, transformOptions } from "./feed.ts";
import { takesSeveral } from "./labels.ts";

/** A class and how likely it is. */
export interface ClassProbability {
  /** The class's name. */
  readonly label: string;
  /** softmax(logits) of it, or sigmoid of its own where a picture may have several. */
  readonly probability: number;
}

/**
 * The likeliest classes of a picture, likeliest first.
 *
 * @param model The model's description
 * @param layer Its layer, adapted or not
 * @param params Its parameters
 * @param picture The picture, any size
 * @param count How many classes at most (default 5)
 * @throws OneloraError for a model that takes no square images
 */
export async function predictClasses(
  model: Model,
  layer: Layer,
  params: Params,
  picture: Omit<ImageExample, "label">,
  count: number = 5,
): Promise<readonly ClassProbability[]> {
  const { shape, apply: prepare } = evaluationTransform(transformOptions(squareImages(model)));
  const pixels = prepare({ ...picture, label: 0 }, key(0));
  const several = takesSeveral(model);
  // Compiled, so that every tensor is freed after its last use.
  const forward = compile((all: Params, given: tf.Tensor) => {
    const logits = apply(layer, all)(given);
    return several ? tf.sigmoid(logits) : tf.softmax(logits);
  }, { graph: true, calls: 1 });
  const found = tf.tidy(() => forward(params, tf.tensor(pixels, [1, ...shape])));
  forward.dispose();
  try {
    const probabilities = await found.data<"float32">();
    return [...probabilities].map((probability, i) => ({ label: model.labels?.[i] ?? `${i}`, probability }))
      .sort((a, b) => b.probability - a.probability).slice(0, count);
  } finally {
    found.dispose();
  }
}

/** Likely classes of pictures in files: printed, nothing is written. */
export const classesOfPictures: PicturePrediction<undefined> = {
  places: (pictures, output) => {
    if (output === undefined) return pictures.map(() => undefined);
    const allowed = "no `output`: classes are printed";
    throw new OneloraError({ attempted: "predicting classes", found: `\`output: ${output}\``, allowed }, {
      exitCode: 2,
    });
  },
  size: () => ({ batch: 1, length: 0 }),
  predict: async ({ model, layer, params }, { path, ...pixels }) => {
    const classes = await predictClasses(model, layer, params, { ...pixels, channels: 3 });
    const lines = classes.map(({ label, probability }) => `${(100 * probability).toFixed(2).padStart(6)} %  ${label}`);
    return { data: { image: path, classes }, lines: [path, ...lines] };
  },
};
