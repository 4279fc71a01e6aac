/**
 * Runs a cell of a sweep: `train` in a process of its own, so that its peak memory is its own too.
 *
 * @module
 */
import { heeds } from "../../../adapters/spec.ts";
import { OneloraError } from "../../../dsl/error.ts";
import { NO_METHOD } from "../../../tasks/trainer/method.ts";
import { denoCommand, moduleArgument, taskArguments, taskEnvironment } from "../../cli/deno.ts";
import { type Settings, stageOf } from "./folder.ts";
import type { Cell } from "./plan.ts";

/** Settings that only some methods have, and that are refused beside others. */
const METHOD_SETTINGS: readonly string[] = ["rank", "alpha", "dropout"];

/** Where a cell runs. */
export interface Place {
  /** The sweep's folder. */
  readonly folder: string;
  /** What all cells share. */
  readonly settings: Settings;
  /** Ends the run after its current step. */
  readonly signal: AbortSignal;
  /** Called with each line that the run prints. */
  readonly onLine: (line: string) => void;
  /** Runs at once, which share the processors (default 1). */
  readonly jobs?: number;
}

/** The processors of one of several runs at once, as TensorFlow's threads: more would only wait for each other. */
function shareOf(jobs: number): Readonly<Record<string, string>> {
  if (jobs === 1) return {};
  const threads = `${Math.max(1, Math.floor(navigator.hardwareConcurrency / jobs))}`;
  return { TF_NUM_INTRAOP_THREADS: threads, TF_NUM_INTEROP_THREADS: threads };
}

/**
 * Whether a setting of `train` does something with a method: all cells share those of some of them.
 *
 * @param adapter The method
 * @param setting By its flag's name
 * @param value Its value
 */
export function isTakenBy(adapter: string, setting: string, value: unknown): boolean {
  if (!METHOD_SETTINGS.includes(setting)) return true;
  return adapter !== NO_METHOD && heeds(adapter, setting, Number(value));
}

/**
 * The arguments that `train` is given.
 *
 * @param cell The cell
 * @param place Its sweep's folder and settings
 * @param begun Whether its run has been begun before
 */
function trainArguments(
  { name, adapter, target, rate, seed, testing }: Cell,
  { folder, settings }: Pick<Place, "folder" | "settings">,
  begun: boolean,
): readonly string[] {
  const out = `${folder}/${name}`;
  const judged = settings.validation === undefined ? {} : { testing: testing ?? true };
  if (begun) return [`--resume=${out}`, ...Object.entries(judged).map(([flag, value]) => `--${flag}=${value}`)];
  const own = { adapter, target, lr: rate, seed, out, ...judged };
  const given = Object.fromEntries(Object.entries(own).filter(([, value]) => value !== undefined));
  return Object.entries({ ...settings, ...given }).filter(([name, value]) => isTakenBy(adapter, name, value))
    .map(([flag, value]) => `--${flag}=${value}`);
}

/** Tells lines as they come, and returns the last one. */
async function lastLine(stream: ReadableStream<Uint8Array>, onLine: (line: string) => void): Promise<string> {
  const decoder = new TextDecoder();
  let [last, rest] = ["", ""];
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop()!;
    for (const line of lines.filter((each) => each.trim() !== "")) onLine(last = line);
  }
  return rest.trim() === "" ? last : rest;
}

/**
 * Runs a cell to its end, from where it was left if it was begun before.
 *
 * @param cell The cell
 * @param place Where
 * @throws OneloraError with the line that the run ended with, if it did not finish
 */
export async function runCell(cell: Cell, place: Place): Promise<void> {
  const script = moduleArgument(new URL("./cell_process.ts", import.meta.url));
  // One that found a rate goes on to the test data.
  const begun = await stageOf(`${place.folder}/${cell.name}`) !== "new";
  const child = new Deno.Command(await denoCommand(), {
    args: ["run", "--no-prompt", ...taskArguments("train"), script, ...trainArguments(cell, place, begun)],
    env: { ...taskEnvironment("train"), ...shareOf(place.jobs ?? 1) },
    // Held open as long as the sweep lives: its end is that of the run.
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
    // Ctrl-C of a terminal reaches the sweep alone, which passes it on once; a second one would end the run at once.
    detached: true,
  }).spawn();
  const stop = () => child.kill("SIGINT");
  place.signal.addEventListener("abort", stop);
  try {
    const [{ success }, , said] = await Promise.all([
      child.status,
      lastLine(child.stdout, place.onLine),
      lastLine(child.stderr, place.onLine),
    ]);
    if (success) return;
    const found = said.replace(/^error: /, "") || "a process that ended without a word";
    throw new OneloraError({ attempted: `training ${cell.name}`, found, allowed: "its end" });
  } finally {
    place.signal.removeEventListener("abort", stop);
    await child.stdin.close().catch(() => undefined);
  }
}
