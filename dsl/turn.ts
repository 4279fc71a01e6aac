/**
 * Turns of the event loop in long work: an engine that computes on this thread leaves none, and signals, timers and answers
 * of other threads wait for one.
 *
 * @module
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { OneloraError } from "./error.ts";

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

const scopes = new AsyncLocalStorage<Scope>();
let last = performance.now();

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
