/**
 * What came of a sweep, as a table and its chart.
 *
 * @module
 */
import { makeFolder } from "../../../dsl/files/write.ts";
import { metricTitle } from "./check.ts";
import { note, type Swept } from "./execute.ts";
import { writeOutcome } from "./outcome.ts";
import { paperColumns, paperLabel, paperNotes } from "./paper.ts";
import { rankNotes } from "./ranks.ts";
import { decidingOf, rowsOf } from "./rows.ts";

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
  { folder: runs, settings, first, results, failure }: Swept,
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
    ...isFull ? paperNotes(paper, rows.map(({ method }) => method)) : [],
  ];
  const outcome = {
    folder,
    runs,
    metricTitle: metricTitle(settings),
    time: isFull ? "best" as const : "step" as const,
    settings,
    first,
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
