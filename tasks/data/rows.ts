/**
 * Rows of small tables of text, each with its line: CSV, TSV, JSON Lines, and JSON lists.
 *
 * @module
 */
import { guarded } from "../../dsl/files/file.ts";
import { parsePythonJson } from "../../dsl/files/python_json.ts";
import { readBytes } from "./files.ts";

/** A row by the names of its columns. */
export type Row = Readonly<Record<string, unknown>>;

/** A row and where it stands. */
export interface LinedRow {
  /** Line in the file, from 1 on; of a row over several, the first. Of a JSON list, the place in it. */
  readonly line: number;
  /** Its values. */
  readonly values: Row;
}

/** Says what is wrong with a line. */
export type Fail = (line: number, found: string) => never;

/**
 * What divides the values of a CSV file, by its line of names: a comma, or, in a line without any, the semicolon that
 * spreadsheets write where a comma is for decimals, or a tab.
 *
 * @param text The file, or its beginning
 */
export function dividerIn(text: string): string {
  const [names] = text.split("\n", 1);
  return [",", ";", "\t"].find((divider) => names.includes(divider)) ?? ",";
}

/** Rows of separated values (RFC 4180); the first one has the names. */
function separatedRows(text: string, divider: string, fail: Fail): readonly LinedRow[] {
  interface Cells {
    readonly line: number;
    readonly cells: string[];
  }
  const rows: Cells[] = [{ line: 1, cells: [] }];
  let [cell, at, line] = ["", 0, 1];
  const end = () => rows.at(-1)!.cells.push(cell), starts = () => cell === "";
  while (at < text.length) {
    const next = text[at];
    if (next === '"' && starts()) {
      const begun = line;
      for (at++;; at++) {
        if (at >= text.length) fail(begun, "a quotation mark without its other");
        if (text[at] === "\n") line++;
        if (text[at] !== '"') cell += text[at];
        else if (text[at + 1] === '"') cell += text[++at];
        else break;
      }
      at++;
      if (at < text.length && ![divider, "\r", "\n"].includes(text[at])) fail(line, "text behind a quotation mark");
      continue;
    }
    if (next === divider) [cell] = (end(), [""]);
    else if (next === "\n") {
      end();
      [cell, line] = ["", line + 1];
      rows.push({ line, cells: [] });
    } else if (next !== "\r" || text[at + 1] !== "\n") cell += next;
    at++;
  }
  end();
  const [names, ...filled] = rows.filter(({ cells }) => cells.length > 1 || cells[0] !== "");
  const columns = (names?.cells ?? []).map((name) => name.trim());
  const twice = columns.find((name, i) => columns.indexOf(name) < i);
  if (twice !== undefined) fail(names.line, `the column "${twice}" twice`);
  return filled.map(({ line, cells }) => {
    if (cells.length !== columns.length) fail(line, `${cells.length} values for ${columns.length} columns`);
    return { line, values: Object.fromEntries(columns.map((name, column) => [name, cells[column]])) };
  });
}

function isRow(value: unknown): value is Row {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** What a text of JSON holds, or nothing if it is none. */
function parsed(text: string): unknown {
  try {
    return parsePythonJson(text);
  } catch {
    return undefined;
  }
}

function jsonLines(text: string, fail: Fail): readonly LinedRow[] {
  return text.split("\n").flatMap((line, i) => {
    if (line.trim() === "") return [];
    const values = parsed(line);
    return isRow(values) ? [{ line: i + 1, values }] : fail(i + 1, "no JSON object");
  });
}

function jsonList(text: string, fail: Fail): readonly LinedRow[] {
  const list = parsed(text);
  if (!Array.isArray(list)) return fail(1, "no JSON list");
  return list.map((values, i) => isRow(values) ? { line: i + 1, values } : fail(i + 1, "no JSON object"));
}

/** Readers by the ends of files' names. */
const READERS: Readonly<Record<string, (text: string, fail: Fail) => readonly LinedRow[]>> = {
  csv: (text, fail) => separatedRows(text, dividerIn(text), fail),
  tsv: (text, fail) => separatedRows(text, "\t", fail),
  jsonl: jsonLines,
  ndjson: jsonLines,
  json: jsonList,
};

/** Ends of the names of such files. */
export const rowKinds: readonly string[] = Object.keys(READERS);

/**
 * The kind of a file by its name, if it is one of {@linkcode rowKinds}.
 *
 * @param path The file
 */
export function rowKind(path: string): string | undefined {
  const end = /\.(\w+)$/.exec(path)?.[1].toLowerCase();
  return rowKinds.find((kind) => kind === end);
}

/**
 * Whether cells of a kind of file are texts alone.
 *
 * @param kind One of {@linkcode rowKinds}
 */
export function hasTextCells(kind: string): boolean {
  return kind === "csv" || kind === "tsv";
}

/**
 * Reads a file's rows.
 *
 * @param path The file, in UTF-8
 * @param kind One of {@linkcode rowKinds}
 * @param fail Called for the first line that is no row
 * @throws OneloraError for a file that cannot be read
 */
export async function readRows(path: string, kind: string, fail: Fail): Promise<readonly LinedRow[]> {
  const bytes = await readBytes(path);
  const text = await guarded(
    `reading ${path}`,
    "text in UTF-8",
    () => new TextDecoder("utf-8", { fatal: true }).decode(bytes),
  );
  return READERS[kind](text, fail);
}
