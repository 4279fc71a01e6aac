/**
 * What a sweep leaves in its folder: tables, the chart, and for classifiers the paper's Figure 11.
 *
 * @module
 */
import { OneloraError } from "../../../dsl/error.ts";
import { writeNumbers } from "../../../dsl/files/json.ts";
import { writeWhole } from "../../../dsl/files/write.ts";
import { taskKind } from "../../../tasks/mod.ts";
import { calibrationChart } from "../../../tasks/report/calibration.ts";
import { svgFile } from "../../../tasks/report/chart.ts";
import { runCalibration } from "../../../tasks/report/folder.ts";
import { childOutput, draw, rasterised } from "../../cli/child.ts";
import { moduleArgument, taskArguments, taskEnvironment } from "../../cli/deno.ts";
import { chartOf } from "./chart.ts";
import type { Settings } from "./folder.ts";
import { placed } from "./plan.ts";
import type { Row } from "./rows.ts";
import type { CellResult } from "./run.ts";
import { type Shown, tableOf } from "./table.ts";

/** What came of a sweep. */
export interface Outcome extends Shown {
  /** Where it goes. */
  readonly folder: string;
  /** The folder of the runs. */
  readonly runs: string;
  /** What all cells share. */
  readonly settings: Settings;
  /** Data that were learned first. */
  readonly first?: string;
  /** Its cells' results. */
  readonly results: readonly CellResult[];
}

/** The methods that Figure 11 compares. */
const FIGURE_11: readonly (readonly string[])[] = [["all", "full"], ["lora"], ["1lora"]];

/** The run that stands for a method: its best rate's, of the first seed; undefined if none has finished. */
function runOf({ method, best }: Row, results: readonly CellResult[]): string | undefined {
  return results.find((result) =>
    result.state === "finished" && !result.summary.untested && result.cell.method === method &&
    (best?.rate ?? result.rate) === result.rate
  )?.cell.name;
}

/** Runs of all methods of Figure 11 by the methods' labels; undefined if one is missing. */
function figure11Runs({ rows, results }: Outcome): readonly (readonly [label: string, run: string])[] | undefined {
  const runs = FIGURE_11.flatMap((names) => {
    const row = rows.find(({ method }) => names.includes(method) && placed(method).target === undefined);
    const run = row && runOf(row, results);
    return row === undefined || run === undefined ? [] : [[row.label, run] as const];
  });
  return runs.length === FIGURE_11.length ? runs : undefined;
}

/** Evaluates a run into the `evaluation.json` of its folder, unless that is there. */
async function evaluateRun(run: string, signal: AbortSignal): Promise<void> {
  const path = `${run}/evaluation.json`;
  if (await Deno.lstat(path).then(() => true, () => false)) return;
  const script = moduleArgument(new URL("../evaluate.ts", import.meta.url));
  const json = await childOutput([...taskArguments("evaluate"), script, "--run", run, "--json"], {
    attempted: `evaluating ${run}`,
    env: taskEnvironment("evaluate"),
    signal,
  });
  await writeWhole(path, `${json}\n`, { within: run });
}

/**
 * Draws error distribution and calibration of full fine-tuning, LoRA and 1LoRA (paper, Figure 11), where the task classifies
 * and the sweep has finished runs of all three.
 *
 * @param outcome What came of the sweep
 * @param signal Ends it
 * @returns The picture; undefined where there is nothing to draw
 */
async function figure11(outcome: Outcome, signal: AbortSignal): Promise<string | undefined> {
  const { folder, runs: place, results } = outcome;
  const isClassifying = results.some((result) =>
    result.state === "finished" && taskKind(result.summary.task).chart !== undefined
  );
  const runs = isClassifying ? figure11Runs(outcome) : undefined;
  if (runs === undefined) return undefined;
  const methods = [];
  for (const [name, run] of runs) {
    await evaluateRun(`${place}/${run}`, signal);
    methods.push({ ...await runCalibration(`${place}/${run}`), name });
  }
  const svg = svgFile(calibrationChart(methods));
  await writeWhole(`${folder}/figure11.svg`, svg);
  return svg;
}

/** What was written. */
export interface Written {
  /** The table in Markdown. */
  readonly table: string;
  /** Everything, as JSON. */
  readonly data: string;
  /** The files' names. */
  readonly files: readonly string[];
}

/**
 * Writes what came of a sweep into its folder, finished or not.
 *
 * @param outcome What came of it
 * @param note Called with what could not be drawn
 * @param signal Ends what takes long
 * @returns The table as Markdown, everything as JSON, and the files' names
 */
export async function writeOutcome(
  outcome: Outcome,
  note: (line: string) => void,
  signal: AbortSignal,
): Promise<Written> {
  const { folder, title, settings, first, deciding, rows, results } = outcome;
  const table = tableOf(outcome);
  const data = writeNumbers({ title, settings, first, deciding, rows, runs: results }, { indent: 2 });
  await writeWhole(`${folder}/table.md`, `${table}\n`);
  await writeWhole(`${folder}/table.json`, `${data}\n`);
  const spec = chartOf(outcome);
  const chart = spec === undefined ? undefined : await draw(spec);
  if (chart !== undefined) await writeWhole(`${folder}/chart.svg`, chart);
  const trying = async <Made>(name: string, make: () => Promise<Made | undefined>): Promise<Made | undefined> => {
    try {
      return await make();
    } catch (error) {
      if (!(error instanceof OneloraError)) throw error;
      note(`no ${name}: ${error.message}`);
    }
  };
  const png = chart === undefined ? undefined : await trying("chart.png", () => rasterised(chart));
  if (png !== undefined) await writeWhole(`${folder}/chart.png`, png);
  const figure = await trying("figure11.svg", () => figure11(outcome, signal));
  const files = [
    ...["table.md", "table.json"],
    ...chart === undefined ? [] : ["chart.svg"],
    ...png === undefined ? [] : ["chart.png"],
    ...figure === undefined ? [] : ["figure11.svg"],
  ];
  return { table, data, files };
}
