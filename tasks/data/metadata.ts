/**
 * `metadata.csv` and `metadata.jsonl` beside pictures, as the `datasets` package's imagefolder reads them: a line a picture
 * with its `file_name` and its labels.
 *
 * @module
 */

import { OneloraError } from "../../dsl/error.ts";
import { guarded } from "../../dsl/files/file.ts";
import { parsePythonJson } from "../../dsl/files/python_json.ts";
import { isFile, readBytes } from "./files.ts";

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

type Row = Readonly<Record<string, unknown>>;

/** Rows of comma-separated values (RFC 4180); the first one has the names. */
function csvRows(text: string, fail: (line: number, found: string) => never): readonly Row[] {
  const rows: string[][] = [[]];
  let [cell, at, line] = ["", 0, 1];
  const end = () => rows.at(-1)!.push(cell), starts = () => cell === "";
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
      if (at < text.length && !/[,\r\n]/.test(text[at])) fail(line, "text behind a quotation mark");
      continue;
    }
    if (next === ",") [cell] = (end(), [""]);
    else if (next === "\n") {
      end();
      [cell, line] = ["", line + 1];
      rows.push([]);
    } else if (next !== "\r" || text[at + 1] !== "\n") cell += next;
    at++;
  }
  end();
  const [names, ...filled] = rows.filter((row) => row.length > 1 || row[0] !== "");
  return filled.map((row, i) => {
    if (row.length !== names.length) fail(i + 2, `${row.length} values for ${names.length} columns`);
    return Object.fromEntries(names.map((name, column) => [name.trim(), row[column]]));
  });
}

function jsonRows(text: string, fail: (line: number, found: string) => never): readonly Row[] {
  return text.split("\n").flatMap((line, i) => {
    if (line.trim() === "") return [];
    try {
      const row = parsePythonJson(line);
      if (typeof row === "object" && row !== null && !Array.isArray(row)) return [row as Row];
    } catch { /* reported below, as for any line that is no object */ }
    return fail(i + 1, "no JSON object");
  });
}

/** Labels in a cell of text: a list in brackets, or names with `|`, `;` or `,` between them. */
function listed(cell: string): readonly string[] {
  const inside = /^\s*\[(.*)\]\s*$/s.exec(cell)?.[1];
  const divider = inside !== undefined ? "," : ["|", ";"].find((each) => cell.includes(each)) ?? ",";
  return (inside ?? cell).split(divider).map((name) => name.trim().replace(/^(["'])(.*)\1$/, "$2")).filter(Boolean);
}

/** What a value says of labels; nothing if it is none. */
function labelsIn(value: unknown, several: boolean): readonly string[] | undefined {
  if (Array.isArray(value)) {
    const labels = value.map((each) => labelsIn(each, false));
    return labels.every((each) => each !== undefined) ? labels.flat() : undefined;
  }
  if (Number.isInteger(value)) return [`${value}`];
  if (typeof value !== "string") return undefined;
  return several ? listed(value) : [value];
}

/** Whether a value is 0 or 1, and which. */
function truth(value: unknown): boolean | undefined {
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
 * @param onNote Told of a file that has no labels
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
  const bytes = await readBytes(path);
  const text = await guarded(
    `reading ${path}`,
    "text in UTF-8",
    () => new TextDecoder("utf-8", { fatal: true }).decode(bytes),
  );
  const csv = name.endsWith(".csv");
  const rows = csv ? csvRows(text, fail) : jsonRows(text, fail);
  if (rows.length === 0) fail(1, "no picture");
  const names = Object.keys(rows[0]);
  const column = ["labels", "label"].find((each) => names.includes(each));
  const flags = column !== undefined
    ? []
    : names.filter((each) => each !== "file_name" && rows.every((row) => truth(row[each]) !== undefined));
  if (column === undefined && flags.length === 0) {
    onNote(`${path} has no labels: no column label or labels, none of 0 and 1`);
    return undefined;
  }
  const several = csv && column === "labels";
  const values = rows.map((row, i) => {
    const file = row.file_name;
    if (typeof file !== "string" || file === "") return fail(i + (csv ? 2 : 1), `file_name ${JSON.stringify(file)}`);
    if (/^([/\\]|[A-Za-z]:)/.test(file) || file.split(/[/\\]/).includes("..")) {
      return fail(i + (csv ? 2 : 1), `file_name ${JSON.stringify(file)}, outside of the folder`);
    }
    const bracketed = csv && /^\s*\[/.test(String(row[column!]));
    const labels = column === undefined
      ? flags.filter((each) => truth(row[each]))
      : labelsIn(row[column], several || bracketed);
    if (labels === undefined || (labels.includes("") && column !== undefined)) {
      return fail(i + (csv ? 2 : 1), `${column} ${JSON.stringify(row[column!])}`);
    }
    return { file, labels, isList: column === undefined || several || bracketed || Array.isArray(row[column]) };
  });
  const multiLabel = values.some(({ isList }) => isList);
  const twice = new Set<string>();
  values.forEach(({ file }, i) => twice.has(file) ? fail(i + (csv ? 2 : 1), `${file} again`) : twice.add(file));
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
