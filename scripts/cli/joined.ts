/**
 * Commands that mpirun or srun may start several times, to share the work.
 *
 * @module
 */
import { type Joined, joinRanks, launchOf } from "../../dsl/engine/mpi/join.ts";
import { ranksInUse } from "../../dsl/ranks.ts";

/** Milliseconds by which all but the first process are late with their errors: mostly they are the first one's, too. */
const LATE = 2000;

/**
 * Does something with the other processes of the job, or alone where there are none. A process that fails ends, and the
 * launcher ends the others.
 *
 * @param advice What is left when another process is gone, in words
 * @param action What all do
 */
export async function joined(advice: string, action: (others: Joined) => Promise<void>): Promise<void> {
  try {
    const others = await joinRanks(advice);
    const { ranks, library } = others;
    if (ranks.rank === 0 && library !== undefined) {
      console.log(`${ranks.size} processes by ${library.version}`);
      if (!library.watched) {
        console.log("note: a process that hangs is not noticed: this library allows calls from one thread only");
      }
    }
    await action(others);
    await others.leave();
  } catch (error) {
    if (ranksInUse().rank > 0 || (launchOf()?.rank ?? 0) > 0) await new Promise((resolve) => setTimeout(resolve, LATE));
    throw error;
  }
}
