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
   * @param seconds How long it may take
   * @throws OneloraError as the thread's own, or for one that passes its bounds
   */
  readonly ask: (request: Request, attempted: string, seconds: number) => Promise<Answer>;
  /** Ends the thread; what it has not answered fails. */
  readonly close: () => Promise<void>;
}

/** What a thread says. */
type Said<Answer> =
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
    const { promise, resolve, reject } = Promise.withResolvers<Said<Answer>>();
    const allowed = `an answer within ${seconds} s and ${megabytes} MB`;
    const late = setTimeout(
      () => reject(new OneloraError({ attempted, found: "no end of it", allowed })),
      seconds * 1000,
    );
    const failed = (found: string) => reject(new OneloraError({ attempted, found, allowed }));
    const onExit = () => failed("a thread that ended");
    // It keeps the process alive only while it is asked.
    thread.ref();
    thread.on("message", resolve).on("error", (error) => failed(firstLine(error))).on("exit", onExit);
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
      clearTimeout(late);
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
export function serveApart<Request, Answer>(answer: (request: Request) => Promise<Answer>): void {
  // Libraries that read several things at once leave promises behind when one of them fails.
  globalThis.addEventListener("unhandledrejection", (event) => event.preventDefault());
  const said = async (request: Request): Promise<Said<Answer>> => {
    try {
      return { answer: await answer(request) };
    } catch (error) {
      if (error instanceof OneloraError) return { problem: error.problem, exitCode: error.exitCode };
      return { message: error instanceof Error ? `${error.name}, ${error.message}` : String(error) };
    }
  };
  const { parentPort } = builtin("node:worker_threads");
  parentPort!.on("message", async (request: Request) => {
    const message = await said(request);
    parentPort!.postMessage(message, [...buffersIn(message)]);
  });
}
