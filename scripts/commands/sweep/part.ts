/**
 * A worker of a sweep: one of several that share its folder, on machines that a scheduler gives them.
 *
 * @module
 */
import { claimFolder, FolderInUse } from "../../../dsl/files/claim.ts";
import { makeFolder } from "../../../dsl/files/write.ts";
import { usage } from "../../cli/options.ts";
import { runCell } from "./cell.ts";
import { checkSettings } from "./check.ts";
import { note, resultLine } from "./execute.ts";
import { claim } from "./folder.ts";
import type { Configuration } from "./paper.ts";
import { planCells } from "./plan.ts";
import { earlierResult } from "./run.ts";

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

/** A run's claim; undefined where another worker has it. */
async function claimed(folder: string, name: string): Promise<Disposable | undefined> {
  return await claimFolder(`${folder}/${CLAIMS}/${name}`, "sweep").catch((error) => {
    if (error instanceof FolderInUse) return undefined;
    throw error;
  });
}

/**
 * Runs what nobody else runs of a sweep: first the worker's share, then what others have not come to. A run is claimed before
 * it begins; the claim of a worker that has died is free. Tables are made by the same command without a part, when the
 * workers have ended.
 *
 * @param configuration What to compare
 * @param part Which worker
 * @param place Where, and what ends it
 * @throws OneloraError (exit code 2) for sweeps whose runs depend on each other
 */
export async function sweepPart(
  { settings, first, search, ...plan }: Configuration,
  part: Part,
  { folder, signal }: { readonly folder: string; readonly signal: AbortSignal },
): Promise<void> {
  if (first !== undefined || search) {
    const found = first !== undefined ? "a first stage, which every run needs" : "a search for rates, run after run";
    throw usage(`sweeping part ${part.number}/${part.count}`, found, "sweeps whose runs need no others: no --part");
  }
  checkSettings(settings, first);
  await makeFolder(`${folder}/${CLAIMS}`);
  await claim(folder, settings);
  const cells = planCells(plan);
  const isOwn = (i: number) => i % part.count === part.number - 1;
  const order = [...cells.filter((_, i) => isOwn(i)), ...cells.filter((_, i) => !isOwn(i))];
  let [done, failed] = [0, 0];
  for (const cell of order) {
    if (signal.aborted) break;
    using own = await claimed(folder, cell.name);
    if (own === undefined || (await earlierResult(cell, folder)).state !== "pending") continue;
    try {
      await runCell(cell, { folder, settings, signal, onLine: () => {} });
      done++;
      note(resultLine(await earlierResult(cell, folder)));
    } catch (error) {
      failed++;
      note(`${cell.name}  ${(error as Error).message}`);
    }
  }
  const rest = (await Promise.all(cells.map((cell) => earlierResult(cell, folder))))
    .filter(({ state }) => state === "pending").length;
  note(
    `part ${part.number}/${part.count}: ${done} runs here${failed > 0 ? `, ${failed} failed` : ""}; ${rest} to be done`,
  );
  if (rest === 0) note("the same command without --part makes the tables");
}
