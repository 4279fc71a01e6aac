/**
 * Files of text as people have them: JSON, JSON Lines, CSV and Parquet, one or a folder of them.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import { guarded } from "../../dsl/files/file.ts";
import { basename } from "../../dsl/files/path.ts";
import { builtin } from "../../dsl/host.ts";
import { openParquet } from "../data/parquet.ts";
import { dividerIn } from "../data/rows.ts";
import { readJson, type SourceRow, textOf } from "../reasoning/rows.ts";

/** CSV with quotes and line ends within them (RFC 4180), on demand: few data sets of text are CSV. */
const CSV = "npm:csv-parse@7.0.3";

/** What is used of it. */
interface CsvLibrary {
  readonly parse: (options: Readonly<Record<string, unknown>>) => NodeJS.ReadWriteStream & AsyncIterable<object>;
}

/** Names of columns without blanks around them; one that is there twice would leave a column out. */
function columnNames(path: string, line: readonly string[]): readonly string[] {
  const names = line.map((name) => name.trim());
  const twice = names.find((name, i) => name !== "" && names.indexOf(name) < i);
  if (twice === undefined) return names;
  const found = `the column "${twice}" twice`;
  throw new OneloraError({ attempted: `reading ${path}`, found, allowed: "a name of its own for each column" });
}

/** Characters in which a line of names ends. */
const LONGEST_LINE = 2 ** 20;

/** A text from its beginning on, and that beginning: its first line at least. */
async function begun(text: AsyncGenerator<string, void, void>): Promise<[string, AsyncGenerator<string, void, void>]> {
  let first = "";
  while (!first.includes("\n") && first.length < LONGEST_LINE) {
    const { value, done } = await text.next();
    if (done) break;
    first += value;
  }
  return [
    first,
    async function* () {
      yield first;
      yield* text;
    }(),
  ];
}

async function* readCsv(path: string, delimiter?: string): AsyncGenerator<SourceRow, void, void> {
  const specifier = CSV;
  const { parse }: CsvLibrary = await guarded(
    `fetching ${CSV}`,
    "an npm registry in reach on first use; later uses need no network",
    () => import(specifier),
  );
  let count = 0;
  const { Readable } = builtin("node:stream");
  const [first, text] = await begun(textOf(path));
  const rows = Readable.from(text).on("error", (error) => parser.emit("error", error));
  const parser = parse({
    columns: (line: readonly string[]) => columnNames(path, line),
    bom: true,
    delimiter: delimiter ?? dividerIn(first),
    skip_empty_lines: true,
  });
  try {
    for await (const value of rows.pipe(parser) as AsyncIterable<object>) {
      yield { at: `row ${++count} of ${path}`, value };
    }
  } catch (cause) {
    if (cause instanceof OneloraError || !(cause instanceof Error)) throw cause;
    const problem = {
      attempted: `reading ${path}`,
      found: cause.message.split("\n")[0],
      allowed: "CSV with a line of names",
    };
    throw new OneloraError(problem, { cause });
  }
}

async function* readTable(path: string): AsyncGenerator<SourceRow, void, void> {
  const file = await openParquet(path);
  let count = 0;
  for (const { start, end } of file.groups) {
    for (const value of await file.read(file.columns, start, end)) yield { at: `row ${count++} of ${path}`, value };
  }
}

const READERS: Readonly<Record<string, (path: string) => AsyncGenerator<SourceRow, void, void>>> = {
  jsonl: (path) => readJson(path, true),
  ndjson: (path) => readJson(path, true),
  json: (path) => readJson(path, false),
  csv: (path) => readCsv(path),
  tsv: (path) => readCsv(path, "\t"),
  parquet: readTable,
};

/** The kinds of files. */
export const textFileKinds: readonly string[] = Object.keys(READERS);

const kindOf = (path: string) => /\.(\w+)$/.exec(path)?.[1].toLowerCase() ?? "";

