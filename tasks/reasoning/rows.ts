/**
 * Rows of JSON, JSON Lines and Parquet files, read piece by piece.
 *
 * @module
 */
import { JSONParser } from "@streamparser/json";
import { OneloraError } from "../../dsl/error.ts";
import { guarded } from "../../dsl/files/file.ts";
import { POINTER_BYTES, refusePointer } from "../../dsl/files/pointer.ts";
import { parsePythonJson, spelledNumber, withoutSpellings } from "../../dsl/files/python_json.ts";
import { readParquet } from "../data/parquet.ts";

/** A row of a file: its value, or why it has none. */
export type SourceRow =
  & {
    /** Where it is, for messages, e.g. `line 7 of train.jsonl`. */
    readonly at: string;
  }
  & ({ readonly value: unknown } | { readonly fault: string });

/** Whether a value of a row is a text that says something. */
export function isText(value: unknown): value is string {
  return typeof value === "string" && value.trim() !== "";
}

/** What chats hand to their templates as it is: there `2.0` is no 2. */
const AS_WRITTEN = ["tools", "tool_calls", "function_call", "functions"];

/** A file's text, piece by piece; what is no UTF-8 is an error, not other characters. */
export async function* textOf(path: string): AsyncGenerator<string, void, void> {
  const attempted = `reading ${path}`;
  const file = await guarded(attempted, "a readable file", async () => {
    const { isFile, size } = await Deno.stat(path);
    if (isFile && size <= POINTER_BYTES) refusePointer(attempted, await Deno.readFile(path));
    return await Deno.open(path);
  });
  try {
    yield* file.readable.pipeThrough(new TextDecoderStream("utf-8", { fatal: true }));
  } catch (cause) {
    if (!(cause instanceof TypeError)) throw cause;
    const problem = { attempted, found: "bytes that are no UTF-8", allowed: "text in UTF-8" };
    throw new OneloraError(problem, { cause });
  }
}

/** Elements of an array at a file's top. */
async function* readArray(path: string): AsyncGenerator<SourceRow, void, void> {
  const allowed = "an array of objects";
  const parser = new JSONParser({ paths: ["$.*"], keepStack: false });
  // The parser makes all numbers by this.
  const { tokenizer } = parser as unknown as { readonly tokenizer: { parseNumber: (text: string) => unknown } };
  tokenizer.parseNumber = spelledNumber;
  let found: unknown[] = [];
  let problem: Error | undefined;
  let isObject = false;
  parser.onValue = ({ value, key }) => {
    isObject ||= typeof key === "string";
    found.push(value);
  };
  parser.onError = (error) => problem ??= error;
  let count = 0;
  for await (const chunk of textOf(path)) {
    await guarded(`reading ${path}`, allowed, () => {
      parser.write(chunk);
      if (problem !== undefined) throw problem;
      if (isObject) throw new OneloraError({ attempted: `reading ${path}`, found: "an object", allowed });
    });
    const ready = found;
    found = [];
    for (const value of ready) yield rowOf(`element ${count++} of ${path}`, value);
  }
  if (!parser.isEnded) throw new OneloraError({ attempted: `reading ${path}`, found: "a file cut short", allowed });
}

/** Whether all texts of a value are whole: an escape may leave half a character, which no bytes stand for. */
function isWhole(value: unknown): boolean {
  if (typeof value === "string") return value.isWellFormed();
  return typeof value !== "object" || value === null || Object.values(value).every(isWhole);
}

/** A row of a value of JSON's. */
function rowOf(at: string, value: unknown): SourceRow {
  try {
    if (!isWhole(value)) return { at, fault: "half a character (one surrogate of a pair)" };
    return { at, value: withoutSpellings(value, AS_WRITTEN) };
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return { at, fault: "values that nest too deeply" };
  }
}

function parseLine(at: string, line: string): SourceRow {
  try {
    return rowOf(at, parsePythonJson(line, true));
  } catch {
    return { at, fault: `"${line.length > 40 ? `${line.slice(0, 40)}...` : line}"` };
  }
}

/** Lines of JSON; empty ones do not count. */
async function* readLines(path: string): AsyncGenerator<SourceRow, void, void> {
  let rest = "";
  let number = 0;
  const row = (line: string) => parseLine(`line ${number} of ${path}`, line);
  for await (const chunk of textOf(path)) {
    const lines = chunk.split("\n");
    lines[0] = rest + lines[0];
    rest = lines.pop() ?? "";
    for (const line of lines) {
      number++;
      if (line.trim() !== "") yield row(line.trim());
    }
  }
  number++;
  if (rest.trim() !== "") yield row(rest.trim());
}

/** Text at a file's start that is looked at, in characters: its first line should be among it. */
const LOOKED_AT = 2 ** 23;

/** A file's first line, and whether anything comes after it. */
async function beginning(path: string): Promise<{ readonly line: string; readonly more: boolean }> {
  let text = "";
  for await (const chunk of textOf(path)) {
    text = (text + chunk).trimStart();
    if (text.length > LOOKED_AT || /\n\s*\S/.test(text)) break;
  }
  const end = text.indexOf("\n");
  return end < 0 ? { line: text, more: false } : { line: text.slice(0, end), more: text.slice(end).trim() !== "" };
}

function isJson(text: string): boolean {
  try {
    parsePythonJson(text);
    return true;
  } catch {
    return false;
  }
}

/**
 * JSON as an array or line by line: what the file holds decides, its ending only where either is possible.
 *
 * @param path Where it lies
 * @param isLines What its ending says
 */
export async function* readJson(path: string, isLines: boolean): AsyncGenerator<SourceRow, void, void> {
  const { line, more } = await beginning(path);
  const isArray = line.startsWith("[");
  // A value that its line holds whole, and more of them: lines. Neither form begins otherwise than its ending says.
  const asLines = isLines !== isArray ? isLines : more && isJson(line);
  yield* asLines ? readLines(path) : readArray(path);
}

async function* numbered(path: string, columns: readonly string[]): AsyncGenerator<SourceRow, void, void> {
  let count = 0;
  for await (const value of readParquet(path, columns)) yield { at: `row ${count++} of ${path}`, value };
}

/**
 * The rows of a file: `.json` or `.jsonl`, which hold an array or a value a line, whatever the ending says, or `.parquet`. Memory
 * holds only a piece of the file at a time; a line that is no JSON is a row with a fault. Needs `--allow-read`.
 *
 * @param path Where it lies
 * @param columns The columns to read of a Parquet file
 * @throws OneloraError for an unreadable file; exit code 2 for another ending
 */
export function readRows(path: string, columns: readonly string[]): AsyncGenerator<SourceRow, void, void> {
  if (path.endsWith(".json")) return readJson(path, false);
  if (path.endsWith(".jsonl")) return readJson(path, true);
  if (path.endsWith(".parquet")) return numbered(path, columns);
  const problem = { attempted: "opening questions", found: `"${path}"`, allowed: "a .json, .jsonl or .parquet file" };
  throw new OneloraError(problem, { exitCode: 2 });
}
