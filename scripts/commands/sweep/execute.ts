/**
 * A sweep from its cells to its tables.
 *
 * @module
 */
import { OneloraError } from "../../../dsl/error.ts";
import { makeFolder } from "../../../dsl/files/write.ts";
import { taskKind, taskNames } from "../../../tasks/kinds.ts";
import { NO_METHOD } from "../../../tasks/trainer/method.ts";
import { span } from "../../cli/mod.ts";
import { runCell } from "./cell.ts";
import { firstStage, withRecipe } from "./first_stage.ts";
import { checkSettings, metricTitle } from "./check.ts";
import { claim, joinCells, type Settings } from "./folder.ts";
import { writeOutcome } from "./outcome.ts";
import type { Section } from "./page.ts";
import { type Configuration, paperColumns, paperLabel, paperNotes } from "./paper.ts";
import { type Cell, planCells } from "./plan.ts";
import { rankNotes } from "./ranks.ts";
import { decidingOf, rowsOf } from "./rows.ts";
import { type CellResult, earlierResult, hasDiverged, runCells } from "./run.ts";
import { searchRates } from "./search.ts";
import { unitOf } from "./table.ts";

function named({ method, rate, seed }: Cell): string {
  return `${method}${rate === undefined ? "" : ` rate ${rate}`} seed ${seed}`;
}

/** A result in a line. */
export function resultLine(result: CellResult): string {
  if (result.state !== "finished") return `${named(result.cell)}  failed: ${"why" in result ? result.why : ""}`;
  const { metrics, deciding: { metric }, stepSeconds, peakRssBytes, seconds, untested } = result.summary;
  const { title, factor } = unitOf(metric);
  const value = `${(metrics[metric] * factor).toPrecision(4)}${untested ? " held out" : ""}`;
  const [step, memory] = [(stepSeconds * 1000).toFixed(0), (peakRssBytes / 1e6).toFixed(0)];
  return `${named(result.cell)}  ${title} ${value}  ${step} ms a step  ${memory} MB  ${span(seconds)}`;
}

/** Shows what a run says while it lasts, where there is a terminal to take it back from. */
const isTerminal = Deno.stderr.isTerminal();
function status(line: string): void {
  if (isTerminal) Deno.stderr.writeSync(new TextEncoder().encode(`\r\x1b[K${line.slice(0, 100)}`));
}

/**
 * Says a line, in place of what a run said last.
 *
 * @param line The line
 */
