/**
 * Batches of questions of similar length, in a deterministic order.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import { fold, key, permutation } from "../../dsl/random.ts";
import type { Position } from "../data/loader.ts";
import { type EncodedExample, padExamples, type TokenBatch } from "./encode.ts";

/** A batch and its place. */
export interface ReasoningBatch extends TokenBatch {
  /** Where the batch starts. */
  readonly position: Position;
  /** Where the next one starts: what to keep in a checkpoint. */
  readonly next: Position;
  /** Which examples it has, in order of their rows. */
  readonly indices: Uint32Array;
}

/** What to batch, and how. */
export interface ReasoningBatchOptions {
  /** The questions. */
  readonly examples: readonly EncodedExample[];
  /** Examples a batch; the last one of an epoch may have fewer. */
  readonly batchSize: number;
  /** Seed of the order. */
  readonly seed: number;
  /** Where to start; the beginning by default. */
  readonly start?: Position;
  /** Passes in all, counted from epoch 0; 1 by default, `Infinity` for as long as batches are asked for. */
  readonly epochs?: number;
  /** A new order every epoch (default), or the examples' own, shortest first within a pool. */
  readonly shuffle?: boolean;
  /** Batches' worth of examples that are sorted by length together (default 50); 1 leaves lengths to chance. */
  readonly pool?: number;
  /** Lengths are multiples of this (default 8). */
  readonly multiple?: number;
  /** Fill an epoch's last batch up with rows that do not count, so that all have the same number (default false). */
  readonly fill?: boolean;
}

function check({ examples, batchSize, start, pool = 1, multiple = 1 }: ReasoningBatchOptions): void {
  const fail = (found: string, allowed: string): never => {
    throw new OneloraError({ attempted: "batching questions", found, allowed }, { exitCode: 2 });
  };
  const whole = (value: number, least: number) => Number.isSafeInteger(value) && value >= least;
  if (examples.length === 0) fail("none", "at least one");
  for (const [name, value] of Object.entries({ "batch size": batchSize, pool, multiple })) {
    if (!whole(value, 1)) fail(`${name} ${value}`, "a positive whole number");
  }
  if (start === undefined) return;
  const { epoch, offset } = start;
  if (!whole(epoch, 0) || !whole(offset, 0) || offset % batchSize !== 0 || offset >= examples.length) {
    fail(`start at epoch ${epoch}, offset ${offset}`, `a multiple of ${batchSize} below ${examples.length}`);
  }
}

/** The examples of an epoch in batches: pools sorted by length, cut up, full batches in random order. */
function epochBatches(options: ReasoningBatchOptions, epoch: number): readonly Uint32Array[] {
  const { examples, batchSize, shuffle = true, pool = 50 } = options;
  const root = fold(key(options.seed), "questions", epoch);
  const count = examples.length;
  const order = shuffle ? permutation(fold(root, "examples"), count) : Uint32Array.from(examples, (_, i) => i);
  for (let begin = 0; begin < count; begin += pool * batchSize) {
    // Sorts in place: equally long ones keep their order.
    order.subarray(begin, begin + pool * batchSize).sort((a, b) => examples[a].ids.length - examples[b].ids.length);
  }
  const batches = Array.from(
    { length: Math.ceil(count / batchSize) },
    (_, i) => order.subarray(i * batchSize, (i + 1) * batchSize),
  );
  if (!shuffle) return batches;
  // A batch that is not full stays last, so that offsets are multiples of the batch size.
  const full = Math.floor(count / batchSize);
  return [...Array.from(permutation(fold(root, "batches"), full), (i) => batches[i]), ...batches.slice(full)];
}

/**
 * Batches of questions of similar length: an epoch's random order is cut into pools, each pool sorted by length and cut
 * into batches, and the batches put in random order. All is keyed by (seed, epoch), so a run that restarts at a batch's
 * `next` continues exactly. An epoch has every example once.
 *
 * @param options See {@linkcode ReasoningBatchOptions}
 * @throws OneloraError (exit code 2) for no examples or a value out of range
 *
 * @example
 * ```ts
 * import { reasoningBatches } from "@onelora/onelora/tasks";
 * import { assertEquals } from "@std/assert";
 * const examples = [3, 9, 2, 8].map((length) => ({ ids: new Int32Array(length), start: 1 }));
 * const batches = [...reasoningBatches({ examples, batchSize: 2, seed: 0, shuffle: false, multiple: 1 })];
 * assertEquals(batches.map(({ indices }) => [...indices]), [[2, 0], [3, 1]]);
 * assertEquals(batches.map(({ shape }) => shape), [[2, 3], [2, 9]]);
 * ```
 */
export function* reasoningBatches(options: ReasoningBatchOptions): Generator<ReasoningBatch, void, void> {
  check(options);
  const { examples, batchSize, epochs = 1, start = { epoch: 0, offset: 0 }, multiple, fill } = options;
  for (let epoch = start.epoch; epoch < epochs; epoch++) {
    const batches = epochBatches(options, epoch);
    for (let i = epoch === start.epoch ? start.offset / batchSize : 0; i < batches.length; i++) {
      yield {
        ...padExamples(Array.from(batches[i], (index) => examples[index]), multiple, fill ? batchSize : 0),
        position: { epoch, offset: i * batchSize },
        next: i + 1 < batches.length ? { epoch, offset: (i + 1) * batchSize } : { epoch: epoch + 1, offset: 0 },
        indices: batches[i],
      };
    }
  }
}
