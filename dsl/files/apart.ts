/**
 * Work on untrusted bytes in a thread of its own, with bounds on time and memory: what loops or swells there ends there, and
 * this thread goes on.
 *
 * @module
 */
import type { Worker } from "node:worker_threads";
import { firstLine, OneloraError, type Problem } from "../error.ts";
import { builtin } from "../host.ts";

/** How much a thread may take. */
export interface Budget {
  /** Megabytes of JavaScript objects. */
  readonly megabytes: number;
}

/** A thread that answers requests one after the other; it is started when it is first asked, and again after it was ended. */
export interface Apart<Request, Answer> {
  /**
   * Asks.
   *
   * @param request What is wanted, as plain data
   * @param attempted What is being done, for the error line
   * @param seconds How long the processor may be at it; waiting for it, or for a disk, counts a quarter, and the thread's start not
   * @throws OneloraError as the thread's own; {@linkcode Unanswered} for one that passes its bounds
   */
  readonly ask: (request: Request, attempted: string, seconds: number) => Promise<Answer>;
  /** Ends the thread; what it has not answered fails. */
  readonly close: () => Promise<void>;
}

/** A thread came to no answer: it went beyond its bounds, or ended. */
export class Unanswered extends OneloraError {}

/** Work that is no doing of the bytes, such as fetching a reader: its time does not count. */
export type Aside = <Result>(work: () => Promise<Result>) => Promise<Result>;

/** What a thread says. */
type Said<Answer> =
  | { readonly counted: boolean }
  | { readonly answer: Answer }
  | { readonly problem: Problem; readonly exitCode: 1 | 2 }
  | { readonly message: string };

/** The buffers of arrays in a value: what moves between threads instead of being copied. */
function buffersIn(value: unknown, found: Set<ArrayBuffer> = new Set()): ReadonlySet<ArrayBuffer> {
  if (ArrayBuffer.isView(value)) found.add(value.buffer as ArrayBuffer);
  else if (typeof value === "object" && value !== null) {
    for (const each of Object.values(value)) buffersIn(each, found);
  }
  return found;
}

/** A module as node's threads start it: of a registry's address by way of a module that imports it. */
function startable(module: URL): URL {
  if (module.protocol === "file:") return module;
  return new URL(`data:text/javascript,${encodeURIComponent(`import ${JSON.stringify(module.href)};`)}`);
}

/** What node's threads have since its version 24; elsewhere all of the time counts. */
interface Metered {
  /** Microseconds of the processor that a thread has used; fails for one that has ended. */
  readonly cpuUsage?: () => Promise<{ readonly user: number; readonly system: number }>;
}

/** Milliseconds between two looks at what a thread has used. */
const LOOK = 100;

/** What a millisecond counts in which the processor was elsewhere: on a busy machine, or waiting for a disk. */
const WAITING = 1 / 4;

/**
 * Counts what a thread takes for its work, while it is told to.
 *
 * @param thread The thread
 * @param allowed Milliseconds of work
 * @param late Called when they are over
 */
function countWork(thread: Worker, allowed: number, late: () => void): { readonly count: (counted: boolean) => void } {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let round = 0;
  let spent = 0;
  const { cpuUsage } = thread as Worker & Metered;
  const used = async () => {
    if (cpuUsage === undefined) return performance.now();
    const { user, system } = await cpuUsage.call(thread);
    return (user + system) / 1000;
  };
  const count = (counted: boolean) => {
    const current = ++round;
    clearTimeout(timer);
    let before: number | undefined;
    const look = async () => {
      // A thread that has ended says so itself.
      const now = await used().catch(() => before);
      if (round !== current) return;
      // Only time of the processor and looks count: while this thread was busy, an answer may have come.
      if (before !== undefined) spent += Math.max(now! - before, WAITING * LOOK);
      before = now;
      if (spent >= allowed) late();
      else timer = setTimeout(look, LOOK);
    };
    if (counted) look();
  };
  return { count };
}

/**
 * A thread for work on untrusted bytes.
 *
 * @param module What runs there; it calls {@linkcode serveApart}
 * @param budget How much it may take
 */
export function apart<Request, Answer>(module: URL, { megabytes }: Budget): Apart<Request, Answer> {
  let worker: Worker | undefined;
  let last: Promise<unknown> = Promise.resolve();
  const end = async () => {
    const ending = worker;
    worker = undefined;
    await ending?.terminate();
  };
  const askNow = async (request: Request, attempted: string, seconds: number): Promise<Answer> => {
    const threads = builtin("node:worker_threads");
    const thread = worker ??= new threads.Worker(startable(module), {
      resourceLimits: { maxOldGenerationSizeMb: megabytes },
    });
    const { promise, resolve, reject } = Promise.withResolvers<Exclude<Said<Answer>, { readonly counted: boolean }>>();
    const allowed = `an answer within ${seconds} s and ${megabytes} MB`;
    const failed = (found: string) => reject(new Unanswered({ attempted, found, allowed }));
    const meter = countWork(thread, 1000 * seconds, () => failed("no end of it"));
    const onMessage = (said: Said<Answer>) => "counted" in said ? meter.count(said.counted) : resolve(said);
    // It keeps the process alive only while it is asked.
    thread.ref();
    thread.on("message", onMessage).on("error", (error) => failed(firstLine(error)))
      .on("exit", () => failed("a thread that ended"));
    try {
      thread.postMessage(request);
      const said = await promise;
      if ("answer" in said) return said.answer;
      if ("problem" in said) throw new OneloraError(said.problem, { exitCode: said.exitCode });
      throw new OneloraError({ attempted, found: said.message, allowed: "an intact file" });
    } catch (error) {
      // What came to no answer may still be at it.
      if (await promise.then(() => false, () => true)) await end();
      throw error;
    } finally {
      meter.count(false);
      thread.removeAllListeners();
      thread.unref();
    }
  };
  return {
    ask: (request, attempted, seconds) => {
      const next = last.then(() => askNow(request, attempted, seconds));
      last = next.catch(() => undefined);
      return next;
    },
    close: end,
  };
}

/**
 * Answers requests in a thread that {@linkcode apart} started.
 *
 * @param answer What is done with each
 */
export function serveApart<Request, Answer>(answer: (request: Request, aside: Aside) => Promise<Answer>): void {
  // Libraries that read several things at once leave promises behind when one of them fails.
  globalThis.addEventListener("unhandledrejection", (event) => event.preventDefault());
  const { parentPort } = builtin("node:worker_threads");
  const count = (counted: boolean) => parentPort!.postMessage({ counted } satisfies Said<Answer>);
  const aside: Aside = async (work) => {
    count(false);
    const result = await work();
    count(true);
    return result;
  };
  const said = async (request: Request): Promise<Said<Answer>> => {
    count(true);
    try {
      return { answer: await answer(request, aside) };
    } catch (error) {
      if (error instanceof OneloraError) return { problem: error.problem, exitCode: error.exitCode };
      return { message: error instanceof Error ? `${error.name}, ${error.message}` : String(error) };
    }
  };
  parentPort!.on("message", async (request: Request) => {
    const message = await said(request);
    parentPort!.postMessage(message, [...buffersIn(message)]);
  });
}
