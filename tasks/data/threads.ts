/**
 * Threads that prepare examples: started when they are needed and, while anyone holds them, kept for the next stream. Each
 * one that loads the picture decoder costs two descriptors for good when it ends, so a run starts its threads once.
 *
 * @module
 */

import { isEqual } from "../../dsl/equal.ts";
import { OneloraError } from "../../dsl/error.ts";
import type { Origin } from "./origin.ts";
import { restricted } from "./permissions.ts";
import { type Answer, buffersIn, errorOf, type Readings, type Request } from "./messages.ts";

/** A thread that answers requests one after the other. */
export interface Thread {
  /** Opens what an origin describes, unless it is open already; the number that requests name it by. */
  readonly open: (origin: Origin, name: string) => Promise<number>;
  /** Asks; `name` is what errors call the source. */
  readonly ask: (request: Request, name: string) => Promise<Readings>;
  /** Whether it is free to be asked by others: alive, with no answer due. */
  readonly isFree: () => boolean;
  /** Files and folders that it may read; undefined where it may what this process may. */
  readonly reads?: readonly string[];
  /** Ends it; what it has not answered fails. */
  readonly close: () => void;
}

/** An answer that is due. */
interface Due extends PromiseWithResolvers<Readings> {
  readonly name: string;
}

function startThread(reads: readonly string[] | undefined): Thread {
  const worker = new Worker(new URL("./worker.ts", import.meta.url), restricted(reads));
  const waiting: Due[] = [];
  const opened: Origin[] = [];
  let broken: ((name: string) => Error) | undefined;
  const fail = (error: (name: string) => Error) => {
    broken ??= error;
    for (const each of waiting.splice(0)) each.reject(broken(each.name));
  };
  const refuse = (found: string) =>
    fail((name) =>
      new OneloraError({
        attempted: `preparing examples of ${name} in another thread`,
        found: found.split("\n", 1)[0],
        allowed: "a thread that runs, which needs --allow-read; or no such threads (workers 0)",
      })
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
  const ask = (request: Request, name: string) => {
    const answer = { ...Promise.withResolvers<Readings>(), name };
    if (broken !== undefined) answer.reject(broken(name));
    else {
      waiting.push(answer);
      worker.postMessage(request, [...buffersIn("stored" in request ? request.stored : undefined)]);
    }
    return answer.promise;
  };
  return {
    reads,
    ask,
    open: async (origin, name) => {
      const known = opened.findIndex((each) => isEqual(each, origin));
      if (known >= 0) return known;
      const source = opened.push(origin) - 1;
      try {
        await ask({ source, origin }, name);
      } catch (error) {
        // It may be there the next time.
        opened[source] = { ...origin, module: "" };
        throw error;
      }
      return source;
    },
    isFree: () => broken === undefined && waiting.length === 0,
    close: () => {
      worker.terminate();
      fail(() => new Error("a closed thread"));
    },
  };
}

const resting: Thread[] = [];
const closers = new Set<() => void>();
let holders = 0;

/** Whether anyone holds threads. */
export function areThreadsHeld(): boolean {
  return holders > 0;
}

/**
 * Notes what else ends when threads are held no longer.
 *
 * @param close Called then
 */
export function closeWithThreads(close: () => void): void {
  closers.add(close);
}

/**
 * A thread at rest, or a new one.
 *
 * @param reads Files and folders that it is to read, and no others; undefined where they are not known
 */
export function takeThread(reads?: readonly string[]): Thread {
  const at = resting.findLastIndex((thread) => isEqual(thread.reads, reads));
  return at < 0 ? startThread(reads) : resting.splice(at, 1)[0];
}

/** Gives a thread back: it rests while anyone holds threads, and ends otherwise. */
export function returnThread(thread: Thread): void {
  if (holders > 0 && thread.isFree()) resting.push(thread);
  else thread.close();
}

/**
 * Holds the threads that prepare examples: until this is disposed of, streams take turns with the same threads, and data
 * that one of them has opened stays open. Without, every stream starts threads of its own and ends them.
 *
 * @example
 * ```ts
 * import { holdThreads } from "./threads.ts";
 * {
 *   using _threads = holdThreads();
 *   // Any number of evaluations.
 * }
 * ```
 */
export function holdThreads(): Disposable {
  holders++;
  let held = true;
  return {
    [Symbol.dispose]: () => {
      if (!held) return;
      held = false;
      if (--holders > 0) return;
      for (const thread of resting.splice(0)) thread.close();
      for (const close of closers) close();
      closers.clear();
    },
  };
}
