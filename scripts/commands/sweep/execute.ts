/**
 * A sweep from its cells to its tables.
 *
 * @module
 */
import { OneloraError } from "../../../dsl/error.ts";
import { makeFolder } from "../../../dsl/files/write.ts";
import { span } from "../../cli/mod.ts";
import { runCell } from "./cell.ts";
import { firstStage, withRecipe } from "./first_stage.ts";
import { checkSettings, metricTitle } from "./check.ts";
import { claim, joinCells, type Settings } from "./folder.ts";
import { writeOutcome } from "./outcome.ts";
import { type Configuration, paperColumns, paperLabel, paperNotes } from "./paper.ts";
import { type Cell, planCells } from "./plan.ts";
import { decidingOf, rowsOf } from "./rows.ts";
import { type CellResult, earlierResult, runCells } from "./run.ts";
import { unitOf } from "./table.ts";

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
  /** Its folder. */
  readonly folder: string;
  /** Where the model of a first stage lies (default: its folder). */
  readonly root?: string;
  /** Runs at once. */
  readonly jobs: number;
  /** Ends it. */
  readonly signal: AbortSignal;
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
  const model = await firstStage({ folder: root, settings: full, data: first, rate, signal, onLine });
  note(`the methods start from ${model}`);
  return { ...full, model };
}

/**
 * Runs what is not finished of a sweep, and writes what came of it.
 *
 * @param configuration What to compare
 * @param execution Where and how
 * @throws OneloraError if no run has finished
 */
export async function execute(configuration: Configuration, execution: Execution): Promise<Executed> {
  const { folder, jobs, signal, paper, isFull } = execution;
  const { title, settings, first } = configuration;
  checkSettings(settings, first);
  const cells = planCells(configuration);
  await makeFolder(folder);
  await claim(folder, { ...settings, ...first !== undefined && { "first-data": first } });
  const all = await joinCells(folder, cells);
  const own = await settled(configuration, execution);
  note(`${title}: ${cells.length} runs in ${folder}`);
  const results = await ran(cells, { folder, settings: own, jobs, signal });
  const failure = incomplete(folder, results, signal);
  const ofOwn = new Map(results.map((result) => [result.cell.name, result]));
  const joined = await Promise.all(all.map(async (cell) => ofOwn.get(cell.name) ?? await earlierResult(cell, folder)));
  const deciding = decidingOf(joined);
  // With no run finished there is nothing to show, and some reason why.
  if (deciding === undefined) throw failure;

  const rows = rowsOf(joined, deciding, (method) => paper === undefined ? method : paperLabel(paper, method));
  const beside = isFull && paper !== undefined ? paperColumns(paper, rows.map(({ method }) => method)) : [];
  const notes = isFull && paper !== undefined ? paperNotes(paper) : [];
  const outcome = {
    folder,
    metricTitle: metricTitle(settings),
    settings,
    title,
    rows,
    deciding,
    beside,
    notes,
    results: joined,
  };
  const { files, ...shown } = await writeOutcome(outcome, note, signal);
  note(`${folder}: ${files.join(", ")}`);
  return { ...shown, failure };
}