export function note(line: string): void {
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

/** Where and how a sweep runs. */
export interface Execution {
  /** The folder of its runs. */
  readonly folder: string;
  /** Where the model of a first stage lies (default: its folder). */
  readonly root?: string;
  /** Runs at once. */
  readonly jobs: number;
  /** Ends it. */
  readonly signal: AbortSignal;
}

/** Some methods of a sweep, shown as a table. */
export interface View {
  /** In words. */
  readonly title: string;
  /** Its folder. */
  readonly folder: string;
  /** Its methods, in its order. */
  readonly methods: readonly string[];
  /** The table of the paper that it is. */
  readonly paper?: string;
  /** Whether the paper's own figures stand beside. */
  readonly isFull: boolean;
}

/** What came of a sweep. */
export interface Executed {
  /** The table in Markdown. */
  readonly table: string;
  /** Everything, as JSON. */
  readonly data: string;
  /** Its part of a page. */
  readonly section: Section;
}

/** Results of all runs of a sweep's folder. */
export interface Swept {
  /** The folder. */
  readonly folder: string;
  /** What all cells share. */
  readonly settings: Settings;
  /** The results, those of earlier commands too. */
  readonly results: readonly CellResult[];
  /** All methods, those of earlier commands first. */
  readonly methods: readonly string[];
  /** Why it is not complete; undefined if it is. */
  readonly failure?: OneloraError;
}

/** The settings of cells: those of the sweep, from the model that a first stage has made. */
async function settled(
  { settings, first, rates }: Configuration,
  { folder, root = folder, signal }: Execution,
): Promise<Settings> {
  if (first === undefined) return settings;
  const full = withRecipe(settings);
  const onLine = (line: string) => status(`first ${first}: ${line.trim()}`);
  note(`first stage: ${first} with all weights`);
  const [rate] = rates("all");
  const { validation: _validation, ...alone } = full;
  const model = await firstStage({ folder: root, settings: alone, data: first, rate, signal, onLine });
  note(`the methods start from ${model}`);
  return { ...full, model };
}

/** The rate that a method's recipe has. */
function recipeRate(settings: Settings): number {
  const kind = taskKind(`${settings.task ?? taskNames[0]}`);
  const { model = kind.model, data = kind.data } = settings;
  return kind.recipe(`${model}`, `${data}`).lr;
}

/** The cells of a sweep, after the search for the methods' rates if there is one. */
async function cellsOf(
  configuration: Configuration,
  own: Settings,
  { folder, jobs, signal }: Execution,
): Promise<readonly [cells: readonly Cell[], failure?: OneloraError]> {
  const { methods, seeds, rates, search, settings } = configuration;
  if (!search) return [planCells(configuration)];
  note(`a rate for each method, on ${settings.validation} training examples held out:`);
  const { rates: found, results } = await searchRates({
    ...{ methods, seed: seeds[0], note, signal },
    startOf: (method) => rates(method)[0] ?? recipeRate(settings),
    run: async (cells) => {
      await joinCells(folder, cells);
      return await ran(cells, { folder, settings: own, jobs, signal });
    },
  });
  const decided = methods.filter((method) => method === NO_METHOD || found.has(method));
  const cells = planCells({ methods: decided, seeds, rates: (method) => [found.get(method)!] });
  if (signal.aborted || decided.length === methods.length) return [cells];
  const failures = results.filter((result) => result.state === "failed" && !hasDiverged(result));
  const lost = methods.filter((method) => !decided.includes(method));
  return [
    cells,
    failures.length > 0 ? incomplete(folder, failures, signal) : new OneloraError({
      attempted: `searching rates in ${folder}`,
      found: `no rate at which ${lost.join(", ")} does not diverge`,
      allowed: "methods that train, or --lrs with rates to try",
    }),
  ];
}

/**
 * Runs what is not finished of a sweep.
 *
 * @param configuration What to compare
 * @param execution Where and how
 */
export async function sweepRuns(configuration: Configuration, execution: Execution): Promise<Swept> {
  const { folder, jobs, signal } = execution;
  const { title, settings, first, methods } = configuration;
  checkSettings(settings, first);
  await makeFolder(folder);
  await claim(folder, { ...settings, ...first !== undefined && { "first-data": first } });
  await joinCells(folder, configuration.search ? [] : planCells(configuration));
  const own = await settled(configuration, execution);
  note(`${title}:`);
  const [cells, unfound] = await cellsOf(configuration, own, execution);
  const all = await joinCells(folder, cells);
  note(`${cells.length} runs in ${folder}`);
  const results = await ran(cells, { folder, settings: own, jobs, signal });
  const failure = incomplete(folder, results, signal) ?? unfound;
  const ofOwn = new Map(results.map((result) => [result.cell.name, result]));
  const joined = await Promise.all(all.map(async (cell) => ofOwn.get(cell.name) ?? await earlierResult(cell, folder)));
  // A search has run the methods that need one before others.
  const ordered = all.every(({ method }) => methods.includes(method)) ? methods : all.map(({ method }) => method);
  return { folder, settings, results: joined, methods: [...new Set(ordered)], failure };
}

/**
 * Writes what came of a sweep, or of some methods of it.
 *
 * @param swept Its runs
 * @param view What to show
 * @param signal Ends what takes long
 * @throws OneloraError if no run has finished
 */
export async function showSweep(
  { folder: runs, settings, results, failure }: Swept,
  view: View,
  signal: AbortSignal,
): Promise<Executed> {
  const { title, folder, methods, paper, isFull } = view;
  const shown = methods.flatMap((method) => results.filter(({ cell }) => cell.method === method));
  const deciding = decidingOf(shown);
  // With no run finished there is nothing to show, and some reason why.
  if (deciding === undefined) throw failure;

  const rows = rowsOf(shown, deciding, (method) => paper === undefined ? method : paperLabel(paper, method));
  const beside = isFull && paper !== undefined ? paperColumns(paper, rows.map(({ method }) => method)) : [];
  const notes = paper === undefined ? [] : [
    ...rankNotes(paper, rows, deciding),
    ...isFull ? paperNotes(paper) : [],
  ];
  const outcome = {
    folder,
    runs,
    metricTitle: metricTitle(settings),
    settings,
    title,
    rows,
    deciding,
    beside,
    notes,
    results: shown,
  };
  await makeFolder(folder);
  const { files, ...written } = await writeOutcome(outcome, note, signal);
  note(`${folder}: ${files.join(", ")}`);
  return written;
}