/** Parts of a data set. */
export type TextPart = "train" | "validation" | "test";

/** What the parts' files are called at the beginning of their names. */
const PART_NAMES: Readonly<Record<TextPart, RegExp>> = {
  train: /^train(ing)?(?![a-z])/i,
  validation: /^(valid(ation)?|val|dev|eval)(?![a-z])/i,
  test: /^test(?![a-z])/i,
};

/** Files of a data set by part, each with its kind. */
export type TextFiles = Readonly<Partial<Record<TextPart, readonly (readonly [kind: string, path: string])[]>>>;

function fail(attempted: string, found: string, allowed: string): never {
  throw new OneloraError({ attempted, found, allowed }, { exitCode: 2 });
}

async function inFolder(folder: string, only?: string): Promise<TextFiles> {
  const names = (await Array.fromAsync(Deno.readDir(folder))).filter(({ name }) => !name.startsWith("."));
  const files = names.filter(({ name, isDirectory }) => !isDirectory && (only ?? kindOf(name)) in READERS)
    .map(({ name }) => name).filter((name) => only === undefined || kindOf(name) === only).sort();
  const attempted = `reading the folder ${folder}`;
  // As repositories of the hub have it.
  const inner = names.some(({ name, isDirectory }) => isDirectory && name === "data");
  if (files.length === 0 && inner) return await inFolder(`${folder}/data`, only);
  const pairs = (some: readonly string[]) => some.map((name) => [kindOf(name), `${folder}/${name}`] as const);
  const parts = Object.entries(PART_NAMES).flatMap(([part, pattern]) => {
    const some = files.filter((name) => pattern.test(name));
    return some.length === 0 ? [] : [[part, pairs(some)] as const];
  });
  const found = files.length === 0 ? "no such file" : files.slice(0, 4).map((name) => `"${name}"`).join(", ");
  const rest = files.filter((name) => !Object.values(PART_NAMES).some((pattern) => pattern.test(name)));
  const kinds = textFileKinds.map((kind) => `.${kind}`).join(", ");
  if (files.length === 1 && parts.length === 0) return { train: pairs(files) };
  if (parts.some(([part]) => part === "train") && rest.length === 0) return Object.fromEntries(parts);
  fail(attempted, found, `one file (${kinds}), or files whose names begin with train, validation and test`);
}

/**
 * The files that a name stands for: `FILE` or `FOLDER`, `jsonl:FILE` whatever its ending. Needs `--allow-read`.
 *
 * @param spec The name
 * @throws OneloraError (exit code 2) for what is no such file, and a folder whose files' parts are not clear
 */
export async function findTextFiles(spec: string): Promise<TextFiles> {
  const prefix = /^([a-z]+):(.+)$/s.exec(spec);
  const forced = prefix !== null && (prefix[1] in READERS || prefix[1] === "text") ? prefix[1] : undefined;
  const only = forced === "text" ? undefined : forced;
  const path = forced === undefined ? spec : prefix![2];
  const allowed = `a file or folder of ${textFileKinds.map((kind) => `.${kind}`).join(", ")}, or ${
    textFileKinds[0]
  }:FILE`;
  let isDirectory = false;
  try {
    ({ isDirectory } = await Deno.stat(path));
  } catch (error) {
    fail(
      `opening the texts "${spec}"`,
      error instanceof Deno.errors.NotFound ? "no such file" : (error as Error).message,
      allowed,
    );
  }
  if (isDirectory) return await inFolder(path, only);
  const kind = only ?? kindOf(path);
  if (!(kind in READERS)) fail(`opening the texts "${spec}"`, `"${basename(path)}"`, allowed);
  return { train: [[kind, path]] };
}

/**
 * The rows of a file.
 *
 * @param kind Its kind
 * @param path Where it lies
 */
export function readTextFile(kind: string, path: string): AsyncGenerator<SourceRow, void, void> {
  return READERS[kind](path);
}
