/**
 * Pictures in a list: a CSV, TSV, JSON Lines or JSON file with a row a picture, its file and its labels, and its part where the
 * list says one.
 *
 * @module
 */
import { dirname } from "../../dsl/files/path.ts";
import { OneloraError } from "../../dsl/error.ts";
import type { ImageDataset, ImageSplits } from "./dataset.ts";
import { pathFrom } from "./files.ts";
import { type Entry, fileDataset, heldBack } from "./image_tree.ts";
import { leavingOut, type LeftOut } from "./left_out.ts";
import { classesOf, labelsIn, truth } from "./metadata.ts";
import { withOrigin } from "./origin.ts";
import { hasTextCells, type LinedRow, readRows, rowKind } from "./rows.ts";
import { loadSharp } from "./sharp.ts";
import { isPartName, partNamed, testNames, trainNames } from "./split_folders.ts";

/** What a column is, and what people call it; `labels` may name several in one cell. */
const NAMES: Readonly<Record<string, readonly string[]>> = {
  file: [
    ..."file_name filename file file_path filepath path image image_path image_file image_name".split(" "),
    ..."img img_path img_name picture".split(" "),
  ],
  label: "label class category target class_name label_name".split(" "),
  labels: "labels classes categories tags".split(" "),
  split: "split set subset partition part".split(" "),
};

/** Names of a list's columns by what they are. */
interface Columns {
  readonly file: string;
  readonly label?: string;
  readonly labels?: string;
  readonly split?: string;
}

/** How a list is read. */
export interface ImageListOptions {
  /** Columns that are called otherwise, `file=photo,label=breed`; also `labels` (several in a cell) and `split`. */
  readonly columns?: string;
  /** Fail at a row that cannot be used (default: leave it out and name it). */
  readonly strict?: boolean;
}

/** Files that are looked for at a time. */
const AT_ONCE = 64;
/** Rows that are named of each kind. */
const NAMED = 10;

function usage(attempted: string, found: string, allowed: string): OneloraError {
  return new OneloraError({ attempted, found, allowed }, { exitCode: 2 });
}

/** What `--columns` says. */
function readPairs(written: string | undefined): Readonly<Record<string, string>> {
  const pairs = (written ?? "").split(",").filter((pair) => pair.trim() !== "").map((pair) => {
    const at = pair.indexOf("=");
    const [name, column] = [pair.slice(0, at).trim(), pair.slice(at + 1).trim()];
    if (at > 0 && column !== "" && Object.hasOwn(NAMES, name)) return [name, column] as const;
    throw usage("reading --columns", `"${pair}"`, `NAME=COLUMN,... with names among ${Object.keys(NAMES).join(", ")}`);
  });
  return Object.fromEntries(pairs);
}

/** Columns that say of which part a row is, in a way that is not read. */
const PART_FLAGS = "is_train is_training is_valid is_val is_validation is_test is_testing".split(" ");

/** Which column is what: as it is said, else by the usual names. */
function columnsOf(path: string, names: readonly string[], written: string | undefined): Columns {
  const said = readPairs(written);
  const shown = names.map((name) => `"${name}"`).join(", ") || "no columns";
  const missing = Object.values(said).find((column) => !names.includes(column));
  if (missing !== undefined) throw usage(`reading "${missing}" of ${path}`, shown, "one of these in --columns");
  const isFree = (name: string) => !Object.values(said).includes(name);
  const find = (what: string): string | undefined => {
    if (said[what] !== undefined) return said[what];
    const usual = names.filter((name) => isFree(name) && NAMES[what].includes(name.trim().toLowerCase()));
    if (usual.length < 2) return usual[0];
    const quoted = usual.map((name) => `"${name}"`).join(" and ");
    throw usage(
      `reading the columns of ${path}`,
      `${quoted}, of which each may be the ${what}`,
      `--columns ${what}=NAME`,
    );
  };
  const file = find("file");
  if (file === undefined) {
    throw usage(
      `reading the columns of ${path}`,
      shown,
      `a file's (${NAMES.file.join(", ")}), or --columns file=NAME; of texts: \`task: text\``,
    );
  }
  const [label, labels] = said.label === undefined && said.labels === undefined
    ? [find("label"), find("labels")]
    : [said.label, said.labels];
  if (label !== undefined && labels !== undefined) {
    const allowed = `--columns label=${label}, or --columns labels=${labels}`;
    throw usage(`reading the columns of ${path}`, `"${label}" and "${labels}"`, allowed);
  }
  const split = find("split");
  const flag = names.find((name) => split === undefined && PART_FLAGS.includes(name.trim().toLowerCase()));
  if (flag !== undefined) {
    const allowed = `a column split with ${trainNames[0]} and one of ${testNames.join(", ")} in it`;
    throw usage(`reading the columns of ${path}`, `"${flag}", which is not read as parts`, allowed);
  }
  return { file, label, labels, split };
}

