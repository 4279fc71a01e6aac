/**
 * Long work without steps to count.
 *
 * @module
 */

/** Milliseconds between two lines. */
const PAUSE = 20_000;

/**
 * Says every 20 seconds how long some work has taken: an evaluation shows no steps, and a silent one seems to hang.
 *
 * @param line Where it is said
 * @param what The work, `evaluating`
 * @param work The work
 * @param pause Milliseconds between two lines
 * @returns What the work returns
 */
export async function sayingHowLong<Result>(
  line: (text: string) => void,
  what: string,
  work: () => Promise<Result>,
  pause: number = PAUSE,
): Promise<Result> {
  const began = performance.now();
  const timer = setInterval(() => line(`${what}: ${Math.round((performance.now() - began) / 1000)}s so far`), pause);
  try {
    return await work();
  } finally {
    clearInterval(timer);
  }
}
