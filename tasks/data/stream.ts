/**
 * Groups of examples in a deterministic order, prepared ahead of the step that uses them: what every task's loader shares.
 *
 * @module
 */

import { OneloraError } from "../../dsl/error.ts";
import { fold, key, permutation } from "../../dsl/random.ts";
import { immediate, turn } from "../../dsl/turn.ts";
import { type ExampleSource, type Readers, startReaders, threadCount } from "./readers.ts";

export type { ExampleSource, Portable, Preparer } from "./readers.ts";

/** A place in the stream of examples; two runs that start at the same place see the same batches from there on. */
export interface Position {
  /** Passes over the data set completed before this place. */
  readonly epoch: number;
  /** Examples of this pass before this place. */
  readonly offset: number;
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
  /**
   * Other threads that prepare examples, with the same result whatever their number; by default none for light work, else
   * one for every processor but one, at most four. 0 for none.
   */
  readonly workers?: number;
  /** Fail at the first unreadable example instead of leaving it out. */
  readonly strict?: boolean;
  /** Called with the reason why an example is left out, one line each, when its batch is handed over. */
  readonly onSkip?: (line: string) => void;
  /**
   * Called at the end of an epoch, and where the stream ends within one, with how many examples were left out, if any: e.g.
   * `3 of 1,000 examples of mnist/train left out in epoch 1`.
   */
  readonly onTotal?: (line: string) => void;
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

const MOST_WORKERS = 256;

/** What planning needs to know of a source. */
type Extent = Pick<ExampleSource<unknown>, "name" | "size">;

function checkOptions({ name, size }: Extent, options: StreamOptions, count: number): void {
  const { batchSize, start = { epoch: 0, offset: 0 }, prefetch = 2, workers = 0, dropLast = false } = options;
  const whole = (value: number, least: number) => Number.isSafeInteger(value) && value >= least;
  const fail = (found: string, allowed: string): never => {
    throw new OneloraError({ attempted: `batching ${name}`, found, allowed });
  };
  if (size === 0) fail("no examples", "at least one");
  if (!whole(count, 1)) fail(`limit ${options.limit}`, "a positive whole number");
  if (!whole(batchSize, 1)) fail(`batch size ${batchSize}`, "a positive whole number");
  if (!whole(prefetch, 0)) fail(`prefetch ${prefetch}`, "a whole number");
  if (!whole(workers, 0) || workers > MOST_WORKERS) fail(`${workers} workers`, `0 to ${MOST_WORKERS}`);
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

async function prepare<Item>(plan: Plan, readers: Readers<Item>, options: StreamOptions): Promise<ExampleGroup<Item>> {
  const root = fold(key(options.seed), "augment", plan.position.epoch);
  const read = await readers.read(plan.indices, root);
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
 * How many examples were left out, as a line; nothing if none was.
 *
 * @param skipped How many were
 * @param seen Of how many
 * @param name Of which data set
 */
export function leftOut(skipped: number, seen: number, name: string): string | undefined {
  const [some, all] = [skipped, seen].map((count) => count.toLocaleString("en-US"));
  return skipped > 0 ? `${some} of ${all} examples of ${name} left out` : undefined;
}

/** Counts what is left out, and tells it at the end of every epoch. */
function tally(name: string, onTotal: StreamOptions["onTotal"]) {
  let [seen, skipped, epoch] = [0, 0, 0];
  const tell = () => {
    const line = leftOut(skipped, seen, name);
    if (line !== undefined) onTotal?.(`${line} in epoch ${epoch + 1}`);
    [seen, skipped] = [0, 0];
  };
  return {
    tell,
    add: (group: ExampleGroup<unknown>) => {
      epoch = group.position.epoch;
      seen += group.items.length + group.skipped.length;
      skipped += group.skipped.length;
      if (group.next.epoch > epoch) tell();
    },
  };
}

/**
 * Groups of a source's examples, prepared ahead of use.
 *
 * The order of epoch e is a permutation keyed by (seed, "shuffle", e), and the augmentation of an example is keyed by
 * (seed, "augment", e, index): groups depend on neither history, batch size nor prefetching, and a run that restarts at
 * a group's `next` continues exactly. An example that cannot be read is left out of its group (never replaced, so every
 * other example keeps its place), and a group without any is passed over; if a whole pass has none, that is an error.
 * Other threads, which are taken with the first group and given back with the last, change nothing of all this.
 *
 * @param source Where examples come from
 * @param options How to batch
 *
 * @example
 * ```ts
 * import { stream } from "./stream.ts";
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
  const threads = threadCount(source, options.workers);
  const ahead = Math.max(options.prefetch ?? 2, threads);
  const readers = await startReaders(source, threads);
  const queue: Promise<ExampleGroup<Item>>[] = [];
  const fill = (length: number) => {
    while (queue.length < length) {
      const { value, done } = plan.next();
      if (done || value === undefined) return;
      const group = prepare(value, readers, options);
      // A failure belongs to whoever takes the group, which may be later or never.
      group.catch(() => {});
      queue.push(group);
    }
  };
  const total = tally(source.name, options.onTotal);
  let unread = 0;
  try {
    for (fill(ahead + 1); queue.length > 0; fill(1)) {
      const group = await queue[0];
      queue.shift();
      for (const line of group.skipped) options.onSkip?.(line);
      total.add(group);
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
      await immediate();
      await turn();
      yield group;
    }
  } finally {
    await Promise.allSettled(queue);
    readers.close();
    total.tell();
  }
}
