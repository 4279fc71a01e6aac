/**
 * `metadata.csv` and `metadata.jsonl` beside pictures, as the `datasets` package's imagefolder reads them: a line a picture
 * with its `file_name` and its labels.
 *
 * @module
 */

import { OneloraError } from "../../dsl/error.ts";
import { isFile, nameBelow } from "./files.ts";
import { readRows } from "./rows.ts";

/** Names of such files; of several in a folder, the first counts. */
const FILES: readonly string[] = ["metadata.jsonl", "metadata.csv"];

/** A picture and its labels. */
export interface LabelledFile {
  /** Path relative to the metadata's folder. */
  readonly file: string;
  /** Its labels: names, or numbers in decimal digits. */
  readonly labels: readonly string[];
}

/** What a metadata file says. */
export interface Metadata {
  /** The file. */
  readonly path: string;
  /** Its pictures. */
  readonly rows: readonly LabelledFile[];
  /** Whether a picture may have several labels, or none. */
  readonly multiLabel: boolean;
  /** The labels in the file's own order, where columns have them for names. */
  readonly columns?: readonly string[];
}

/** Columns that say of which part a picture is. */
const PART = /^(?:split|is_(?:train|val|valid|validation|test))$/i;

/** Labels in a cell of text: a list in brackets, or names with `|`, `;` or `,` between them. */
function listed(cell: string): readonly string[] {
  const inside = /^\s*\[(.*)\]\s*$/s.exec(cell)?.[1];
  const divider = inside !== undefined ? "," : ["|", ";"].find((each) => cell.includes(each)) ?? ",";
  return (inside ?? cell).split(divider).map((name) => name.trim().replace(/^(["'])(.*)\1$/, "$2")).filter(Boolean);
}

/**
 * What a value says of labels; nothing if it is none.
 *
 * @param value A cell
 * @param several Whether a text may name several
 */
export function labelsIn(value: unknown, several: boolean): readonly string[] | undefined {
  if (Array.isArray(value)) {
    const labels = value.map((each) => labelsIn(each, false));
    return labels.every((each) => each !== undefined) ? labels.flat() : undefined;
  }
  if (Number.isInteger(value)) return [`${value}`];
  if (typeof value !== "string") return undefined;
  return several ? listed(value) : [value.trim()];
}

/**
 * Whether a value is 0 or 1, and which.
 *
 * @param value A cell
 */
export function truth(value: unknown): boolean | undefined {
  const text = String(value).trim().toLowerCase();
  if (["1", "true", "1.0"].includes(text)) return true;
  return ["0", "false", "0.0"].includes(text) ? false : undefined;
}

/**
 * The metadata of a folder of pictures; nothing if it has none or they have no labels.
 *
 * Labels are in a column `label` or `labels`: a name or a number, a list of them in JSON, several with `|`, `;` or `,`
 * between them in a `labels` column of CSV. Without such a column, every column of nothing but 0 and 1 is a label.
 *
 * @param folder The folder
 * @param onNote Called for a file that has no labels
 * @throws OneloraError for a file that cannot be read, and for names of files outside of the folder
 */
export async function readMetadata(folder: string, onNote: (line: string) => void): Promise<Metadata | undefined> {
  const there = await Promise.all(FILES.map((name) => isFile(`${folder}/${name}`)));
  const name = FILES.find((_, i) => there[i]);
  if (name === undefined) return undefined;
  const path = `${folder}/${name}`;
  const allowed = "a line a picture with file_name and label or labels";
  const fail = (line: number, found: string): never => {
    throw new OneloraError({ attempted: `reading ${path}, line ${line}`, found: found.slice(0, 120), allowed });
  };
  const csv = name.endsWith(".csv");
  const lined = await readRows(path, csv ? "csv" : "jsonl", fail);
  const rows = lined.map(({ values }) => values);
  if (rows.length === 0) fail(1, "no picture");
  const names = Object.keys(rows[0]);
  const column = ["labels", "label"].find((each) => names.includes(each));
  const flags = column !== undefined
    ? []
    : names.filter((each) =>
      each !== "file_name" && !PART.test(each) && rows.every((row) => truth(row[each]) !== undefined)
    );
  if (column === undefined && flags.length === 0) {
    onNote(`${path} has no labels: no column label or labels, none of 0 and 1`);
    return undefined;
  }
  const part = names.find((each) => PART.test(each));
  if (part !== undefined) {
    onNote(`${path}: parts of "${part}" are not read with a folder; --data ${path} reads a "split"`);
  }
  const several = csv && column === "labels";
  const values = rows.map((row, i) => {
    const written = row.file_name;
    if (typeof written !== "string" || written === "") {
      return fail(lined[i].line, `file_name ${JSON.stringify(written)}`);
    }
    const file = nameBelow(folder, written);
    if (/^([/\\]|[A-Za-z]:)/.test(file) || file.split(/[/\\]/).includes("..")) {
      return fail(lined[i].line, `file_name ${JSON.stringify(file)}, outside of the folder`);
    }
    const bracketed = csv && /^\s*\[/.test(String(row[column!]));
    const labels = column === undefined
      ? flags.filter((each) => truth(row[each]))
      : labelsIn(row[column], several || bracketed);
    if (labels === undefined || (labels.includes("") && column !== undefined)) {
      return fail(lined[i].line, `${column} ${JSON.stringify(row[column!])}`);
    }
    return { file, labels, isList: column === undefined || several || bracketed || Array.isArray(row[column]) };
  });
  const multiLabel = values.some(({ isList }) => isList);
  const twice = new Set<string>();
  values.forEach(({ file }, i) => twice.has(file) ? fail(lined[i].line, `${file} again`) : twice.add(file));
  return { path, rows: values, multiLabel, columns: column === undefined ? flags : undefined };
}

/**
 * The classes of labelled files: the columns' names, numbers up to the largest, or names in code-unit order.
 *
 * @param metadata What a file says
 */
export function classesOf({ rows, columns }: Metadata): readonly string[] {
  if (columns !== undefined) return columns;
  const all = [...new Set(rows.flatMap(({ labels }) => labels))];
  if (!all.every((label) => /^\d{1,6}$/.test(label))) return all.sort();
  return Array.from({ length: Math.max(-1, ...all.map(Number)) + 1 }, (_, label) => `${label}`);
}
