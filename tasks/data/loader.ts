/**
 * Batches of a data set in a deterministic order, prepared ahead of the step that uses them.
 *
 * @module
 */

import { setImmediate } from "node:timers/promises";
import { OneloraError } from "../../dsl/error.ts";
import { fold, key, permutation } from "../../dsl/random.ts";
import type { ImageTransform } from "./augment.ts";
import type { ImageDataset } from "./dataset.ts";

/** A place in the stream of examples; two runs that start at the same place see the same batches from there on. */
export interface Position {
  /** Passes over the data set completed before this place. */
  readonly epoch: number;
  /** Examples of this pass before this place. */
  readonly offset: number;
}

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
  /** Label of each example. */
  readonly labels: Int32Array;
  /** Index in the data set of each example. */
  readonly indices: Uint32Array;
  /** Why each example that could not be read is missing, one line each. */
  readonly skipped: readonly string[];
}

/** What to batch, and how. */
export interface BatchOptions {
  /** Where examples come from. */
  readonly dataset: ImageDataset;
  /** From stored bytes to the model's input. */
  readonly transform: ImageTransform;
  /** Examples a batch; the last one of an epoch may have fewer. */
  readonly batchSize: number;
  /** Seed of the order and of the augmentation. */
  readonly seed: number;
  /** Where to start; the beginning by default. */
  readonly start?: Position;
  /** Passes in all, counted from epoch 0; 1 by default, `Infinity` for as long as batches are asked for. */
  readonly epochs?: number;
  /** A new order every epoch (default), or the data set's own. */
  readonly shuffle?: boolean;
  /** Leave out an epoch's last batch if it is not full. */
  readonly dropLast?: boolean;
  /** Use only so many examples: a seeded choice if shuffling, else the first ones. */
  readonly limit?: number;
  /** Batches in preparation while one is in use; 2 by default. */
  readonly prefetch?: number;
  /** Fail at the first unreadable example instead of leaving it out. */
  readonly strict?: boolean;
  /** Told why an example is left out, one line each, when its batch is handed over. */
  readonly onSkip?: (line: string) => void;
}

/** A batch yet to be prepared. */
interface Plan {
  readonly position: Position;
  readonly next: Position;
  readonly indices: Uint32Array;
}

function checkOptions(options: BatchOptions, count: number): void {
  const { batchSize, start = { epoch: 0, offset: 0 }, prefetch = 2, dropLast = false } = options;
  const whole = (value: number, least: number) => Number.isSafeInteger(value) && value >= least;
  const fail = (found: string, allowed: string): never => {
    throw new OneloraError({ attempted: `batching ${options.dataset.name}`, found, allowed });
  };
  if (options.dataset.size === 0) fail("no examples", "at least one");
  if (!whole(count, 1)) fail(`limit ${options.limit}`, "a positive whole number");
  if (!whole(batchSize, 1)) fail(`batch size ${batchSize}`, "a positive whole number");
  if (!whole(prefetch, 0)) fail(`prefetch ${prefetch}`, "a whole number");
  if (!whole(start.epoch, 0) || !whole(start.offset, 0) || start.offset >= count) {
    fail(`start at epoch ${start.epoch}, offset ${start.offset}`, `offset 0 to ${count - 1} of a whole epoch`);
  }
  if (dropLast && batchSize > count) fail(`batches of ${batchSize} without the last`, `at most ${count} examples each`);
}

function* plans(options: BatchOptions, count: number): Generator<Plan, void, void> {
  const { dataset, batchSize, seed, start = { epoch: 0, offset: 0 }, shuffle = true, dropLast = false } = options;
  const root = key(seed);
  const chosen = shuffle && count < dataset.size ? permutation(fold(root, "limit"), dataset.size) : undefined;
  for (let epoch = start.epoch; epoch < (options.epochs ?? 1); epoch++) {
    const order = shuffle
      ? permutation(fold(root, "shuffle", epoch), count)
      : Uint32Array.from({ length: count }, (_, i) => i);
    const last = dropLast ? count - batchSize : count - 1;
    for (let offset = epoch === start.epoch ? start.offset : 0; offset <= last; offset += batchSize) {
      const end = Math.min(count, offset + batchSize);
      yield {
        position: { epoch, offset },
        next: end + (dropLast ? batchSize : 1) > count ? { epoch: epoch + 1, offset: 0 } : { epoch, offset: end },
        indices: order.slice(offset, end).map((i) => chosen?.[i] ?? i),
      };
    }
  }
}

/** Reads and transforms the examples of a batch: the work to move to another thread, if it ever limits the step. */
async function prepare(plan: Plan, options: BatchOptions): Promise<Batch> {
  const { dataset, transform, seed } = options;
  const root = fold(key(seed), "augment", plan.position.epoch);
  const read = await Promise.all(Array.from(plan.indices, async (index) => {
    try {
      const example = await dataset.get(index);
      return { index, label: example.label, values: transform.apply(example, fold(root, index)) };
    } catch (error) {
      if (error instanceof OneloraError) return error;
      throw error;
    }
  }));
  const failures = read.filter((each) => each instanceof OneloraError);
  if (options.strict && failures.length > 0) throw failures[0];
  const examples = read.filter((each) => "values" in each);
  const size = transform.shape.reduce((product, each) => product * each, 1);
  const pixels = new Float32Array(examples.length * size);
  examples.forEach(({ values }, i) => pixels.set(values, i * size));
  return {
    position: plan.position,
    next: plan.next,
    pixels,
    shape: [examples.length, ...transform.shape],
    labels: Int32Array.from(examples, ({ label }) => label),
    indices: Uint32Array.from(examples, ({ index }) => index),
    skipped: failures.map(({ message }) => message),
  };
}

/**
 * Batches of a data set, prepared ahead of use.
 *
 * The order of epoch e is a permutation keyed by (seed, "shuffle", e), and the augmentation of an example is keyed by
 * (seed, "augment", e, index): batches depend on neither history, batch size nor prefetching, and a run that restarts at
 * a batch's `next` continues exactly. An example that cannot be read is left out of its batch (never replaced, so every
 * other example keeps its place), and a batch without any is passed over; if a whole pass has none, that is an error.
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
  const count = Math.min(options.limit ?? Infinity, options.dataset.size);
  checkOptions(options, count);
  const plan = plans(options, count);
  const ahead = options.prefetch ?? 2;
  const queue: Promise<Batch>[] = [];
  const fill = (length: number) => {
    while (queue.length < length) {
      const { value, done } = plan.next();
      if (done || value === undefined) return;
      const batch = prepare(value, options);
      // A failure belongs to whoever takes the batch, which may be later or never.
      batch.catch(() => {});
      queue.push(batch);
    }
  };
  let unread = 0;
  try {
    for (fill(ahead + 1); queue.length > 0; fill(1)) {
      const batch = await queue[0];
      queue.shift();
      for (const line of batch.skipped) options.onSkip?.(line);
      unread = batch.labels.length > 0 ? 0 : unread + batch.skipped.length;
      if (unread >= count) {
        throw new OneloraError({
          attempted: `batching ${options.dataset.name}`,
          found: `no readable example in a whole pass (${batch.skipped[0]})`,
          allowed: "at least one",
        });
      }
      if (batch.labels.length === 0) continue;
      // Started before the hand-over, so that decoding runs while the consumer computes.
      fill(ahead);
      // Where everything is in memory already, awaiting it never lets timers and signals (Ctrl-C) in; this does.
      await setImmediate();
      yield batch;
    }
  } finally {
    await Promise.allSettled(queue);
  }
}
