/**
 * Who reads examples: this thread, or others beside it, so that the next batches are made while a step runs.
 *
 * @module
 */

import { OneloraError, type Problem } from "../../dsl/error.ts";
import { fold, type Key } from "../../dsl/random.ts";
import type { Origin } from "./origin.ts";

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
  /** Ends the threads; what they have not finished fails. */
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
  return asked ?? (portable.heavy ? Math.min(MOST, navigator.hardwareConcurrency - 1) : 0);
}

/** Readings of some indices: `OneloraError`s are among them, anything else is thrown. */
export async function readAll<Item>(
  indices: Uint32Array,
  root: Key,
  prepare: (index: number, key: Key, place: number) => Item | Promise<Item>,
): Promise<readonly Reading<Item>[]> {
  return await Promise.all(Array.from(indices, async (index, place) => {
    try {
      return { index, item: await prepare(index, fold(root, index), place) };
    } catch (error) {
      if (error instanceof OneloraError) return error;
      throw error;
    }
  }));
}

/** What a thread is told: first how examples are made, then which to make. */
export type Request =
  | { readonly origin: Origin }
  | { readonly indices: Uint32Array; readonly root: Key; readonly stored?: readonly unknown[] };

/** An error as plain data. */
export type Fault =
  | { readonly problem: Problem; readonly exitCode: 1 | 2 }
  | { readonly name: string; readonly message: string; readonly stack?: string };

/** What a thread has read, errors as plain data. */
export type Readings = readonly ({ readonly index: number; readonly item: unknown } | { readonly fault: Fault })[];

/**
 * What a thread answers, in the order of the requests: what it has read, nothing for the first one; or, at any time,
 * that it is at its end.
 */
export type Answer =
  | { readonly readings: Readings }
  | { readonly fault: Fault }
  | { readonly fatal: string };

/** The error that plain data describe. */
function errorOf(fault: Fault): Error {
  if ("problem" in fault) return new OneloraError(fault.problem, { exitCode: fault.exitCode });
  const { name, message, stack } = fault;
  return Object.assign(new Error(message), { name, stack });
}

/** The buffers of arrays in a value, at any depth: what moves between threads instead of being copied. */
export function buffersIn(value: unknown, found: Set<ArrayBuffer> = new Set()): ReadonlySet<ArrayBuffer> {
  if (ArrayBuffer.isView(value)) found.add(value.buffer as ArrayBuffer);
  else if (typeof value === "object" && value !== null) {
    for (const each of Object.values(value)) buffersIn(each, found);
  }
  return found;
}

/** A thread that answers requests one after the other. */
interface Thread {
  readonly ask: (request: Request) => Promise<Readings>;
  readonly close: () => void;
}

function startThread(name: string): Thread {
  const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
  const waiting: PromiseWithResolvers<Readings>[] = [];
  let broken: Error | undefined;
  const fail = (error: Error) => {
    broken ??= error;
    for (const each of waiting.splice(0)) each.reject(broken);
  };
  const refuse = (found: string) =>
    fail(
      new OneloraError({
        attempted: `preparing examples of ${name} in another thread`,
        found: found.split("\n", 1)[0],
        allowed: "a thread that runs, which needs --allow-read; or no such threads (workers 0)",
      }),
    );
  worker.onmessage = ({ data }: MessageEvent<Answer>) => {
    if ("fatal" in data) return refuse(data.fatal);
    const next = waiting.shift();
    if ("fault" in data) next?.reject(errorOf(data.fault));
    else next?.resolve(data.readings);
  };
  worker.onmessageerror = () => refuse("an answer that cannot be read");
  worker.onerror = (event) => {
    event.preventDefault();
    refuse(event.message);
  };
  return {
    ask: (request) => {
      const answer = Promise.withResolvers<Readings>();
      if (broken !== undefined) answer.reject(broken);
      else {
        waiting.push(answer);
        worker.postMessage(request, [...buffersIn("stored" in request ? request.stored : undefined)]);
      }
      return answer.promise;
    },
    close: () => {
      worker.terminate();
      fail(new Error("a closed thread"));
    },
  };
}

/** Reads a source on other threads, whole batches in turn. */
async function otherThreads<Item>(
  name: string,
  { origin, stored }: Portable,
  count: number,
): Promise<Readers<Item>> {
  const threads = Array.from({ length: count }, () => startThread(name));
  const close = () => threads.forEach((thread) => thread.close());
  try {
    await Promise.all(threads.map((thread) => thread.ask({ origin })));
  } catch (error) {
    close();
    throw error;
  }
  let turn = 0;
  const ask = async (request: Request): Promise<readonly Reading<Item>[]> => {
    const readings = await threads[turn++ % count].ask(request);
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
