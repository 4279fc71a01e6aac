/**
 * Batches of a data set of images in a deterministic order, prepared ahead of the step that uses them.
 *
 * @module
 */

import type { ImageTransform } from "./augment.ts";
import type { ImageDataset, ImageExample } from "./dataset.ts";
import { type Origin, originOf, readsOf, remake } from "./origin.ts";
import { type ExampleSource, type Position, type Preparer, stream, type StreamOptions } from "./stream.ts";

export type { Position } from "./stream.ts";

/** Examples as one step takes them. */
export interface Batch {
  /** Where the batch starts. */
  readonly position: Position;
  /** Where the next one starts: what to keep in a checkpoint. */
  readonly next: Position;
  /** [batch, channels, height, width] numbers in row-major order. */
  readonly pixels: Float32Array;
  /** [batch, channels, height, width]. */
  readonly shape: readonly [number, number, number, number];
  /** Label of each example; of several, the first, or -1. */
  readonly labels: Int32Array;
  /** [batch, classes] ones where an example is of a class, else zeros, if `manyHot` asks for it. */
  readonly targets?: Float32Array;
  /** Index in the data set of each example. */
  readonly indices: Uint32Array;
  /** Why each example that could not be read is missing, one line each. */
  readonly skipped: readonly string[];
}

/** What to batch, and how. */
export interface BatchOptions extends StreamOptions {
  /** Where examples come from. */
  readonly dataset: ImageDataset;
  /** From stored bytes to the model's input. */
  readonly transform: ImageTransform;
  /** The model's number for each class of the data; by default the same. */
  readonly relabel?: Int32Array;
  /** Classes of the model, if targets for each of them are wanted. */
  readonly manyHot?: number;
}

/** An image as a model reads it. */
export interface PreparedImage {
  /** Index into the data set's classes; of several, the first, or -1. */
  readonly label: number;
  /** All of them, if there may be any number. */
  readonly labels?: readonly number[];
  /** [channels, height, width] numbers in row-major order. */
  readonly values: Float32Array;
}

function preparedFrom({ label, labels }: ImageExample, values: Float32Array): PreparedImage {
  return labels === undefined ? { label, values } : { label, labels, values };
}

/** What an image is of. */
export type Labelled = Pick<PreparedImage, "label" | "labels">;

/**
 * What a batch's images are of, by the model's numbers.
 *
 * @param items The images
 * @param options The model's numbers, and whether targets are wanted
 */
export function labelsOf(
  items: readonly Labelled[],
  { relabel, manyHot: count }: Pick<BatchOptions, "relabel" | "manyHot">,
): Pick<Batch, "labels" | "targets"> {
  const number = (label: number) => relabel === undefined || label < 0 ? label : relabel[label];
  const labels = Int32Array.from(items, ({ label }) => number(label));
  if (count === undefined) return { labels };
  const targets = new Float32Array(items.length * count);
  items.forEach(({ label, labels = [label] }, i) => {
    for (const each of labels) targets[i * count + number(each)] = 1;
  });
  return { labels, targets };
}

/**
 * How another thread makes examples: with a data set that it opens itself, or of images that it is sent.
 *
 * @param transform How it makes the transform
 * @param dataset How it opens the data set
 */
export async function imagePreparer(transform: Origin, dataset?: Origin): Promise<Preparer<PreparedImage>> {
  const { apply } = await remake<ImageTransform>(transform);
  const opened = dataset === undefined ? undefined : await remake<ImageDataset>(dataset);
  return async (index, key, stored) => {
    const example = opened === undefined ? stored as ImageExample : await opened.get(index);
    return preparedFrom(example, apply(example, key));
  };
}

/** Inputs with fewer values are prepared in less time than another thread would save. */
const LIGHT = 3 * 64 * 64;

/**
 * Prepared images as a stream takes them.
 *
 * @param dataset Where they come from
 * @param transform From stored bytes to the model's input
 */
export function imageSource(dataset: ImageDataset, transform: ImageTransform): ExampleSource<PreparedImage> {
  const { name, size } = dataset;
  const [stored, made] = [originOf(dataset.get), originOf(transform.apply)];
  const values = transform.shape.reduce((product, each) => product * each, 1);
  const get = async (index: number) => await dataset.get(index);
  return {
    name,
    size,
    get: async (index, key) => {
      const example = await get(index);
      return preparedFrom(example, transform.apply(example, key));
    },
    portable: made && {
      origin: {
        module: import.meta.url,
        name: "imagePreparer",
        arguments: [made, stored],
        reads: readsOf(stored === undefined ? [made] : [made, stored]),
      },
      heavy: stored !== undefined || transform.random === true || values >= LIGHT,
      stored: stored === undefined
        ? async (index) => {
          const example = await get(index);
          // A copy: its bytes move to the other thread, and the data set's may be a view of all of them.
          return { ...example, pixels: example.pixels.slice() };
        }
        : undefined,
    },
  };
}

/**
 * Batches of a data set, prepared ahead of use.
 *
 * Order, keys and unreadable examples are those of {@linkcode stream}.
 *
 * @param options What to batch, and how
 *
 * @example
 * ```ts
 * import { batches, evaluationTransform, type ImageDataset } from "@onelora/onelora/tasks";
 * import { assertEquals } from "@std/assert";
 * const dataset: ImageDataset = {
 *   name: "grey",
 *   size: 3,
 *   classes: ["dark", "light"],
 *   get: (i) => ({ pixels: Uint8Array.of(127 * i), height: 1, width: 1, channels: 1, label: i >> 1 }),
 * };
 * const transform = evaluationTransform({ size: 1, channels: 1, mean: [0], std: [1] });
 * const seen = await Array.fromAsync(batches({ dataset, transform, batchSize: 2, seed: 0, shuffle: false }));
 * assertEquals(seen.map(({ labels }) => [...labels]), [[0, 0], [1]]);
 * assertEquals(seen[0].next, { epoch: 0, offset: 2 });
 * ```
 */
export async function* batches(options: BatchOptions): AsyncGenerator<Batch, void, void> {
  const { dataset, transform } = options;
  const size = transform.shape.reduce((product, each) => product * each, 1);
  const groups = stream(imageSource(dataset, transform), options);
  for await (const { position, next, items, indices, skipped } of groups) {
    const pixels = new Float32Array(items.length * size);
    items.forEach(({ values }, i) => pixels.set(values, i * size));
    yield {
      position,
      next,
      pixels,
      shape: [items.length, ...transform.shape],
      ...labelsOf(items, options),
      indices,
      skipped,
    };
  }
}
