/**
 * Which parts a step's batch is computed in, by whom, and in which order what they come to is added up.
 *
 * A float's last bits depend on how many numbers a kernel is given at once and on the order in which it adds them up, on every
 * engine in its own way. So bytes are the same in one process as in several if, and only if, none of that depends on how many there
 * are. The rule of a batch-invariant run: its batches are cut into as many shares in any case, each share is computed by itself, by
 * the same program on tensors of the same shapes, and what shares come to, gradients and losses alike, is added up pair by pair,
 * halves of halves of their row. A process has neighbours of that row, whose sum is one of those that everyone makes. Who computes
 * what is then of no consequence, whatever an engine's kernels do: compiled or not, in float32 or halves,
 * with numbers drawn for each share or none.
 *
 * @module
 */
import { type Ranks, spanOf } from "../../dsl/ranks.ts";
import { SHARES } from "./parts.ts";

/** What decides the parts of a run's steps. */
interface InParts {
  /** Parts that a step is split into (default 1). */
  readonly accumulate?: number;
  /** Whether it is in as many however many processes there are (default off). */
  readonly batchInvariant?: "on" | "off";
}

/** Whether a run's steps come to the same bytes in any number of processes, whatever the engine. */
export function isBatchInvariant({ batchInvariant = "off" }: InParts): boolean {
  return batchInvariant === "on";
}

/**
 * Parts that a run's full batches are split into, by all processes together.
 *
 * @param run Its settings
 * @param size Processes, each of which has a part of its own unless the run is batch-invariant
 */
export function partsOf(run: InParts, size: number): number {
  const { accumulate = 1 } = run;
  return isBatchInvariant(run) ? Math.max(SHARES, accumulate) : accumulate * size;
}

/**
 * Whether a run's steps are taken in halves, between which what parts come to is added up.
 *
 * @param run Its settings
 * @param size Processes
 */
export function isInHalves(run: InParts, size: number): boolean {
  return size > 1 || isBatchInvariant(run);
}

/** Which of a batch's parts are a process's. */
export function ownParts(
  count: number,
  { rank, size }: Pick<Ranks, "rank" | "size">,
  isInvariant: boolean,
): readonly [begin: number, end: number] {
  if (isInvariant) return spanOf([0, count], rank, size);
  // As even as can be.
  return [Math.ceil(rank * count / size), Math.ceil((rank + 1) * count / size)];
}
