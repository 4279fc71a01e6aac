/**
 * `deno task sweep`: trains one task with several methods, seeds and learning rates, each run in a process of its own,
 * and compares them as the paper's tables do. The same command again goes on where it was left.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import { claimFolder } from "../../dsl/files/claim.ts";
import { taskKind } from "../../tasks/mod.ts";
import { attempt } from "../cli/attempt.ts";
import { boolean, choice, integer, main, type Options, span, text, toConfig } from "../cli/mod.ts";
import { trainFlags, usage } from "../cli/options.ts";
import { interruptible } from "../cli/signals.ts";
import { runCell } from "./sweep/cell.ts";
import { claim, joinCells, type Settings } from "./sweep/folder.ts";
import { writeOutcome } from "./sweep/outcome.ts";
import {
  type Configuration,
  experiments,
  fullSize,
  microSize,
  paperColumns,
  paperLabel,
  paperList,
  paperNotes,
} from "./sweep/paper.ts";
import { paperTables } from "./sweep/paper_tables.ts";
import { type Cell, planCells, readMethods, readNumbers } from "./sweep/plan.ts";
import { decidingOf, rowsOf } from "./sweep/rows.ts";
import { type CellResult, earlierResult, runCells } from "./sweep/run.ts";
import { unitOf } from "./sweep/table.ts";

const { adapter: _adapter, seed: _seed, lr: _lr, resume: _resume, out: _out, ...passedFlags } = trainFlags;

const sweepFlags = {
  adapters: text({ help: "Methods, as --adapter of train takes them; lora@qkv places one", value: "SPEC,..." }),
  seeds: text({ help: "Seeds (default 0,1,2; the paper's number of runs for its tables)", value: "N,..." }),
  lrs: text({ help: "Peak learning rates; the one with the best mean counts (default: the recipe's)", value: "X,..." }),
  paper: choice({
    help: "The methods and the recipe of a table of the paper",
    allowed: Object.keys(paperTables),
  }),
  micro: boolean({ help: "That table with a built-in model and data" }),
  list: boolean({ help: "Print the paper's tables and what they need" }),
  jobs: integer({ help: "Runs at once; their times are not their own then", min: 1, default: 1 }),
  json: boolean({ help: "Print JSON instead of Markdown" }),
  out: text({ help: "The sweep's folder (default: one under runs/sweeps named after it)", value: "DIR" }),
};

const flags = { ...sweepFlags, ...passedFlags };

type SweepOptions = Options<typeof flags>;
type Given = ReadonlySet<keyof typeof flags>;

/** The settings of `train` that were given, by the names of its flags. */
function passedOn(options: SweepOptions, given: Given): Settings {
  const names = Object.keys(passedFlags) as (keyof typeof passedFlags)[];
  const own = names.filter((name) => given.has(name)).map((name) => [name, options[name]]);
  return toConfig(Object.fromEntries(own)) as Settings;
}

/** A sweep's settings with others in place of some; steps and epochs exclude each other. */
function withSettings(settings: Settings, others: Settings): Settings {
  const { steps: _steps, epochs: _epochs, ...rest } = settings;
  return { ..."steps" in others || "epochs" in others ? rest : settings, ...others };
}

/** A table's sweep, in the size that was asked for. */
function ofPaper(name: string, { micro }: SweepOptions, given: Given): Configuration {
  if (micro) return microSize(name);
  const { experiment, data } = paperTables[name];
  const lacking = (["model", "data"] as const).find((flag) => !given.has(flag));
  if (lacking === undefined) return fullSize(name);
  throw usage(
    `sweeping --paper ${name}`,
    `no --${lacking}`,
    `--data ${data} and --model ${experiments[experiment].model}; or --micro for built-in ones`,
  );
}

/** What is to be run. */
function configurationOf(options: SweepOptions, given: Given): Configuration {
  const { paper, adapters, seeds, lrs, micro } = options;
  if (micro && paper === undefined) throw usage("reading --micro", "no --paper", `--paper ${sweepFlags.paper.allowed}`);
  if (paper === undefined && adapters === undefined) {
    throw usage("reading the command line", "nothing to compare", "--adapters SPEC,... or --paper NAME (see --list)");
  }
  const own = passedOn(options, given);
  const base: Configuration = paper === undefined
    ? { title: "", settings: {}, methods: [], seeds: [0, 1, 2], rates: () => [] }
    : ofPaper(paper, options, given);
  const rates = lrs === undefined
    ? undefined
    : readNumbers("--lrs", lrs, (rate) => rate > 0 && rate < Infinity, "numbers above 0");
  const isSeed = (seed: number) => Number.isSafeInteger(seed) && seed >= 0;
  const configuration = {
    settings: withSettings(base.settings, own),
    methods: adapters === undefined ? base.methods : readMethods(adapters),
    seeds: seeds === undefined ? base.seeds : readNumbers("--seeds", seeds, isSeed, "integers, at least 0"),
    rates: rates === undefined ? base.rates : () => rates,
  };
  const kind = taskKind(options.task);
  const { model = kind.model, data = kind.data } = configuration.settings;
  return { ...configuration, title: base.title || `${options.task}, ${model}, ${data}` };
}

