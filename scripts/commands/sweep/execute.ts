/**
 * A sweep's cells, run: all of them, or each method's at the best of several rates.
 *
 * @module
 */
import { OneloraError } from "../../../dsl/error.ts";
import { makeFolder } from "../../../dsl/files/write.ts";
import { NO_METHOD } from "../../../tasks/trainer/method.ts";
import { span } from "../../cli/mod.ts";
import { runCell } from "./cell.ts";
import { firstStage, withRecipe } from "./first_stage.ts";
import { checkSettings, sweepTask } from "./check.ts";
import { claim, joinCells, type Settings } from "./folder.ts";
import type { Configuration } from "./paper.ts";
import { claimsIn, ownFirst, type Part } from "./part.ts";
import { type Cell, planCells } from "./plan.ts";
import { type CellResult, earlierResult, hasDiverged, runCells } from "./run.ts";
import { searchRate } from "./search.ts";
import type { Slots } from "./slots.ts";
import { unitOf } from "./table.ts";

function named({ method, rate, seed }: Cell): string {
  return `${method}${rate === undefined ? "" : ` rate ${rate}`} seed ${seed}`;
}

/** A result in a line. */
function resultLine(result: CellResult): string {
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

/** Runs cells that are not finished, and says what came of them; what an interrupt has left is pending. */
type Running = (cells: readonly Cell[]) => Promise<readonly CellResult[]>;

/** What runs a sweep's cells. */
function runnerOf(settings: Settings, { folder, slots, rank, signal, part, label = "" }: Execution): Running {
  let [done, known] = [0, 0];
  return (cells) => {
    known += cells.length;
    return runCells(ownFirst(cells, part), {
      ...{ folder, slots, rank, signal },
      claim: part && claimsIn(folder),
      run: (cell) =>
        runCell(cell, {
          ...{ folder, settings, signal, jobs: slots.count },
          onLine: (line) => status(`${named(cell)}: ${line.trim()}`),
        }),
      onResult: (result, earlier) => {
        done++;
        if (part === undefined) {
          note(`${label}[${done}/${known}] ${resultLine(result)}${earlier ? "  (earlier)" : ""}`);
        } else if (!earlier) note(resultLine(result));
      },
    });
  };
}

/** Why a sweep is not complete; undefined if it is. */
function incomplete(folder: string, own: readonly CellResult[], signal: AbortSignal): OneloraError | undefined {
  const count = (state: CellResult["state"]) => own.filter((result) => result.state === state).length;
  const attempted = `sweeping ${folder}`;
  if (signal.aborted) {
    const found = `an interrupt with ${count("finished")} of ${own.length} runs finished`;
    return new OneloraError({ attempted, found, allowed: "the same command again, which continues from there" });
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
  /** Places for runs, of all sweeps of the command. */
  readonly slots: Slots;
  /** Which of several sweeps goes first: the lowest. */
  readonly rank: number;
  /** First stages of the command by their data, which sweeps share. */
  readonly stages: Map<string, Promise<string>>;
  /** Ends it. */
  readonly signal: AbortSignal;
  /** Which of several workers this is; undefined where there is one. */
  readonly part?: Part;
  /** Put before its lines, where several sweeps run at once. */
  readonly label?: string;
}

/** Results of all runs of a sweep's folder. */
export interface Swept {
  /** The folder. */
  readonly folder: string;
  /** What all cells share. */
  readonly settings: Settings;
  /** Data that were learned first. */
  readonly first?: string;
  /** The results, those of earlier commands too. */
  readonly results: readonly CellResult[];
  /** The results of the cells that count of this command's, in no order. */
  readonly own: readonly CellResult[];
  /** All methods, those of earlier commands first. */
  readonly methods: readonly string[];
  /** Why it is not complete; undefined if it is. */
  readonly failure?: OneloraError;
}

/** The settings of cells: those of the sweep, from the model that a first stage has made. */
async function settled(
  { settings, first, rates }: Configuration,
  { folder, root = folder, slots, rank, stages, signal, part }: Execution,
): Promise<Settings> {
  if (first === undefined) return settings;
  const full = withRecipe(settings);
  const onLine = (line: string) => status(`first ${first}: ${line.trim()}`);
  const known = stages.get(first);
  if (known !== undefined) return { ...full, model: await known };
  note(`first stage: ${first} with all weights`);
  const [rate] = rates("all");
  const { validation: _validation, ...alone } = full;
  const claim = part && claimsIn(root);
  const stage = firstStage({
    ...{ folder: root, settings: alone, data: first, rate, slots, rank, claim, signal, onLine, jobs: slots.count },
  });
  stages.set(first, stage);
  const model = await stage;
  note(`the methods start from ${model}`);
  return { ...full, model };
}

/** The rate that a method's recipe has. */
function recipeRate(settings: Settings): number {
  const kind = sweepTask(settings);
  const { model = kind.model, data = kind.data } = settings;
  return kind.recipe(`${model}`, `${data}`).lr;
}

/** What came of cells, and why not of all. */
interface Ended {
  readonly results: readonly CellResult[];
  readonly failure?: OneloraError;
}

/**
 * Searches each method's rate and runs its seeds. Methods do not wait for each other: what is free takes the next run of
 * any of them.
 */
async function searched(
  { methods, seeds, rates, settings }: Configuration,
  join: (cells: readonly Cell[]) => Promise<unknown>,
  run: Running,
  { folder, signal, part, label = "" }: Execution,
): Promise<Ended> {
  note(`${label}a rate for each method, on ${settings.validation} training examples held out:`);
  const joined = async (cells: readonly Cell[]) => {
    await join(cells);
    return await run(cells);
  };
  const ended = await Promise.all(
    ownFirst(methods, part).map(async (method) => {
      const isAsIs = method === NO_METHOD;
      const { rate, results: tried } = isAsIs ? { rate: undefined, results: [] } : await searchRate({
        ...{ method, seed: seeds[0], signal, run: joined },
        note: (line) => note(`${label}${line}`),
        start: rates(method)[0] ?? recipeRate(settings),
      });
      if (signal.aborted || (rate === undefined && !isAsIs)) {
        return { method, tried, isLost: !signal.aborted, results: [] };
      }
      const cells = planCells({
        methods: [method],
        seeds,
        rates: () => rate === undefined ? [] : [rate],
      });
      return { method, tried, isLost: false, results: await joined(cells) };
    }),
  );
  const results = ended.flatMap((each) => each.results);
  const lost = ended.filter(({ isLost }) => isLost);
  if (lost.length === 0) return { results };
  const failures = lost.flatMap(({ tried }) => tried)
    .filter((result) => result.state === "failed" && !hasDiverged(result));
  return {
    results,
    failure: failures.length > 0 ? incomplete(folder, failures, signal) : new OneloraError({
      attempted: `searching rates in ${folder}`,
      found: `no rate at which ${lost.map(({ method }) => method).join(", ")} does not diverge`,
      allowed: "methods that train, or --lrs with rates to try",
    }),
  };
}

/** What keeps the list of a folder's cells; workers leave it to the command that makes the tables. */
function listOf({ folder, part }: Execution): (cells: readonly Cell[]) => Promise<readonly Cell[]> {
  if (part !== undefined) return (cells) => Promise.resolve(cells);
  let last: Promise<readonly Cell[]> = Promise.resolve([]);
  return (cells) => last = last.then(() => joinCells(folder, cells));
}

/**
 * Runs what is not finished of a sweep. A worker of several runs what no other one does, and waits where a run depends on
 * another's.
 *
 * @param configuration What to compare
 * @param execution Where and how
 */
export async function sweepRuns(configuration: Configuration, execution: Execution): Promise<Swept> {
  const { folder, signal, label = "" } = execution;
  const { title, settings, first, methods, search } = configuration;
  checkSettings(settings, first);
  await makeFolder(folder);
  await claim(folder, { ...settings, ...first !== undefined && { "first-data": first } });
  const join = listOf(execution);
  const planned = search ? [] : planCells(configuration);
  await join(planned);
  const own = await settled(configuration, execution);
  const run = runnerOf(own, execution);
  note(`${label}${title}:`);
  if (!search) note(`${planned.length} runs in ${folder}`);
  const { results, failure } = search
    ? await searched(configuration, join, run, execution)
    : { results: await run(planned), failure: undefined };
  const all = await join([]);
  const ofOwn = new Map(results.map((result) => [result.cell.name, result]));
  const joined = await Promise.all(all.map(async (cell) => ofOwn.get(cell.name) ?? await earlierResult(cell, folder)));
  // A search has run the methods that need one before others.
  const ordered = all.every(({ method }) => methods.includes(method)) ? methods : all.map(({ method }) => method);
  return {
    ...{ folder, settings, first, results: joined, methods: [...new Set(ordered)], own: results },
    failure: incomplete(folder, results, signal) ?? failure,
  };
}
