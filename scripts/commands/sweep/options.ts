/**
 * What the command line of `sweep` takes.
 *
 * @module
 */
import { boolean, choice, integer, type Options, text, toConfig } from "../../cli/mod.ts";
import { trainFlags } from "../../cli/options.ts";
import type { Settings } from "./folder.ts";
import { taskNames } from "../../../tasks/mod.ts";
import { FIGURE_9 } from "./paper_all.ts";
import { paperAliases, paperTables } from "./paper_tables.ts";

const { adapter: _adapter, seed: _seed, lr: _lr, resume: _resume, out: _out, testing: _testing, ...passedFlags } =
  trainFlags;

/** Training examples that a search for rates holds out where nothing is said. */
export const VALIDATION = 500;

/** Flags of a sweep alone. */
export const sweepFlags = {
  adapters: text({ help: "Methods, as --adapter of train takes them; lora@qkv places one", value: "SPEC,..." }),
  seeds: text({ help: "Seeds (default 0,1,2; the paper's number of runs for its tables)", value: "N,..." }),
  lrs: text({
    help:
      "Peak learning rates; the one with the best mean counts. auto searches one for each method on examples held " +
      "out (default: the recipe's)",
    value: "X,...|auto",
  }),
  paper: choice({
    help:
      "The methods and the recipe of a table of the paper, or of the figure that shows it, such as figure6; all: every " +
      "table, with --micro",
    allowed: ["S1", ...Object.keys(paperTables), "all"],
    aliases: paperAliases,
  }),
  only: text({ help: `Only these tables of --paper all; ${FIGURE_9} is the figure`, value: "S9,..." }),
  firstData: text({
    help: "Data that the model learns first, with all weights; the methods start from the result",
    value: "DATA",
  }),
  micro: boolean({ help: "That table with a built-in model and data" }),
  list: boolean({ help: "Print the plan of a sweep instead; without --paper and --adapters, the paper's tables" }),
  part: text({
    help:
      "Be worker K of N that share the folder: take the runs that no other worker has (default: a Slurm job array's task)",
    value: "K/N",
  }),
  jobs: integer({ help: "Runs at the same time, which slow each other down", min: 1, default: 1 }),
  json: boolean({ help: "Print JSON instead of Markdown" }),
  out: text({ help: "The sweep's folder (default: one under runs/sweeps named after it)", value: "DIR" }),
};

/** All flags. */
export const flags = {
  ...sweepFlags,
  ...passedFlags,
  task: choice({ help: "Task to train", allowed: taskNames, default: taskNames[0] }),
};

/** What was said; a table may be a part of one that the paper has. */
export type SweepOptions = Omit<Options<typeof flags>, "paper"> & { readonly paper?: string };
/** Flags that were given. */
export type Given = ReadonlySet<keyof typeof flags>;

/**
 * The settings of `train` that were given, by the names of its flags.
 *
 * @param options What was said
 * @param given Flags that were given
 */
export function passedOn(options: SweepOptions, given: Given): Settings {
  const names = Object.keys(passedFlags) as (keyof typeof passedFlags)[];
  const own = names.filter((name) => given.has(name)).map((name) => [name, options[name]]);
  return toConfig(Object.fromEntries(own)) as Settings;
}
