/**
 * Turns of the event loop in long work: an engine that computes on this thread leaves none, and signals, timers and answers
 * of other threads wait for one.
 *
 * @module
 */
import { OneloraError } from "./error.ts";
import { builtinIfThere } from "./host.ts";

/** Work that was ended by its signal. */
export class Interruption extends OneloraError {
  /** Makes the error. */
  constructor() {
    super({ attempted: "computing", found: "an interrupt", allowed: "starting again" });
  }
}

/** Milliseconds of computing after which the event loop has its turn. */
const TURN = 20;

/** What ends the work that is done within it, until that is over: what the work has begun may outlive it. */
interface Scope {
  signal?: AbortSignal;
}

/** Where the scope of what is being done is kept. */
interface Scopes {
  readonly getStore: () => Scope | undefined;
  readonly run: <Result>(scope: Scope, work: () => Promise<Result>) => Promise<Result>;
}

/**
 * Scopes where nothing follows work through its promises, as in a page: work that its signal ends is done there one at a time,
 * for nobody could tell whose turn it is.
 *
 * @returns Scopes that refuse a second signal beside the first
 */
export function oneScope(): Scopes {
  let running: readonly Scope[] = [];
  return {
    getStore: () => running.at(-1),
    run: async (scope, work) => {
      const other = running.find(({ signal }) => signal !== undefined)?.signal;
      if (scope.signal !== undefined && other !== undefined && scope.signal !== other) {
        throw new OneloraError({
          attempted: "starting work that a signal ends",
          found: "other such work that has not ended",
          allowed: "one at a time in a page, or one signal for all",
        });
      }
      running = [...running, scope];
      try {
        return await work();
      } finally {
        running = running.filter((each) => each !== scope);
      }
    },
  };
}

const hooks = builtinIfThere("node:async_hooks");
const scopes: Scopes = hooks === undefined ? oneScope() : new hooks.AsyncLocalStorage<Scope>();
let last = performance.now();

/** Lets the event loop run once, timers and messages included. */
export function immediate(): Promise<void> {
  const timers = builtinIfThere("node:timers/promises");
  if (timers !== undefined) return timers.setImmediate();
  // A page's timers wait for milliseconds.
  const { promise, resolve } = Promise.withResolvers<void>();
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = () => {
    port1.close();
    resolve();
  };
  port2.postMessage(undefined);
  return promise;
}

/** Throws where the signal of {@linkcode endedBy} has come. */
function check(): void {
  if (scopes.getStore()?.signal?.aborted) throw new Interruption();
}

/**
 * Lets the event loop run if it has not for a while. Called between the batches of every evaluation and the steps of every
 * sampler.
 *
 * @throws Interruption in work that its signal ends
 */
export async function turn(): Promise<void> {
  check();
  if (performance.now() - last < TURN) return;
  await new Promise((resolve) => setTimeout(resolve, 0));
  last = performance.now();
  check();
}

/**
 * Work whose turns end it when a signal has come.
 *
 * @param signal The signal; none ends it not
 * @param work The work
 * @throws Interruption if it is ended
 *
 * @example
 * ```ts
 * import { endedBy, Interruption, turn } from "./turn.ts";
 * import { assertRejects } from "@std/assert";
 * const forever = async () => {
 *   for (;;) await turn();
 * };
 * await assertRejects(() => endedBy(AbortSignal.timeout(50), forever), Interruption);
 * ```
 */
export async function endedBy<Result>(
  signal: AbortSignal | undefined,
  work: () => Promise<Result>,
): Promise<Result> {
  const scope: Scope = { signal };
  try {
    return await scopes.run(scope, work);
  } finally {
    scope.signal = undefined;
  }
}
