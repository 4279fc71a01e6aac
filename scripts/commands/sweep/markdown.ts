/**
 * Tables in Markdown, with the best of each column marked.
 *
 * @module
 */
import { type Deciding, order } from "./rows.ts";

/** What stands in a cell. */
export interface Entry {
  /** As shown. */
  readonly text: string;
  /** What it is ranked by; undefined if it is not ranked. */
  readonly value?: number;
}

/** A column. */
export interface Column {
  /** Its head. */
  readonly title: string;
  /** Which way is better, if that is to be marked. */
  readonly better?: Deciding["better"];
  /** Its cells. */
  readonly cells: readonly Entry[];
}

const MARKS: readonly ((text: string) => string)[] = [
  (text) => `**${text}**`,
  (text) => `<ins>${text}</ins>`,
  (text) => `_${text}_`,
];

/** How the marks read, for a legend. */
export const marksInWords: string = `${MARKS[0]("best")}, ${MARKS[1]("second")} and ${MARKS[2]("third")}`;

/**
 * A column's cells with the best, second and third marked; what has the same value shares a mark.
 *
 * @param column The column
 */
export function marked({ better, cells }: Column): readonly string[] {
  if (better === undefined) return cells.map(({ text }) => text);
  const values = cells.flatMap(({ value }) => value !== undefined && Number.isFinite(value) ? [value] : []);
  const ranked = [...new Set(values)].sort(order(better));
  return cells.map(({ text, value }) => {
    const mark = value === undefined ? undefined : MARKS[ranked.indexOf(value)];
    return mark === undefined ? text : mark(text);
  });
}

/**
 * Columns as a table, the first to the left, others to the right.
 *
 * @param columns The columns, all of one length
 */
export function markdownTable(columns: readonly Column[]): string {
  const written = columns.map((column) => {
    const arrow = column.better === undefined ? "" : column.better === "higher" ? " ↑" : " ↓";
    return [`${column.title}${arrow}`, ...marked(column)];
  });
  const widths = written.map((cells) => Math.max(...cells.map(({ length }) => length)));
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  const rows = written[0].map((_, row) =>
    line(written.map((cells, i) => i === 0 ? cells[row].padEnd(widths[i]) : cells[row].padStart(widths[i])))
  );
  const rule = line(widths.map((width, i) => i === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`));
  return [rows[0], rule, ...rows.slice(1)].join("\n");
}
