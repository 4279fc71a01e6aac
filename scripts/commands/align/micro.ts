/**
 * The runs that Figure 9 needs, with built-in models and data.
 *
 * @module
 */
import { join } from "node:path";
import { fineTune } from "../../../tasks/fine_tune/fine_tune.ts";
import { type Reporter, silent } from "../../../tasks/trainer/observe.ts";
import { stageOf } from "../sweep/folder.ts";
import { experiments } from "../sweep/paper.ts";
import { paperTables } from "../sweep/paper_tables.ts";

/** Tables of the two kinds of experiments that Figure 9 has; its order is that of the command's choices. */
const TABLES = ["S9", "S3"].map((name) => paperTables[name]);

/** The tasks of Figure 9, and the data that stands for theirs. */
const DATA: Readonly<Record<string, string>> = Object.fromEntries(
  TABLES.map(({ experiment, micro }) => [`${experiments[experiment].settings.task}`, micro]),
);

/** Names of the tasks. */
export const microTasks: readonly string[] = Object.keys(DATA);

/** Folders of the runs that were trained. */
export interface MicroRuns {
  /** All weights. */
  readonly full: string;
  /** LoRA. */
  readonly lora: string;
}

/** Steps where nothing is said, those of RESULTS.md. */
const STEPS = 300;

/** Trains a run, continues it, or finds it finished. */
async function trained(out: string, options: Parameters<typeof fineTune>[0]): Promise<string> {
  const stage = await stageOf(out);
  if (stage === "finished") return out;
  // Standard output is the table's, or JSON.
  console.error(`training ${out}`);
  const onLine = (line: string) => console.error(line);
  const { signal, reporter } = options ?? {};
  const surroundings = { signal, reporter, onLine };
  using _tuned = await fineTune(
    stage === "begun" ? { resume: out, ...surroundings } : { ...options, out, ...surroundings },
  );
  return out;
}

/**
 * Trains with all weights and with LoRA, unless that is done; the engine in use computes.
 *
 * @param task The task
 * @param folder Where the runs go
 * @param steps Steps of each
 * @param signal Ends a run after its current step
 * @param during Called when steps begin and end
 */
export async function microRuns(
  task: string,
  folder: string,
  { steps = STEPS, signal, during }: {
    readonly steps?: number;
    readonly signal?: AbortSignal;
    readonly during: (reporter: Reporter) => Reporter;
  },
): Promise<MicroRuns> {
  const { fullRate } = Object.values(experiments).find(({ settings }) => settings.task === task)!.micro;
  const shared = { task, data: DATA[task], steps, signal, reporter: () => during(silent) } as Parameters<
    typeof fineTune
  >[0];
  return {
    full: await trained(join(folder, "all"), { ...shared, adapter: "all", lr: fullRate }),
    lora: await trained(join(folder, "lora"), { ...shared, adapter: "lora" }),
  };
}
