/**
 * Batches of depth examples.
 *
 * @module
 */

import { OneloraError } from "../../dsl/error.ts";
import { type Origin, originOf, readsOf, remake } from "../data/origin.ts";
import { type StepRun, stepSpans } from "../trainer/parts.ts";
import { type ExampleSource, type Position, type Preparer, stream, type StreamOptions } from "../data/stream.ts";
import type { DepthSample, DepthTransform } from "./augment.ts";
import type { DepthDataset, DepthExample } from "./dataset.ts";

/** Examples that are computed with at once. */
export interface DepthPart {
  /** The model's input, [batch, 3, height, width]. */
  readonly pixels: Float32Array;
  /** [batch, 3, height, width]; of bytes four to a number, [batch, 3, height, width / 4] of the pictures. */
  readonly shape: readonly [number, number, number, number];
  /** What bytes stand for, where the pixels are those: [batch, 3, 256]. */
  readonly tables?: Float32Array;
  /** The truth in metres at its own size, [batch, rows, columns]; 0 where nothing was measured. */
  readonly depth: Float32Array;
  /** [batch, rows, columns]. */
  readonly depthShape: readonly [number, number, number];
}

/** Examples as one step takes them. */
export interface DepthBatch extends DepthPart {
  /** Where the batch starts. */
  readonly position: Position;
  /** Where the next one starts: what to keep in a checkpoint. */
  readonly next: Position;
  /** Index in the data set of each example. */
  readonly indices: Uint32Array;
  /** Why each example that could not be read is missing, one line each. */
  readonly skipped: readonly string[];
}

/** What to batch, and how. */
export interface DepthBatchOptions extends StreamOptions {
  /** Where examples come from. */
  readonly dataset: DepthDataset;
  /** From stored examples to the model's input. */
  readonly transform: DepthTransform;
}

/**
 * How another thread makes samples: with a data set that it opens itself, or of examples that it is sent.
 *
 * @param transform How it makes the transform
 * @param dataset How it opens the data set
 */
export async function depthPreparer(transform: Origin, dataset?: Origin): Promise<Preparer<DepthSample>> {
  const { apply } = await remake<DepthTransform>(transform);
  const opened = dataset === undefined ? undefined : await remake<DepthDataset>(dataset);
  return async (index, key, stored) => {
    const example = opened === undefined ? stored as DepthExample : await opened.get(index);
    const sample = apply(example, key);
    // The data set may keep its examples, and what is given moves away.
    return sample.depth === example.depth ? { ...sample, depth: sample.depth.slice() } : sample;
  };
}

/**
 * Depth samples as a stream takes them.
 *
 * @param dataset Where they come from
 * @param transform From stored examples to the model's input
 */
export function depthSource(dataset: DepthDataset, transform: DepthTransform): ExampleSource<DepthSample> {
  const { name, size } = dataset;
  const [stored, made] = [originOf(dataset.get), originOf(transform.apply)];
  const get = async (index: number) => await dataset.get(index);
  return {
    name,
    size,
    get: async (index, key) => transform.apply(await get(index), key),
    portable: made && {
      origin: {
        module: import.meta.url,
        name: "depthPreparer",
        arguments: [made, stored],
        reads: readsOf(stored === undefined ? [made] : [made, stored]),
      },
      heavy: true,
      stored: stored === undefined
        ? async (index) => {
          const example = await get(index);
          return { ...example, pixels: example.pixels.slice(), depth: example.depth.slice() };
        }
        : undefined,
    },
  };
}

/**
 * Batches of a depth data set, prepared ahead of use; order, keys and unreadable examples are those of `stream`. The truths
 * of a batch must have one size: pictures of several sizes can only be batched one by one.
 *
 * @param options What to batch, and how
 *
 * @example
 * ```ts
 * import { depthBatches, depthEvaluationTransform, sceneSplits } from "@onelora/onelora/tasks";
 * import { assertEquals } from "@std/assert";
 * const { train } = sceneSplits("indoor", { height: 14, width: 28, train: 3, test: 1 });
 * const transform = depthEvaluationTransform({ height: 14, width: 14, mean: [0, 0, 0], std: [1, 1, 1] });
 * const [first] = await Array.fromAsync(depthBatches({ dataset: train, transform, batchSize: 2, seed: 0 }));
 * assertEquals([first.shape, first.depthShape], [[2, 3, 14, 14], [2, 14, 28]]);
 * ```
 */
export async function* depthBatches(options: DepthBatchOptions): AsyncGenerator<DepthBatch, void, void> {
  for await (const { batches: [batch], ...group } of depthGroups({ ...options, parts: options })) {
    yield { ...group, ...batch };
  }
}

/** A step's examples in parts. */
export interface DepthGroup extends Omit<DepthBatch, keyof DepthPart> {
  /** The parts, at least one. */
  readonly batches: readonly DepthPart[];
}

/**
 * The same in the parts of a step, each of which must have truths of one size.
 *
 * @param options What to batch, and how
 */
export async function* depthGroups(
  options: DepthBatchOptions & { readonly parts: StepRun },
): AsyncGenerator<DepthGroup, void, void> {
  const { dataset, transform, parts } = options;
  for await (const { items, ...group } of stream(depthSource(dataset, transform), options)) {
    const batches = stepSpans(items.length, parts).map((span) => sideBySide(items.slice(...span), dataset, transform));
    yield { ...group, batches };
  }
}

function sideBySide(items: readonly DepthSample[], { name }: DepthDataset, transform: DepthTransform): DepthPart {
  const [{ height, width }] = items;
  const other = items.find((item) => item.height !== height || item.width !== width);
  if (other !== undefined) {
    throw new OneloraError({
      attempted: `batching ${name}`,
      found: `depths of ${height}x${width} and of ${other.height}x${other.width} pixels in one batch`,
      allowed: "one size, or batches of one (`accumulate` computes a step's examples one by one)",
    });
  }
  const size = items[0].pixels.length;
  const pixels = new Float32Array(items.length * size);
  const depth = new Float32Array(items.length * height * width);
  items.forEach((item, i) => {
    pixels.set(item.pixels, i * size);
    depth.set(item.depth, i * height * width);
  });
  const truth = { depth, depthShape: [items.length, height, width] } as const;
  // Pictures of one size are all left as bytes, or none is.
  if (items[0].table === undefined) return { pixels, shape: [items.length, ...transform.shape], ...truth };
  const tables = Float32Array.from(
    { length: items.length * 768 },
    (_, i) => items[Math.floor(i / 768)].table![i % 768],
  );
  return { pixels, shape: [items.length, 3, height, width / 4], tables, ...truth };
}