/** A row that can be used. */
interface Pictured {
  readonly line: number;
  readonly file: string;
  readonly path: string;
  readonly labels: readonly string[];
  readonly isList: boolean;
  readonly split?: string;
}

/** The rows of a list that can be used; what is wrong with the others goes to `refuse`. */
function usable(
  rows: readonly LinedRow[],
  columns: Columns,
  flags: readonly string[] | undefined,
  { folder, kind, refuse }: {
    readonly folder: string;
    readonly kind: string;
    readonly refuse: (line: number, why: string, what: string) => void;
  },
): readonly Pictured[] {
  const seen = new Map<string, number>();
  const column = columns.labels ?? columns.label;
  const several = columns.labels !== undefined && hasTextCells(kind);
  return rows.flatMap(({ line, values }): readonly Pictured[] => {
    const bad = (why: string, what: unknown) => {
      refuse(line, why, typeof what === "string" ? what : JSON.stringify(what) ?? "nothing");
      return [];
    };
    const file = values[columns.file];
    if (typeof file !== "string" || file.trim() === "") return bad("without a file", file);
    const bracketed = column !== undefined && hasTextCells(kind) && /^\s*\[/.test(String(values[column]));
    const labels = column === undefined
      ? flags!.filter((name) => truth(values[name]))
      : labelsIn(values[column], several || bracketed);
    const isList = column === undefined || several || bracketed || Array.isArray(values[column]);
    if (labels === undefined || labels.some((name) => name.trim() === "") || (!isList && labels.length === 0)) {
      return bad("without a label", file);
    }
    const part = columns.split === undefined ? undefined : values[columns.split];
    if (columns.split !== undefined && (typeof part !== "string" || !isPartName(part))) {
      return bad(`of a part that is none of ${[...trainNames, ...testNames].join(", ")}`, part);
    }
    const before = seen.get(file);
    if (before !== undefined) return bad("of a picture that has a row already", `${file}, line ${before}`);
    seen.set(file, line);
    const path = pathFrom(folder, file);
    return [{ line, file, path, labels, isList, ...(part !== undefined && { split: partNamed(part as string) }) }];
  });
}

/** The rows whose files are there. */
async function withFiles(
  rows: readonly Pictured[],
  refuse: (line: number, why: string, what: string) => void,
): Promise<readonly Pictured[]> {
  const kept: Pictured[] = [];
  for (let at = 0; at < rows.length; at += AT_ONCE) {
    const some = rows.slice(at, at + AT_ONCE);
    const there = await Promise.all(some.map(({ path }) => Deno.stat(path).then(({ isFile }) => isFile, () => false)));
    some.forEach((row, i) => there[i] ? kept.push(row) : refuse(row.line, "whose file is not there", row.file));
  }
  return kept;
}

/** Rows to learn from and to be judged by. */
function partsOf(
  path: string,
  rows: readonly Pictured[],
  isSplit: boolean,
  multiLabel: boolean,
  left: LeftOut,
): { readonly train: readonly Pictured[]; readonly test: readonly Pictured[] } {
  if (!isSplit) {
    const groups = multiLabel ? [rows] : [...Map.groupBy(rows, ({ labels: [label] }) => label).values()];
    const held = new Set(groups.flatMap((group) => [...heldBack(group.map(({ file }) => file))]));
    return { train: rows.filter(({ file }) => !held.has(file)), test: rows.filter(({ file }) => held.has(file)) };
  }
  const judging = testNames.find((name) => rows.some(({ split }) => split === name));
  const train = rows.filter(({ split }) => trainNames.includes(split!));
  const test = rows.filter(({ split }) => split === judging);
  for (const { split, line, file } of rows) {
    if (split !== judging && !trainNames.includes(split!)) left.add(`of the part ${split}`, `line ${line}: ${file}`);
  }
  if (train.length > 0 && test.length > 0) return { train, test };
  throw new OneloraError({
    attempted: `reading the parts of ${path}`,
    found: `${train.length} rows to train on and ${test.length} to be judged by`,
    allowed: `rows of both (${trainNames[0]} and ${testNames.join(", ")}), or no column for parts`,
  });
}

/**
 * Listed pictures as a data set; another thread makes it again by this.
 *
 * @param name For messages
 * @param classes Names of the classes
 * @param entries Files and labels
 * @param multiLabel Whether a picture may have several labels
 */
export async function listedImages(
  name: string,
  classes: readonly string[],
  entries: readonly Entry[],
  multiLabel: boolean,
): Promise<ImageDataset> {
  return fileDataset(name, classes, entries, await loadSharp(), multiLabel);
}

/**
 * Pictures in a list: a row a picture with its file, absolute or relative to the list, and a label, or several. Columns are known
 * by their usual names in any case, or by `columns`; without a column of labels every column of nothing but 0 and 1 is one. A
 * column of parts says what to train on and what to be judged by; without, a tenth of every class is held out, chosen by the
 * names of the files alone. Rows that cannot be used are left out, each kind counted and the first of them named by their lines.
 *
 * @param path The list: `.csv`, `.tsv`, `.jsonl`, `.ndjson`, or `.json`
 * @param options See {@linkcode ImageListOptions}
 * @throws OneloraError for a list that cannot be read, that has no usable row, or, with `strict`, one that cannot be used; exit
 *   code 2 for columns that are not clear
 */
export async function openImageList(path: string, options: ImageListOptions = {}): Promise<ImageSplits> {
  const kind = rowKind(path)!;
  const allowed = "a row a picture with its file and its label";
  const fail = (line: number, found: string): never => {
    throw new OneloraError({ attempted: `reading ${path}, line ${line}`, found: found.slice(0, 120), allowed });
  };
  const rows = await readRows(path, kind, fail);
  if (rows.length === 0) fail(1, "no picture");
  const names = [...new Set(rows.flatMap(({ values }) => Object.keys(values)))];
  const columns = columnsOf(path, names, options.columns);
  const isFlag = (name: string) => rows.every(({ values }) => truth(values[name]) !== undefined);
  const flags = columns.label !== undefined || columns.labels !== undefined
    ? undefined
    : names.filter((name) => name !== columns.file && name !== columns.split && isFlag(name));
  if (flags?.length === 0) {
    const usual = [...NAMES.label, ...NAMES.labels].join(", ");
    const shown = names.map((name) => `"${name}"`).join(", ");
    throw usage(
      `reading the columns of ${path}`,
      shown,
      `labels (${usual}), columns of 0 and 1, or --columns label=NAME`,
    );
  }
  const left = leavingOut(path, NAMED);
  const refuse = (line: number, why: string, what: string) => {
    if (options.strict) fail(line, `${what}: a row ${why}`);
    left.add(why, `line ${line}: ${what}`);
  };
  const pictured = await withFiles(usable(rows, columns, flags, { folder: dirname(path), kind, refuse }), refuse);
  if (pictured.length === 0) {
    throw new OneloraError({
      attempted: `reading ${path}`,
      found: `no row to use: ${left.lines().join("; ")}`,
      allowed,
    });
  }
  const multiLabel = pictured.some(({ isList }) => isList);
  const { train, test } = partsOf(path, pictured, columns.split !== undefined, multiLabel, left);
  if (test.length === 0) {
    const found = "no class with two pictures, of which one could be judged by";
    throw new OneloraError({
      attempted: `reading ${path}`,
      found,
      allowed: "two pictures of a class, or a column of parts",
    });
  }
  const classes = classesOf({ path, rows: train, multiLabel, columns: flags });
  const strange = test.find(({ labels }) => labels.some((name) => !classes.includes(name)));
  if (strange !== undefined) {
    const unknown = strange.labels.find((name) => !classes.includes(name));
    fail(strange.line, `the class "${unknown}", of which no picture is to train on`);
  }
  const entriesOf = (part: readonly Pictured[]): readonly Entry[] =>
    part.map(({ path, labels: own }) => {
      const labels = [...new Set(own.map((name) => classes.indexOf(name)))].sort((a, b) => a - b);
      return { path, label: labels[0] ?? -1, ...(multiLabel && { labels }) };
    });
  const dataset = async (name: string, part: readonly Pictured[]) => {
    const entries = entriesOf(part);
    const made = await listedImages(name, classes, entries, multiLabel);
    const reads = [...new Set(entries.map((entry) => dirname(entry.path)))];
    const given = [name, classes, entries, multiLabel];
    withOrigin(made.get, { module: import.meta.url, name: "listedImages", arguments: given, reads });
    return made;
  };
  return {
    train: await dataset("images/train", train),
    test: await dataset("images/test", test),
    notes: left.lines(),
    paths: [path, ...pictured.map((row) => row.path)],
  };
}
