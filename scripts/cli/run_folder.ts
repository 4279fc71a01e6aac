/**
 * What a run needs from its surroundings: a folder, an interrupt, progress, and how much memory it took.
 *
 * @module
 */
import process from "node:process";
import { OneloraError } from "../../dsl/error.ts";
import { makeFolder, writeJson as writeFile } from "../../dsl/files/write.ts";
import type { Reporter } from "../../tasks/trainer/observe.ts";
import { type Progress, progress } from "./mod.ts";

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

/** What a run leaves in its folder that another run would write over. */
const OF_A_RUN = [
  "checkpoint/last.safetensors",
  "checkpoint/best.safetensors",
  "adapter/adapter_model.safetensors",
  "metrics.jsonl",
  "summary.json",
];

/**
 * A folder name that is not taken: `parent/name`, `parent/name-2`, ...
 *
 * @param parent Folder
 * @param name Wanted name; characters that file names do not like become dashes
 */
export function newFolder(parent: string, name: string): string {
  const plain = `${parent}/${name.replace(/[^\w.+=-]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 120)}`;
  if (!exists(plain)) return plain;
  let number = 2;
  while (exists(`${plain}-${number}`)) number++;
  return `${plain}-${number}`;
}

/**
 * Refuses a folder that belongs to an earlier run.
 *
 * @param folder Where a run would go
 */
export function unused(folder: string): void {
  const attempted = `starting a run in ${folder}`;
  if (exists(`${folder}/config.json`)) {
    const allowed = `another folder, or --resume ${folder}`;
    throw new OneloraError({ attempted, found: "an earlier run's folder", allowed });
  }
  const kept = OF_A_RUN.find((name) => exists(`${folder}/${name}`));
  if (kept === undefined) return;
  throw new OneloraError({
    attempted,
    found: `${kept} of another run, without its config.json`,
    allowed: "another folder",
  });
}

/**
 * Writes a JSON file into a run's folder, which is made if needed; the file appears whole or not at all.
 *
 * @param folder The folder
 * @param name The file
 * @param value The content
 */
export async function writeJson(folder: string, name: string, value: unknown): Promise<void> {
  await makeFolder(`${folder}/checkpoint`, { within: folder });
  await writeFile(`${folder}/${name}`, value, { within: folder });
}

/** A signal that Ctrl-C raises; a second Ctrl-C ends the process at once. */
export function interruptible(): AbortSignal {
  const controller = new AbortController();
  const onInterrupt = () => {
    if (controller.signal.aborted) Deno.exit(130);
    controller.abort();
    console.error("interrupted: finishing this step (Ctrl-C again to stop at once)");
  };
  Deno.addSignalListener("SIGINT", onInterrupt);
  return controller.signal;
}

/**
 * A trainer's reporter that draws on this terminal.
 *
 * @param label What is being trained
 */
export function reporterFor(label: string): Reporter {
  let drawn: Progress | undefined;
  return {
    line: (text) => drawn === undefined ? console.log(text) : drawn.note(text),
    start: (start, total) => drawn = progress({ label, total, start }),
    progress: (step, { loss, lr }) => drawn?.tick({ step, loss, rate: lr }),
    finish: () => {
      drawn?.stop();
      drawn = undefined;
    },
  };
}

/** Largest resident memory of this process so far, in bytes. */
export function peakRssBytes(): number {
  return process.resourceUsage().maxRSS * 1024;
}
