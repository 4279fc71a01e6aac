/**
 * Work on this thread that ends after some time, by whatever it loops.
 *
 * @module
 */
import type { Script } from "node:vm";
import { OneloraError } from "../error.ts";
import { builtin } from "../host.ts";

const WORK = Symbol.for("onelora.within");
const place = globalThis as unknown as Record<symbol, (() => unknown) | undefined>;
let script: Script | undefined;

/**
 * The result of some work, which must come within a time. Work that is stopped has no time to tidy up.
 *
 * @param seconds How long it may take
 * @param attempted What is being done, for the error line
 * @param work The work; what it throws passes through
 * @throws OneloraError for work that takes longer
 *
 * @example
 * ```ts
 * import { within } from "./within.ts";
 * import { assertEquals, assertThrows } from "@std/assert";
 * assertEquals(within(1, "adding", () => 1 + 1), 2);
 * assertThrows(() => within(0.05, "looping", () => { for (;;); }), Error, "looping: found no end of it");
 * ```
 */
export function within<Result>(seconds: number, attempted: string, work: () => Result): Result {
  // The engine stops a script that takes too long, with whatever it has called.
  const { Script } = builtin("node:vm");
  script ??= new Script("globalThis[Symbol.for('onelora.within')]()");
  const outer = place[WORK];
  place[WORK] = work;
  try {
    return script.runInThisContext({ timeout: Math.ceil(1000 * seconds) });
  } catch (error) {
    if ((error as { readonly code?: unknown } | null)?.code !== "ERR_SCRIPT_EXECUTION_TIMEOUT") throw error;
    throw new OneloraError({ attempted, found: "no end of it", allowed: `an answer within ${seconds} s` });
  } finally {
    place[WORK] = outer;
  }
}
