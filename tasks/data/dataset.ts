/**
 * What an image classification data set is: examples by index, as plain bytes.
 *
 * @module
 */

import { OneloraError } from "../../dsl/error.ts";

/** One labelled image. */
export interface ImageExample {
  /** Bytes in [height, width, channels] order, 0 to 255. */
  readonly pixels: Uint8Array;
  /** Rows. */
  readonly height: number;
  /** Columns. */
  readonly width: number;
  /** 1 (grey) or 3 (red, green, blue). */
  readonly channels: number;
  /** Index into the data set's classes; of several, the first, or -1 without one. */
  readonly label: number;
  /** Indices of all its classes, in increasing order, if the data set gives any number of them. */
  readonly labels?: readonly number[];
}

/** Labelled images by index; reading the same index twice gives the same example. */
export interface ImageDataset {
  /** For messages and records, e.g. `mnist/train`. */
  readonly name: string;
  /** How many examples. */
  readonly size: number;
  /** Class names, by label. */
  readonly classes: readonly string[];
  /** Whether an image may be of several classes, or of none. */
  readonly multiLabel?: boolean;
  /** The label of an example without reading its image, where it is known. */
  readonly labelOf?: (index: number) => number;
  /** All labels of an example without reading its image, where they are known. */
  readonly labelsOf?: (index: number) => readonly number[];
  /** The example at an index in 0..size-1; an unreadable one is an `OneloraError` that names it. */
  get(index: number): ImageExample | Promise<ImageExample>;
}

/** The parts of a data set: one to learn from, one to be judged on. */
export interface ImageSplits {
  /** Examples to train on. */
  readonly train: ImageDataset;
  /** Examples to evaluate on. */
  readonly test: ImageDataset;
  /** What a person should know of the data, a line each: what was left out. */
  readonly notes?: readonly string[];
  /** Where its files are, if its name does not say. */
  readonly paths?: readonly string[];
  /** Bytes of it that are in memory all the while, where its files are read whole. */
  readonly held?: number;
}

/**
 * A data set from a function of the index, with the index checked.
 *
 * @param dataset A data set whose `get` may assume that the index is in range
 */
export function checked(dataset: ImageDataset): ImageDataset {
  return {
    ...dataset,
    get(index: number): ImageExample | Promise<ImageExample> {
      if (Number.isInteger(index) && index >= 0 && index < dataset.size) return dataset.get(index);
      throw new OneloraError({
        attempted: `reading an example of ${dataset.name}`,
        found: `index ${index}`,
        allowed: `0 to ${dataset.size - 1}`,
      });
    },
  };
}
