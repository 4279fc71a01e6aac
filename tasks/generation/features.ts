/**
 * The distance between sampled pictures and real ones, in the features of a model that tells pictures apart.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { compile } from "../../dsl/compile/mod.ts";
import { OneloraError } from "../../dsl/error.ts";
import type { Layer } from "../../dsl/layer.ts";
import { apply } from "../../dsl/apply.ts";
import { key } from "../../dsl/random.ts";
import { release } from "../../dsl/release.ts";
import type { Params } from "../../dsl/tree.ts";
import { loadParams, type Model, openModel } from "../../models/mod.ts";
import { evaluationTransform, type ImageTransform } from "../data/augment.ts";
import type { ImageDataset } from "../data/dataset.ts";
import { batches } from "../data/loader.ts";
import { type FeatureStatistics, startFeatures, updateFeatures } from "./fid.ts";
import type { CleanBatch } from "./objective.ts";
import { centreCrop, generationTransform, toBytes } from "./preprocess.ts";

/** Features of pictures. */
export interface FeatureExtractor extends Disposable {
  /** Statistics of a data set's images, all of them or a fixed choice of so many. */
  readonly ofImages: (dataset: ImageDataset, limit?: number) => Promise<FeatureStatistics>;
  /** Statistics of sampled pictures, each rounded to bytes as a file would hold it. */
  readonly ofPictures: (pictures: AsyncIterable<CleanBatch>) => Promise<FeatureStatistics>;
}

/** Images of a data set at a time where nothing is said. */
export const FEATURE_BATCH = 100;

/** A classifier without its head: what the head is given. A model without one gives its features itself. */
function withoutHead({ layer, headPath, signature, name, family }: Model): Layer {
  if (headPath !== undefined && layer.parts[headPath] !== undefined) {
    const same: Layer = { kind: "identity", params: {}, parts: {}, forward: (_, x) => x };
    return { ...layer, parts: { ...layer.parts, [headPath]: same } };
  }
  if (signature.outputs.includes("features")) return layer;
  throw new OneloraError({
    attempted: `measuring distances in the features of ${name}`,
    found: `a ${family} model`,
    allowed: "a vit or inception_v3 model",
  }, { exitCode: 2 });
}

/** Sampled pictures as a data set. */
function asDataset({ values, shape: [count, channels, height, width], labels }: CleanBatch): ImageDataset {
  const bytes = toBytes(values);
  const area = height * width;
  return {
    name: "samples",
    size: count,
    classes: [],
    get: (index) => {
      const from = index * channels * area;
      const pixels = Uint8Array.from({ length: channels * area }, (_, i) => {
        const [place, channel] = [Math.floor(i / channels), i % channels];
        return bytes[from + channel * area + place];
      });
      return { pixels, height, width, channels, label: labels[index] };
    },
  };
}

/** The middle of a picture as the model takes it; any size, for one that does not say. */
function transformOf({ image }: Model, size: number): ImageTransform {
  if (image === undefined) return generationTransform({ size, channels: 3, flip: 0 });
  const { height, channels, mean, std } = image;
  const resized = evaluationTransform({ size: height, channels, mean, std });
  return { shape: resized.shape, apply: (example, key) => resized.apply(centreCrop(example, size), key) };
}

/** A model that gives features, and what pictures are made into for it. */
export interface DescribedFeatures {
  /** The model. */
  readonly model: Model;
  /** What computes features of its parameters. */
  readonly layer: Layer;
  /** What pictures are made into. */
  readonly transform: ImageTransform;
}

/**
 * Describes a measure of pictures; no weights are read.
 *
 * @param name Preset name or folder
 * @param size Side of the pictures
 * @throws OneloraError for a model that gives no features
 */
export async function describeFeatures(name: string, size: number): Promise<DescribedFeatures> {
  const model = await openModel(name);
  return { model, layer: withoutHead(model), transform: transformOf(model, size) };
}

/**
 * Opens a model as a measure of pictures: the features that its head is given, ViT's class token after the last norm,
 * InceptionV3's pooled 2048. Pictures are resized to what the model takes; InceptionV3 does that itself.
 *
 * @param name Preset name or folder
 * @param size Side of the pictures; images of a data set are cropped to it, as for training
 * @param batchSize Images of a data set at a time
 * @throws OneloraError for a model that gives no features, or has no weights
 */
export async function openFeatures(
  name: string,
  size: number,
  batchSize: number = FEATURE_BATCH,
): Promise<FeatureExtractor> {
  const { model, layer, transform } = await describeFeatures(name, size);
  if (model.folder === undefined) {
    throw new OneloraError({
      attempted: `measuring distances in the features of ${name}`,
      found: "no weights",
      allowed: "a folder, or PRESET=FILE with its weights",
    }, { exitCode: 2 });
  }
  const { params } = await loadParams(model, key(0), model.layer, { reading: "passes" });
  const forward = compile((all: Params, pixels: tf.Tensor) => apply(layer, all)(pixels), { graph: true });
  const gather = async (start: FeatureStatistics | undefined, dataset: ImageDataset, limit?: number) => {
    let state = start;
    const options = { dataset, transform, batchSize, seed: 0, shuffle: limit !== undefined, limit };
    for await (const { pixels, shape } of batches(options)) {
      const features = tf.tidy(() => forward(params, tf.tensor4d(pixels, [...shape])));
      state = updateFeatures(state ?? startFeatures(features.shape[1]!), await features.data<"float32">());
      features.dispose();
      // A hundred pictures of 224 are 60 MB, which JavaScript would not look for until there are several batches of them.
      release(pixels);
    }
    return state!;
  };
  return {
    ofImages: (dataset, limit) => gather(undefined, dataset, limit),
    ofPictures: async (pictures) => {
      let state: FeatureStatistics | undefined;
      for await (const batch of pictures) state = await gather(state, asDataset(batch));
      return state!;
    },
    [Symbol.dispose]: () => {
      forward.dispose();
      tf.dispose(Object.values(params));
    },
  };
}
