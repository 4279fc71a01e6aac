/**
 * Batches of depth examples.
 *
 * @module
 */

import { OneloraError } from "../../dsl/error.ts";
import { type Position, stream, type StreamOptions } from "../data/stream.ts";
import type { DepthTransform } from "./augment.ts";
import type { DepthDataset } from "./dataset.ts";

/** Examples as one step takes them. */
export interface DepthBatch {
  /** Where the batch starts. */
  readonly position: Position;
  /** Where the next one starts: what to keep in a checkpoint. */
  readonly next: Position;
  /** The model's input, [batch, 3, height, width]. */
  readonly pixels: Float32Array;
  /** [batch, 3, height, width]. */
  readonly shape: readonly [number, number, number, number];
  /** The truth in metres at its own size, [batch, rows, columns]; 0 where nothing was measured. */
  readonly depth: Float32Array;
  /** [batch, rows, columns]. */
  readonly depthShape: readonly [number, number, number];
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
  const { dataset, transform } = options;
  const groups = stream({
    name: dataset.name,
    size: dataset.size,
    get: async (index, key) => transform.apply(await dataset.get(index), key),
  }, options);
  for await (const { items, ...group } of groups) {
    const [{ height, width }] = items;
    const other = items.find((item) => item.height !== height || item.width !== width);
    if (other !== undefined) {
      throw new OneloraError({
        attempted: `batching ${dataset.name}`,
        found: `depths of ${height}x${width} and of ${other.height}x${other.width} pixels in one batch`,
        allowed: "one size, or batches of one",
      });
    }
    const size = items[0].pixels.length;
    const pixels = new Float32Array(items.length * size);
    const depth = new Float32Array(items.length * height * width);
    items.forEach((item, i) => {
      pixels.set(item.pixels, i * size);
      depth.set(item.depth, i * height * width);
    });
    yield {
      ...group,
      pixels,
      shape: [items.length, ...transform.shape],
      depth,
      depthShape: [items.length, height, width],
    };
  }
}
