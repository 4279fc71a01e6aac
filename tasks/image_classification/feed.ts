/**
 * How a classifier is fed: what it expects of its images, and how examples become batches.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import { type ImageInput, preparationOf, usableImages } from "../../models/image_input.ts";
import type { Model } from "../../models/model.ts";
import type { Augmentation, TransformOptions } from "../data/augment.ts";
import type { LabelFit } from "./labels.ts";

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

/** How unreadable images are treated, who reads, and how the data's labels go with the model's. */
export interface EvaluationFeed extends Pick<FeedSettings, "strict" | "workers" | "evalBatch" | "onSkip" | "onTotal"> {
  /** By default the model's classes are the data's, a picture has one. */
  readonly fit?: LabelFit;
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
