/**
 * Runs that are killed and go on must end as those that were not.
 *
 * @module
 */
import { claimFolder } from "../../../dsl/files/claim.ts";
import type { TaskName } from "../../cli/deno.ts";
import type { Chance } from "../fuzz/mutate.ts";
import { type Ended, leftovers, momentOf, runCommand, type Signal, SIGNALS, wrongEnd } from "./kill.ts";
import { broken, differences } from "./same.ts";

/** What is trained, and by what. */
export interface Job {
  /** The task. */
  readonly task: string;
  /** The engine. */
  readonly backend: string;
  /** Whether a sweep over two methods is killed instead of a run. */
  readonly sweep?: boolean;
}

/** Counts of what happened. */
export interface Tally {
  /** Kills, by signal. */
  readonly kills: Record<Signal, number>;
  /** Signals that came when the run was over. */
  late: number;
  /** Kills that left a half-written file. */
  inWrites: number;
  /** Kills before a run's settings were written: it is started again, not resumed. */
  early: number;
  /** Runs that were killed and compared. */
  runs: number;
  /** What was wrong. */
  readonly faults: string[];
}

/** No kills. */
export function noKills(): Tally {
  return { kills: { SIGKILL: 0, SIGTERM: 0, SIGINT: 0 }, late: 0, inWrites: 0, early: 0, runs: 0, faults: [] };
}

/** Seconds that the runs of a killed sweep may take to notice. */
const NOTICED = 5;
const METHODS = ["1lora", "bitfit"];

function settingsOf({ task, backend }: Job): readonly string[] {
  const samples = task === "image-classification" ? [] : ["--samples", "2"];
  const size = ["--limit", "8", "--batch-size", "2", "--steps", "6", "--eval-every", "2", "--workers", "1"];
  return ["--task", task, "--backend", backend, ...size, ...samples];
}

/** The command of a job, and the folders of its runs. */
function commandOf(job: Job, out: string): readonly [task: TaskName, args: readonly string[], runs: readonly string[]] {
  const settings = [...settingsOf(job), "--out", out];
  if (!job.sweep) return ["train", settings, [out]];
  const adapters = ["--adapters", METHODS.join(","), "--seeds", "0"];
  return ["sweep", [...settings, ...adapters], METHODS.map((method) => `${out}/${method}-seed0`)];
}

/** A run that nobody disturbs. */
export interface Whole {
  /** Its folder. */
  readonly folder: string;
  /** Milliseconds that it took. */
  readonly took: number;
}

/** Runs a job to its end. */
export async function undisturbed(job: Job, folder: string): Promise<Whole> {
  const [task, args] = commandOf(job, folder);
  const ended = await runCommand(task, args);
  const wrong = wrongEnd(ended);
  if (wrong !== undefined) throw new Error(`${task} ${args.join(" ")}: ${wrong}`);
  return { folder, took: ended.took };
}

/** Whether somebody still has a run's folder after some seconds. */
async function isHeld(folder: string, seconds: number): Promise<boolean> {
  const end = performance.now() + seconds * 1000;
  for (;;) {
    try {
      using _ = await claimFolder(folder, "kills");
      return false;
    } catch {
      if (performance.now() >= end) return true;
      await new Promise((wake) => setTimeout(wake, 50));
    }
  }
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

/**
 * Starts a job, kills it, resumes it, kills it again perhaps, and compares what it comes to in the end.
 *
 * @param job What
 * @param whole What it must come to
 * @param folder Where
 * @param chance What decides the moments and the signals
 * @param tally Counts, added to
 * @param most Kills at most
 */
export async function killed(
  job: Job,
  whole: Whole,
  folder: string,
  chance: Chance,
  tally: Tally,
  most: number = 3,
): Promise<void> {
  const [task, args, runs] = commandOf(job, folder);
  const first = [...args, "--checkpoint-every", `${1 + chance(3)}`];
  const next = async () => task === "train" && await exists(`${folder}/config.json`) ? [`--resume=${folder}`] : first;
  const fault = (what: string) => void tally.faults.push(`${job.task} ${job.backend} ${task} ${folder}: ${what}`);
  const kills = 1 + chance(Math.min(3, most));
  for (let kill = 0; kill < kills; kill++) {
    const signal = SIGNALS[chance(SIGNALS.length)];
    const moment = momentOf(chance, whole.took);
    const ended: Ended = await runCommand(task, await next(), { moment, signal, folder });
    const wrong = wrongEnd(ended, signal);
    if (wrong !== undefined) fault(`${signal} at ${JSON.stringify(moment)}: ${wrong}`);
    if (!ended.killed) {
      tally.late++;
      break;
    }
    tally.kills[signal]++;
    if (await leftovers(folder) > 0) tally.inWrites++;
    if (task === "train" && !await exists(`${folder}/config.json`)) tally.early++;
    for (const run of runs) {
      if (!await exists(run)) continue;
      if (job.sweep && await isHeld(run, signal === "SIGKILL" ? NOTICED : 0)) fault(`${signal}: its run goes on`);
      for (const path of await broken(run)) fault(`${signal} at ${JSON.stringify(moment)}: ${path} is broken`);
    }
  }
  const ended = await runCommand(task, await next());
  const wrong = wrongEnd(ended);
  if (wrong !== undefined) return fault(`going on: ${wrong}`);
  tally.runs++;
  const [, , wholes] = commandOf(job, whole.folder);
  for (const [i, run] of runs.entries()) {
    for (const path of await differences(run, wholes[i])) fault(`${path} differs from an undisturbed run's`);
  }
}
