/**
 * Workers of a sweep: several that share its folder, on machines that a scheduler gives them. Each piece of work is claimed
 * before it begins.
 *
 * @module
 */
import { claimFolder, FolderInUse } from "../../../dsl/files/claim.ts";
import { usage } from "../../cli/options.ts";
import type { Slots } from "./slots.ts";

/** Which worker of how many, counted from 1. */
export interface Part {
  /** Its number. */
  readonly number: number;
  /** How many there are. */
  readonly count: number;
}

/** Folder, inside of a sweep's, of the claims of workers. */
const CLAIMS = "claims";

/** A whole number of a variable; undefined where it is not there or may not be read. */
function count(name: string): number | undefined {
  try {
    const text = Deno.env.get(name);
    return text === undefined || !/^\d+$/.test(text) ? undefined : Number(text);
  } catch {
    return undefined;
  }
}

/** The part that a job array of Slurm says. */
function partOfArray(): Part | undefined {
  const [task, tasks] = [count("SLURM_ARRAY_TASK_ID"), count("SLURM_ARRAY_TASK_COUNT")];
  if (task === undefined || tasks === undefined) return undefined;
  const [first, step] = [count("SLURM_ARRAY_TASK_MIN") ?? 0, count("SLURM_ARRAY_TASK_STEP") ?? 1];
  return { number: Math.floor((task - first) / Math.max(1, step)) + 1, count: tasks };
}

/**
 * Which part of a sweep this is; undefined for the whole.
 *
 * @param text `K/N`, else a job array of Slurm decides
 * @throws OneloraError (exit code 2) for what is no part
 */
export function partOf(text: string | undefined): Part | undefined {
  if (text === undefined) return partOfArray();
  const [number, count] = /^\d+\/\d+$/.test(text) ? text.split("/").map(Number) : [NaN, NaN];
  if (number >= 1 && number <= count) return { number, count };
  throw usage("reading --part", text, "K/N, K from 1 to N");
}

/** Claims a piece of work by its name; undefined where another worker has it. */
export type Claiming = (name: string) => Promise<Disposable | undefined>;

/**
 * Claims of pieces of work inside of a folder; that of a worker that has died is free.
 *
 * @param folder The folder
 */
export function claimsIn(folder: string): Claiming {
  return (name) =>
    claimFolder(`${folder}/${CLAIMS}/${name}`, "sweep").catch((error) => {
      if (error instanceof FolderInUse) return undefined;
      throw error;
    });
}

/**
 * Items with a worker's own share first, so that workers seldom meet.
 *
 * @param items The items
 * @param part Which worker; undefined where there is one
 */
export function ownFirst<Item>(items: readonly Item[], part: Part | undefined): readonly Item[] {
  if (part === undefined) return items;
  const isOwn = (_: Item, i: number) => i % part.count === part.number - 1;
  return [...items.filter(isOwn), ...items.filter((item, i) => !isOwn(item, i))];
}

/** How long another worker is left alone before it is looked whether it has ended, in milliseconds. */
const PAUSE = 500;

/** Waits a moment, or until it is ended. */
function pause(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(end, PAUSE);
    function end() {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    }
    signal.addEventListener("abort", end);
    if (signal.aborted) end();
  });
}

/**
 * Does a piece of work in a place of its own. While another worker has it, the place is left to others.
 *
 * @param how Places, whose turn it is, what ends it, and whether to wait for another worker that has it
 * @param work The work; undefined where another worker has it
 * @returns What came of it; undefined where another worker has it and it is not waited for, or was ended
 */
export async function insideSlot<Result>(
  { slots, rank, signal, wait }: {
    readonly slots: Slots;
    readonly rank: number;
    readonly signal: AbortSignal;
    readonly wait: boolean;
  },
  work: () => Promise<Result | undefined>,
): Promise<Result | undefined> {
  for (;;) {
    const result = await slots.take(rank, work);
    if (result !== undefined || !wait || signal.aborted) return result;
    await pause(signal);
  }
}
