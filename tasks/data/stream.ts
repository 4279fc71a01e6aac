/**
 * Groups of examples in a deterministic order, prepared ahead of the step that uses them: what every task's loader shares.
 *
 * @module
 */

import { setImmediate } from "node:timers/promises";
import { OneloraError } from "../../dsl/error.ts";
import { fold, type Key, key, permutation } from "../../dsl/random.ts";

/** A place in the stream of examples; two runs that start at the same place see the same batches from there on. */
export interface Position {
  /** Passes over the data set completed before this place. */
  readonly epoch: number;
  /** Examples of this pass before this place. */
  readonly offset: number;
}

/** Where examples come from, ready for a model. */
export interface ExampleSource<Item> {
  /** For messages, e.g. `mnist/train`. */
  readonly name: string;
  /** How many examples. */
  readonly size: number;
  /**
   * The example at an index, its random choices a pure function of the key; an unreadable one is an `OneloraError`. The
   * work to move to another thread, if it ever limits the step.
   */
  get(index: number, key: Key): Item | Promise<Item>;
}

/** How to batch, whatever the examples are. */
export interface StreamOptions {
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

/** A group yet to be prepared. */
interface Plan {
  readonly position: Position;
  readonly next: Position;
  readonly indices: Uint32Array;
}

/** Examples that were read together. */
export interface ExampleGroup<Item> {
  /** Where the group starts. */
  readonly position: Position;
  /** Where the next one starts: what to keep in a checkpoint. */
  readonly next: Position;
  /** What could be read, at least one. */
  readonly items: readonly Item[];
  /** Index in the data set of each item. */
  readonly indices: Uint32Array;
  /** Why each example that could not be read is missing, one line each. */
  readonly skipped: readonly string[];
}

/** What planning needs to know of a source. */
type Extent = Pick<ExampleSource<unknown>, "name" | "size">;

function checkOptions({ name, size }: Extent, options: StreamOptions, count: number): void {
  const { batchSize, start = { epoch: 0, offset: 0 }, prefetch = 2, dropLast = false } = options;
  const whole = (value: number, least: number) => Number.isSafeInteger(value) && value >= least;
  const fail = (found: string, allowed: string): never => {
    throw new OneloraError({ attempted: `batching ${name}`, found, allowed });
  };
  if (size === 0) fail("no examples", "at least one");
  if (!whole(count, 1)) fail(`limit ${options.limit}`, "a positive whole number");
  if (!whole(batchSize, 1)) fail(`batch size ${batchSize}`, "a positive whole number");
  if (!whole(prefetch, 0)) fail(`prefetch ${prefetch}`, "a whole number");
  if (!whole(start.epoch, 0) || !whole(start.offset, 0) || start.offset >= count) {
    fail(`start at epoch ${start.epoch}, offset ${start.offset}`, `offset 0 to ${count - 1} of a whole epoch`);
  }
  if (dropLast && batchSize > count) fail(`batches of ${batchSize} without the last`, `at most ${count} examples each`);
}

function* plans({ size }: Extent, options: StreamOptions, count: number): Generator<Plan, void, void> {
  const { batchSize, seed, start = { epoch: 0, offset: 0 }, shuffle = true, dropLast = false } = options;
  const root = key(seed);
  const chosen = shuffle && count < size ? permutation(fold(root, "limit"), size) : undefined;
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

async function prepare<Item>(
  plan: Plan,
  source: ExampleSource<Item>,
  options: StreamOptions,
): Promise<ExampleGroup<Item>> {
  const root = fold(key(options.seed), "augment", plan.position.epoch);
  const read = await Promise.all(Array.from(plan.indices, async (index) => {
    try {
      return { index, item: await source.get(index, fold(root, index)) };
    } catch (error) {
      if (error instanceof OneloraError) return error;
      throw error;
    }
  }));
  const failures = read.filter((each) => each instanceof OneloraError);
  if (options.strict && failures.length > 0) throw failures[0];
  const good = read.filter((each): each is Exclude<typeof each, OneloraError> => !(each instanceof OneloraError));
  return {
    position: plan.position,
    next: plan.next,
    items: good.map(({ item }) => item),
    indices: Uint32Array.from(good, ({ index }) => index),
    skipped: failures.map(({ message }) => message),
  };
}

/**
 * Groups of a source's examples, prepared ahead of use.
 *
 * The order of epoch e is a permutation keyed by (seed, "shuffle", e), and the augmentation of an example is keyed by
 * (seed, "augment", e, index): groups depend on neither history, batch size nor prefetching, and a run that restarts at
 * a group's `next` continues exactly. An example that cannot be read is left out of its group (never replaced, so every
 * other example keeps its place), and a group without any is passed over; if a whole pass has none, that is an error.
 *
 * @param source Where examples come from
 * @param options How to batch
 *
 * @example
 * ```ts
 * import { stream } from "@onelora/onelora/tasks";
 * import { assertEquals } from "@std/assert";
 * const squares = { name: "squares", size: 3, get: (i: number) => i * i };
 * const groups = await Array.fromAsync(stream(squares, { batchSize: 2, seed: 0, shuffle: false }));
 * assertEquals(groups.map(({ items }) => items), [[0, 1], [4]]);
 * assertEquals(groups[0].next, { epoch: 0, offset: 2 });
 * ```
 */
export async function* stream<Item>(
  source: ExampleSource<Item>,
  options: StreamOptions,
): AsyncGenerator<ExampleGroup<Item>, void, void> {
  const count = Math.min(options.limit ?? Infinity, source.size);
  checkOptions(source, options, count);
  const plan = plans(source, options, count);
  const ahead = options.prefetch ?? 2;
  const queue: Promise<ExampleGroup<Item>>[] = [];
  const fill = (length: number) => {
    while (queue.length < length) {
      const { value, done } = plan.next();
      if (done || value === undefined) return;
      const group = prepare(value, source, options);
      // A failure belongs to whoever takes the group, which may be later or never.
      group.catch(() => {});
      queue.push(group);
    }
  };
  let unread = 0;
  try {
    for (fill(ahead + 1); queue.length > 0; fill(1)) {
      const group = await queue[0];
      queue.shift();
      for (const line of group.skipped) options.onSkip?.(line);
      unread = group.items.length > 0 ? 0 : unread + group.skipped.length;
      if (unread >= count) {
        throw new OneloraError({
          attempted: `batching ${source.name}`,
          found: `no readable example in a whole pass (${group.skipped[0]})`,
          allowed: "at least one",
        });
      }
      if (group.items.length === 0) continue;
      // Started before the hand-over, so that decoding runs while the consumer computes.
      fill(ahead);
      // Where everything is in memory already, awaiting it never lets timers and signals (Ctrl-C) in; this does.
      await setImmediate();
      yield group;
    }
  } finally {
    await Promise.allSettled(queue);
  }
}
