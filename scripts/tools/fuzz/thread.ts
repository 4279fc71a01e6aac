/**
 * The thread in which readers are fed, so that one that hangs can be ended.
 *
 * @module
 */
import { serveApart } from "../../../dsl/files/apart.ts";
import { OneloraError, useBackend } from "../../../dsl/mod.ts";
import { chances, mutated } from "./mutate.ts";
import { targets } from "./targets.ts";

/** Mutations that are wanted. */
export interface Batch {
  /** Name of the target. */
  readonly target: string;
  /** What decides all of them. */
  readonly seed: number;
  /** First mutation. */
  readonly begin: number;
  /** The one after the last. */
  readonly end: number;
}

/** What came of them. */
export interface Outcome {
  /** Files that were read. */
  readonly read: number;
  /** Files that were refused in one line. */
  readonly refused: number;
  /** Those that came to something else. */
  readonly faults: readonly { readonly index: number; readonly what: string }[];
  /** Milliseconds of the slowest. */
  readonly slowest: number;
  /** Most bytes that the process had. */
  readonly memory: number;
}

serveApart<Batch, Outcome>(async ({ target, seed, begin, end }) => {
  await useBackend("cpu");
  const folder = await Deno.makeTempDir({ prefix: "onelora-fuzz-" });
  const outcome = { read: 0, refused: 0, faults: [] as { index: number; what: string }[], slowest: 0, memory: 0 };
  try {
    const { seeds, read } = targets[target];
    const right = await seeds(folder);
    for (let index = begin; index < end; index++) {
      const chance = chances(seed + Math.imul(index, 2654435761));
      const bytes = mutated(right[chance(right.length)], chance);
      const began = performance.now();
      try {
        await read(bytes, folder);
        outcome.read++;
      } catch (error) {
        const isOneLine = error instanceof OneloraError && !error.message.includes("\n") && error.message.length < 7000;
        if (isOneLine) outcome.refused++;
        else {outcome.faults.push({
            index,
            what: error instanceof Error ? error.stack ?? error.message : String(error),
          });}
      }
      outcome.slowest = Math.max(outcome.slowest, performance.now() - began);
      outcome.memory = Math.max(outcome.memory, Deno.memoryUsage().rss);
    }
    return outcome;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
