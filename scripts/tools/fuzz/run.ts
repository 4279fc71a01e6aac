/**
 * Feeds a reader, batch by batch.
 *
 * @module
 */
import { type Apart, apart } from "../../../dsl/files/apart.ts";
import { OneloraError } from "../../../dsl/error.ts";
import type { Batch, Outcome } from "./thread.ts";

/** Seconds after which a reader hangs. */
const HANG = 10;
/** Bytes of the process that are over budget. */
export const MOST_MEMORY: number = 2 ** 32;
/** Mutations of a batch. */
const BATCH = 250;

/** What came of a target's mutations. */
export interface Tally extends Outcome {
  /** The target. */
  readonly target: string;
  /** Mutations that came to no end. */
  readonly hangs: readonly number[];
}

/** Starts the thread. */
export function startFuzzing(): Apart<Batch, Outcome> {
  return apart(new URL("./thread.ts", import.meta.url), { megabytes: 2048 });
}

/**
 * Feeds one target.
 *
 * @param thread Where
 * @param target Its name
 * @param seed What decides the mutations
 * @param count How many
 */
export async function fuzzTarget(
  thread: Apart<Batch, Outcome>,
  target: string,
  seed: number,
  count: number,
): Promise<Tally> {
  const sum = { target, read: 0, refused: 0, faults: [] as Outcome["faults"][number][], slowest: 0, memory: 0 };
  const hangs: number[] = [];
  const add = (found: Outcome) => {
    sum.read += found.read;
    sum.refused += found.refused;
    sum.faults.push(...found.faults);
    sum.slowest = Math.max(sum.slowest, found.slowest);
    sum.memory = Math.max(sum.memory, found.memory);
  };
  const ask = (begin: number, end: number, seconds: number) =>
    thread.ask({ target, seed, begin, end }, `feeding ${target}`, seconds);
  for (let begin = 0; begin < count; begin += BATCH) {
    const end = Math.min(count, begin + BATCH);
    try {
      add(await ask(begin, end, 6 * HANG));
    } catch (error) {
      if (!(error instanceof OneloraError)) throw error;
      // One of them hangs or ends the thread: which?
      for (let index = begin; index < end; index++) {
        // The thread's start counts too.
        await ask(index, index + 1, 2 * HANG).then(add, () => hangs.push(index));
      }
    }
  }
  return { ...sum, hangs };
}
