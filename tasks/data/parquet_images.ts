/**
 * Image data sets in Parquet files, as the Hugging Face hub stores them: encoded pictures and labels in row groups.
 *
 * @module
 */

import { OneloraError } from "../../dsl/error.ts";
import { checked, type ImageDataset, type ImageSplits } from "./dataset.ts";
import { decodeImage } from "./decode.ts";
import { listFolder } from "./files.ts";
import { withOrigins } from "./origin.ts";
import { openParquet, type ParquetFile, type ParquetRow } from "./parquet.ts";
import { readCard, refuseOtherParts } from "./parquet_card.ts";
import { type ImageColumns, imageColumns } from "./parquet_features.ts";
import { loadSharp, type Sharp } from "./sharp.ts";
import { testNames, trainNames } from "./split_folders.ts";

/** Bytes of row groups that a data set keeps in memory; one larger group alone may be more. */
const KEPT = 2 ** 27;

/** Names of the files of a part: `train.parquet`, `train-00000-of-00002.parquet`. */
function filesOf(part: string, names: readonly string[]): readonly string[] {
  return names.filter((name) => new RegExp(`^${part}([-_.].*)?\\.parquet$`, "i").test(name));
}

/** The first of a part's names that has files. */
function partIn(parts: readonly string[], names: readonly string[]): string | undefined {
  return parts.find((part) => filesOf(part, names).length > 0);
}

/** The folder of those given that has files to train on: the folder itself, `data` in it, or the only other one. */
async function locate(folder: string): Promise<{ readonly at: string; readonly names: readonly string[] }> {
  const listed = await listFolder(folder);
  const inside = listed.filter(({ isDirectory }) => isDirectory).map(({ name }) => `${folder}/${name}`);
  const found: { at: string; names: readonly string[] }[] = [];
  for (const at of [folder, ...inside]) {
    const names = (await listFolder(at)).filter(({ isFile }) => isFile).map(({ name }) => name);
    if (partIn(trainNames, names) !== undefined) found.push({ at, names });
  }
  const usual = found.find(({ at }) => at === folder || at === `${folder}/data`);
  if (usual !== undefined || found.length === 1) return usual ?? found[0];
  throw new OneloraError({
    attempted: `reading Parquet files from ${folder}`,
    found: found.length === 0 ? "no train-*.parquet" : `several data sets: ${found.map(({ at }) => at).join(", ")}`,
    allowed: "train-*.parquet in this folder, in data or in one other folder inside it",
  });
}

/** Rows that are read together. */
interface Unit {
  readonly file: ParquetFile;
  readonly start: number;
  readonly end: number;
  readonly bytes: number;
}

/**
 * Reads single rows: a row group at a time, or a page where an index says which; the last groups used are kept, so that
 * memory stays below a bound.
 */
function rowReader(columns: readonly string[], most: number): (unit: Unit, row: number) => Promise<ParquetRow> {
  const kept = new Map<string, { readonly rows: readonly ParquetRow[]; readonly bytes: number }>();
  let last: Promise<unknown> = Promise.resolve();
  const load = async ({ file, start, end, bytes }: Unit): Promise<readonly ParquetRow[]> => {
    const name = `${start} ${file.path}`;
    const group = kept.get(name) ?? { rows: await file.read(columns, start, end), bytes };
    // The one used last is the last to go.
    kept.delete(name);
    let sum = bytes;
    for (const [other, { bytes }] of [...kept].reverse()) if ((sum += bytes) > most) kept.delete(other);
    kept.set(name, group);
    return group.rows;
  };
  return (unit, row) => {
    // One after the other, or a batch would hold as many groups as it has examples.
    const next = last.then(() => load(unit));
    last = next.catch(() => undefined);
    return next.then((rows) => rows[row - unit.start]);
  };
}

/** Where a row of a data set of several files is. */
interface Place {
  readonly unit: Unit;
  readonly row: number;
}

function placesIn(files: readonly ParquetFile[], columns: readonly string[]): (index: number) => Place {
  const groups = files.flatMap((file) => file.groups.map((group) => ({ file, group })));
  const ends: number[] = [];
  for (const { group: { start, end } } of groups) ends.push((ends.at(-1) ?? 0) + end - start);
  return (index) => {
    let [low, high] = [0, ends.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (index < ends[middle]) high = middle;
      else low = middle + 1;
    }
    const { file, group } = groups[low];
    const row = group.start + index - (ends[low - 1] ?? 0);
    const single = group.indexed(columns);
    const bytes = group.bytesOf(columns) / (single ? group.end - group.start : 1);
    return { row, unit: { file, start: single ? row : group.start, end: single ? row + 1 : group.end, bytes } };
  };
}

function encodedBytes(value: unknown): Uint8Array | undefined {
  const bytes = value instanceof Uint8Array ? value : (value as { readonly bytes?: unknown } | null | undefined)?.bytes;
  return bytes instanceof Uint8Array && bytes.length > 0 ? bytes : undefined;
}

/** A row's labels, one or a list, as whole numbers; nothing if there is none or one that is no whole number. */
function labelsIn(value: unknown): readonly number[] | undefined {
  const all = (Array.isArray(value) ? value : [value]).map(wholeNumber);
  return all.every((each) => each !== undefined) ? [...new Set(all)].sort((a, b) => a - b) : undefined;
}

