/**
 * Who reads examples: this thread, or others beside it, so that the next batches are made while a step runs.
 *
 * @module
 */

import { OneloraError } from "../../dsl/error.ts";
import { isPage } from "../../dsl/host.ts";
import { fold, type Key } from "../../dsl/random.ts";
import { errorOf, type Request } from "./messages.ts";
import type { Origin } from "./origin.ts";
import { returnThread, takeThread } from "./threads.ts";

/** An example, or why it could not be read. */
export type Reading<Item> = { readonly index: number; readonly item: Item } | OneloraError;

/** Makes an example of an index and a key; what this thread has stored of it is given if the source sends it. */
export type Preparer<Item> = (index: number, key: Key, stored?: unknown) => Item | Promise<Item>;

/** How other threads make a source's examples. */
export interface Portable {
  /** Of a {@linkcode Preparer}. It keeps none of the arrays that it gives: they move to this thread. */
  readonly origin: Origin;
  /** What to send along, for examples that only this thread has; the arrays in it move, so they must be copies. */
  readonly stored?: (index: number) => unknown | Promise<unknown>;
  /** Whether preparing an example is worth another thread unless one is told. */
  readonly heavy: boolean;
}

/** Where examples come from, ready for a model. */
export interface ExampleSource<Item> {
  /** For messages, e.g. `mnist/train`. */
  readonly name: string;
  /** How many examples. */
  readonly size: number;
  /** The example at an index, its random choices a pure function of the key; an unreadable one is an `OneloraError`. */
  get(index: number, key: Key): Item | Promise<Item>;
  /** How other threads do what `get` does; without it, all is done on this one. */
  readonly portable?: Portable;
}

/** Reads examples; the key of each is its index folded into the batch's. */
export interface Readers<Item> {
  /** The examples at some indices, in their order. */
  readonly read: (indices: Uint32Array, root: Key) => Promise<readonly Reading<Item>[]>;
  /** Lets go of the threads; what they have not finished fails. */
  readonly close: () => void;
}

/** Threads unless told otherwise: no more, for every one opens the data set. */
const MOST = 4;

/**
 * How many threads a source is read with: as asked; else none for light work or what cannot be given away, and one for
 * every processor but one, at most four, for heavy work.
 *
 * @param source The source
 * @param asked What the caller asks for, if anything
 */
export function threadCount({ portable }: ExampleSource<unknown>, asked?: number): number {
  if (portable === undefined) return 0;
  // A page has its own threads, and none of this package's.
  return asked ?? (portable.heavy && !isPage() ? Math.min(MOST, navigator.hardwareConcurrency - 1) : 0);
}

/** Examples that a thread reads at a time, for their files are in memory until they are decoded. */
const AT_ONCE = 8;

/** Readings of some indices: `OneloraError`s are among them, anything else is thrown. */
export async function readAll<Item>(
  indices: Uint32Array,
  root: Key,
  prepare: (index: number, key: Key, place: number) => Item | Promise<Item>,
): Promise<readonly Reading<Item>[]> {
  const readings = new Array<Reading<Item>>(indices.length);
  let next = 0;
  const lane = async () => {
    while (next < indices.length) {
      const place = next++;
      const index = indices[place];
      try {
        readings[place] = { index, item: await prepare(index, fold(root, index), place) };
      } catch (error) {
        if (!(error instanceof OneloraError)) throw error;
        readings[place] = error;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, indices.length) }, lane));
  return readings;
}

/** What is asked of any thread. */
type Asked = Omit<Extract<Request, { readonly indices: Uint32Array }>, "source">;

/** Reads a source on other threads, whole batches in turn. */
async function otherThreads<Item>(
  name: string,
  { origin, stored }: Portable,
  count: number,
): Promise<Readers<Item>> {
  const threads = Array.from({ length: count }, () => takeThread(origin.reads));
  const close = () => threads.forEach(returnThread);
  const opened = await Promise.allSettled(threads.map((thread) => thread.open(origin, name)));
  const fault = opened.find((each) => each.status === "rejected");
  if (fault !== undefined) {
    close();
    throw fault.reason;
  }
  const sources = opened.map((each) => (each as PromiseFulfilledResult<number>).value);
  let turn = 0;
  const ask = async (request: Asked): Promise<readonly Reading<Item>[]> => {
    const which = turn++ % count;
    const readings = await threads[which].ask({ source: sources[which], ...request }, name);
    return readings.map((each) => "fault" in each ? errorOf(each.fault) as OneloraError : each as Reading<Item>);
  };
  return {
    close,
    read: async (indices, root) => {
      if (stored === undefined) return await ask({ indices, root });
      const here = await readAll(indices, root, stored);
      const sent = here.filter((each): each is Exclude<typeof each, OneloraError> => !(each instanceof OneloraError));
      const answers = await ask({
        indices: Uint32Array.from(sent, ({ index }) => index),
        root,
        stored: sent.map(({ item }) => item),
      });
      let next = 0;
      return here.map((each) => each instanceof OneloraError ? each : answers[next++]);
    },
  };
}

/**
 * Starts reading a source.
 *
 * @param source Where examples come from
 * @param count Other threads to read it with; with none, this one reads
 * @throws OneloraError if a thread does not start or cannot open the source
 */
export async function startReaders<Item>(source: ExampleSource<Item>, count: number): Promise<Readers<Item>> {
  if (count > 0 && source.portable !== undefined) {
    return await otherThreads<Item>(source.name, source.portable, count);
  }
  return {
    close: () => {},
    read: (indices, root) => readAll(indices, root, (index, each) => source.get(index, each)),
  };
}
