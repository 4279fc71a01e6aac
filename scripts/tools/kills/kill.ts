/**
 * Ends processes of the project's commands by signals, at moments that a seed decides.
 *
 * @module
 */
import { dirname, resolve } from "node:path";
import { denoCommand, taskArguments, type TaskName } from "../../cli/deno.ts";
import type { Chance } from "../fuzz/mutate.ts";
import { filesOf } from "./same.ts";

const root = new URL("../../../", import.meta.url);

/** Signals that end a run; the first leaves it no time. */
export const SIGNALS = ["SIGKILL", "SIGTERM", "SIGINT"] as const;
/** One of them. */
export type Signal = typeof SIGNALS[number];

/** Exit codes of processes that a signal ended. */
const CODES: Readonly<Record<Signal, number>> = { SIGKILL: 137, SIGTERM: 143, SIGINT: 130 };

/** Files whose changes a kill may wait for, by what they are called in figures. */
const WRITES = {
  checkpoint: /\/checkpoint\//,
  log: /\/metrics\.jsonl$/,
  adapter: /\/adapter\//,
  any: /\.onelora-[^/]*\.tmp$|\/(config|summary|data)\.json$|\/report\.html$/,
} as const;

/** When a process is killed: after some milliseconds, or at a change of a file, counted from 1. */
export type Moment =
  | { readonly kind: "time"; readonly after: number }
  | { readonly kind: keyof typeof WRITES; readonly change: number };

/** What came of a command. */
export interface Ended {
  /** Exit code. */
  readonly code: number;
  /** What it said as errors. */
  readonly said: string;
  /** Milliseconds that it took. */
  readonly took: number;
  /** Whether the signal ended it: it may have been over before. */
  readonly killed: boolean;
}

/**
 * A moment.
 *
 * @param chance What decides it
 * @param took Milliseconds of a whole run
 */
export function momentOf(chance: Chance, took: number): Moment {
  const kinds = ["time", "time", "time", "checkpoint", "checkpoint", "log", "log", "adapter", "any", "any"] as const;
  const kind = kinds[chance(kinds.length)];
  if (kind === "time") return { kind, after: chance(Math.ceil(took)) };
  return { kind, change: 1 + chance({ checkpoint: 24, log: 6, adapter: 5, any: 20 }[kind]) };
}

/** Calls a function when its moment has come. */
function at(moment: Moment, folder: string, act: () => void): Disposable {
  if (moment.kind === "time") {
    const timer = setTimeout(act, moment.after);
    return { [Symbol.dispose]: () => clearTimeout(timer) };
  }
  const watcher = Deno.watchFs(dirname(folder));
  const wait = async () => {
    let changes = 0;
    for await (const { kind, paths } of watcher) {
      const isOurs = kind !== "access" &&
        paths.some((path) => path.startsWith(`${folder}/`) && WRITES[moment.kind].test(path));
      if (isOurs && ++changes === moment.change) return act();
    }
  };
  wait();
  return {
    [Symbol.dispose]: () => {
      try {
        watcher.close();
      } catch {
        // It was used up.
      }
    },
  };
}

/**
 * Runs a command, and kills it if it is told when.
 *
 * @param task Its name
 * @param args Its arguments
 * @param kill When, by which signal, and the folder whose files are watched
 */
export async function runCommand(
  task: TaskName,
  args: readonly string[],
  kill?: { readonly moment: Moment; readonly signal: Signal; readonly folder: string },
): Promise<Ended> {
  const started = performance.now();
  const script = `scripts/commands/${task}.ts`;
  const process = new Deno.Command(await denoCommand(), {
    args: ["run", "--no-prompt", ...taskArguments(task), script, ...args],
    cwd: root,
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  let isSent = false;
  const send = () => {
    try {
      process.kill(kill!.signal);
      isSent = true;
    } catch {
      // It is over.
    }
  };
  using _ = kill && at(kill.moment, resolve(kill.folder), send);
  const { code, stderr } = await process.output();
  const killed = isSent && code === CODES[kill!.signal];
  return { code, killed, said: new TextDecoder().decode(stderr), took: performance.now() - started };
}

/**
 * What is wrong with how a command ended.
 *
 * @param ended How
 * @param signal By which signal, if by any
 */
export function wrongEnd({ code, said }: Ended, signal?: Signal): string | undefined {
  const errors = said.split("\n").filter((line) => line.startsWith("error: ")).length;
  if (/unexpected|panicked|Uncaught|\n\s+at /.test(said)) return `said ${said}`;
  if (signal !== undefined && code === CODES[signal]) return errors > 1 ? `several errors: ${said}` : undefined;
  return code === 0 ? undefined : `exit code ${code}: ${said}`;
}

/** Files that are being written when a process is killed stay behind under names of their own. */
export async function leftovers(folder: string): Promise<number> {
  return (await filesOf(folder).catch(() => [])).filter((path) => /\.onelora-[^/]*\.tmp$/.test(path)).length;
}
