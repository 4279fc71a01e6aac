/**
 * Places for work that runs so much at once, shared by everything that a command runs.
 *
 * @module
 */

/** Places for work. */
export interface Slots {
  /** Work at once. */
  readonly count: number;
  /**
   * Does a piece of work when a place is free.
   *
   * @param rank Lower ranks go first; of equal ones, what came first
   * @param work What to do
   */
  readonly take: <Result>(rank: number, work: () => Promise<Result>) => Promise<Result>;
}

/**
 * Opens places for work.
 *
 * @param count How much runs at once
 *
 * @example
 * ```ts
 * import { openSlots } from "./slots.ts";
 * import { assertEquals } from "@std/assert";
 * const { take } = openSlots(1);
 * const done: number[] = [];
 * const work = (rank: number) => take(rank, () => Promise.resolve(done.push(rank)));
 * await Promise.all([3, 2, 1].map(work));
 * assertEquals(done, [3, 1, 2]);
 * ```
 */
export function openSlots(count: number): Slots {
  const waiting: { readonly rank: number; readonly begin: () => void }[] = [];
  let free = count;
  const admit = () => {
    if (free === 0 || waiting.length === 0) return;
    const least = Math.min(...waiting.map(({ rank }) => rank));
    const [next] = waiting.splice(waiting.findIndex(({ rank }) => rank === least), 1);
    free--;
    next.begin();
  };
  return {
    count,
    take: async (rank, work) => {
      await new Promise<void>((begin) => {
        waiting.push({ rank, begin });
        admit();
      });
      try {
        return await work();
      } finally {
        free++;
        admit();
      }
    },
  };
}