/** A label as a number, if it is a whole one. */
function wholeNumber(value: unknown): number | undefined {
  return typeof value === "bigint" || Number.isInteger(value) ? Number(value) : undefined;
}

function parquetDataset(
  name: string,
  files: readonly ParquetFile[],
  { image, label: column, several }: ImageColumns,
  classes: readonly string[],
  sharp: Sharp,
): ImageDataset {
  const columns = [image, column];
  const place = placesIn(files, columns);
  const read = rowReader(columns, KEPT);
  return checked({
    name,
    size: files.reduce((sum, { rows }) => sum + rows, 0),
    classes,
    ...(several && { multiLabel: true }),
    get: async (index) => {
      const { unit, row } = place(index);
      const values = await read(unit, row);
      const bytes = encodedBytes(values?.[image]);
      const stored: unknown = values?.[column];
      const labels = several === Array.isArray(stored) ? labelsIn(stored) : undefined;
      const at = `row ${row} of ${unit.file.path}`;
      if (bytes === undefined || labels === undefined || labels.some((each) => each < 0 || each >= classes.length)) {
        throw new OneloraError({
          attempted: `reading ${at}`,
          found: bytes === undefined ? `no bytes in "${image}"` : `${column} ${String(stored).slice(0, 40)}`,
          allowed: bytes === undefined ? "an encoded image" : `0 to ${classes.length - 1}`,
        });
      }
      const label = labels[0] ?? -1;
      return { ...await decodeImage(sharp, bytes.slice(), at), label, ...(several && { labels }) };
    },
  });
}

/** Whether a column's first value is a list. */
async function firstIsList(file: ParquetFile, column: string): Promise<boolean> {
  const [first] = file.groups.length === 0
    ? []
    : await file.read([column], file.groups[0].start, file.groups[0].start + 1);
  return Array.isArray(first?.[column]);
}

/** Numbers for names, as many as the training part's largest label needs. */
async function numberedClasses(files: readonly ParquetFile[], column: string): Promise<readonly string[]> {
  let most = -1;
  for (const file of files) {
    for (const { start, end } of file.groups) {
      for (const row of await file.read([column], start, end)) most = Math.max(most, ...labelsIn(row[column]) ?? []);
    }
  }
  if (most >= 0 && most < 2 ** 16) return Array.from({ length: most + 1 }, (_, label) => `${label}`);
  throw new OneloraError({
    attempted: `counting the classes of ${files[0].path}`,
    found: most < 0 ? `no whole number in "${column}"` : `label ${most}`,
    allowed: `labels from 0 on, below ${2 ** 16}`,
  });
}

/**
 * An image data set of the Hugging Face hub, downloaded as it is: `train-*.parquet` with `test-*.parquet` (or
 * `validation`, `valid`, `val`, `dev`) in the folder, in `data` or in one folder inside it. Images are in a column `image`
 * or `img`, labels (or lists of them) in `label`, `labels` or `fine_label`, or in those that the files say. Class names are taken from the
 * files or from README.md; where neither has them, classes are numbered.
 *
 * Files stay on disk and are read a row group at a time (a page, where the files have page indexes), of which up to 128 MiB
 * are kept: files of small row groups are read fastest in random order.
 *
 * @param folder The folder
 */
export async function openParquetImages(folder: string): Promise<ImageSplits> {
  const { at, names } = await locate(folder);
  const test = partIn(testNames, names);
  if (test === undefined) {
    throw new OneloraError({
      attempted: `reading Parquet files from ${at}`,
      found: "train alone",
      allowed: `files of one of ${testNames.join(", ")} beside it`,
    });
  }
  const open = (part: string) =>
    Promise.all(filesOf(part, names).map((name) => openParquet(`${at}/${name}`, { binary: true })));
  const [training, testing] = [await open(partIn(trainNames, names)!), await open(test)];
  const hasCard = (await listFolder(folder)).some(({ name, isFile }) => isFile && name === "README.md");
  const card = hasCard ? await readCard(`${folder}/README.md`) : undefined;
  const pathsOf = (files: readonly ParquetFile[]) => files.map(({ path }) => path);
  refuseOtherParts(card, folder, { train: pathsOf(training), test: pathsOf(testing) });
  const columns = imageColumns(training[0], card);
  for (const { path, columns: present } of [...training, ...testing]) {
    if (present.includes(columns.image) && present.includes(columns.label)) continue;
    throw new OneloraError({
      attempted: `reading images from ${path}`,
      found: `columns ${present.join(", ")}`,
      allowed: `${columns.image} and ${columns.label}, as in ${training[0].path}`,
    });
  }
  const several = columns.several ?? await firstIsList(training[0], columns.label);
  const classes = columns.names ?? await numberedClasses(training, columns.label);
  const sharp = await loadSharp();
  return withOrigins({
    train: parquetDataset("parquet/train", training, { ...columns, several }, classes, sharp),
    test: parquetDataset("parquet/test", testing, { ...columns, several }, classes, sharp),
  }, { module: import.meta.url, name: "openParquetImages", arguments: [folder], reads: [folder] });
}