/** The folder of a sweep that was not given one. */
function folderOf({ paper, micro }: SweepOptions, { title }: Configuration): string {
  const name = paper === undefined ? title.replace(/[^\w.+=-]+/g, "-") : micro ? `${paper}-micro` : paper;
  return `runs/sweeps/${name}`;
}

function named({ method, rate, seed }: Cell): string {
  return `${method}${rate === undefined ? "" : ` rate ${rate}`} seed ${seed}`;
}

/** A result in a line. */
function resultLine(result: CellResult): string {
  if (result.state !== "finished") return `${named(result.cell)}  failed: ${"why" in result ? result.why : ""}`;
  const { metrics, deciding: { metric }, stepSeconds, peakRssBytes, seconds } = result.summary;
  const { title, factor } = unitOf(metric);
  const value = (metrics[metric] * factor).toPrecision(4);
  const [step, memory] = [(stepSeconds * 1000).toFixed(0), (peakRssBytes / 1e6).toFixed(0)];
  return `${named(result.cell)}  ${title} ${value}  ${step} ms a step  ${memory} MB  ${span(seconds)}`;
}

/** Shows what a run says while it lasts, where there is a terminal to take it back from. */
const isTerminal = Deno.stderr.isTerminal();
function status(line: string): void {
  if (isTerminal) Deno.stderr.writeSync(new TextEncoder().encode(`\r\x1b[K${line.slice(0, 100)}`));
}
function note(line: string): void {
  status("");
  console.error(line);
}

/** Runs what is not finished; what an interrupt has left is pending. */
async function ran(
  cells: readonly Cell[],
  { folder, settings, jobs, signal }: {
    readonly folder: string;
    readonly settings: Settings;
    readonly jobs: number;
    readonly signal: AbortSignal;
  },
): Promise<readonly CellResult[]> {
  return await runCells(cells, {
    folder,
    jobs,
    signal,
    run: (cell) =>
      runCell(cell, { folder, settings, signal, onLine: (line) => status(`${named(cell)}: ${line.trim()}`) }),
    onResult: (result, { done, earlier }) =>
      note(`[${done}/${cells.length}] ${resultLine(result)}${earlier ? "  (earlier)" : ""}`),
  });
}

/** Why a sweep is not complete; undefined if it is. */
function incomplete(folder: string, own: readonly CellResult[], signal: AbortSignal): OneloraError | undefined {
  const count = (state: CellResult["state"]) => own.filter((result) => result.state === state).length;
  const attempted = `sweeping ${folder}`;
  if (signal.aborted) {
    const found = `an interrupt with ${count("finished")} of ${own.length} runs finished`;
    return new OneloraError({ attempted, found, allowed: "the same command again, which goes on from there" });
  }
  if (count("failed") === 0) return undefined;
  return new OneloraError({
    attempted,
    found: `${count("failed")} of ${own.length} runs failed, each with a line above`,
    allowed: "the same command again, which tries them again",
  });
}

await main(
  { name: "sweep", summary: "Compares methods over seeds and learning rates, each run in its own process.", flags },
  attempt(async ({ options, given }) => {
    if (options.list) return console.log(paperList());
    const { paper, micro, jobs, json } = options;
    const configuration = configurationOf(options, given);
    const folder = options.out ?? folderOf(options, configuration);
    const { title, settings } = configuration;
    const cells = planCells(configuration);
    using owned = await claimFolder(folder, "sweep");
    if (owned.note !== undefined) note(owned.note);
    await claim(folder, settings);
    const all = await joinCells(folder, cells);
    note(`${title}: ${cells.length} runs in ${folder}`);
    const signal = interruptible("finishing the steps that run");
    const own = await ran(cells, { folder, settings, jobs, signal });
    const ofOwn = new Map(own.map((result) => [result.cell.name, result]));
    const results = await Promise.all(
      all.map(async (cell) => ofOwn.get(cell.name) ?? await earlierResult(cell, folder)),
    );
    const failure = incomplete(folder, own, signal);
    const deciding = decidingOf(results);
    // With no run finished there is nothing to show, and some reason why.
    if (deciding === undefined) throw failure;

    const rows = rowsOf(results, deciding, (method) => paper === undefined ? method : paperLabel(paper, method));
    const isFull = paper !== undefined && !micro;
    const beside = isFull ? paperColumns(paper, rows.map(({ method }) => method)) : [];
    const notes = isFull ? paperNotes(paper) : [];
    const outcome = { folder, settings, title, rows, deciding, beside, notes, results };
    const { table, data, files } = await writeOutcome(outcome, note);
    console.log(json ? data : table);
    note(`${folder}: ${files.join(", ")}`);
    if (failure !== undefined) throw failure;
  }),
);
