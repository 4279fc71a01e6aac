/**
 * A folder a class, images inside: `DIR/train/CLASS/*` with `DIR/test/CLASS/*` (or other usual names of parts), or
 * `DIR/CLASS/*` with a split of our own; or folders of images with their labels in `metadata.csv` or `metadata.jsonl`.
 * Images are decoded when they are read.
 *
 * @module
 */

import { OneloraError } from "../../dsl/error.ts";
import { sep } from "../../dsl/files/path.ts";
import { fold, key, uniform } from "../../dsl/random.ts";
import { checked, type ImageDataset, type ImageSplits } from "./dataset.ts";
import { decodeImage } from "./decode.ts";
import { listFolder } from "./files.ts";
import { leavingOut, type LeftOut } from "./left_out.ts";
import { classesOf, type Metadata, readMetadata } from "./metadata.ts";
import { withOrigins } from "./origin.ts";
import { otherForm } from "./other_forms.ts";
import { imageExtensions } from "./picture_formats.ts";
import { loadSharp, type Sharp } from "./sharp.ts";
import { findParts, isPartName, partNamed, type Parts, trainNames } from "./split_folders.ts";

/** A labelled file. */
export interface Entry {
  /** Where it lies. */
  readonly path: string;
  /** Index of its class; of several, the first, or -1. */
  readonly label: number;
  /** Indices of all its classes, if there may be any number of them. */
  readonly labels?: readonly number[];
}

/** Labelled files, decoded when they are read. */
export function fileDataset(
  name: string,
  classes: readonly string[],
  entries: readonly Entry[],
  sharp: Sharp,
  multiLabel: boolean = false,
): ImageDataset {
  return checked({
    name,
    size: entries.length,
    classes,
    ...(multiLabel && { multiLabel }),
    labelOf: (index) => entries[index].label,
    labelsOf: (index) => entries[index].labels ?? [entries[index].label],
    get: async (index) => {
      const { path, ...labels } = entries[index];
      return { ...await decodeImage(sharp, path, path), ...labels };
    },
  });
}

/** Folders that programs leave behind. */
const LEFTOVERS: readonly string[] = ["__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "__pycache__"];

const HIDDEN = "hidden";
const NO_PICTURE = "that do not end as pictures do";

/** Whether a file's name ends as pictures' do. */
function endsAsPicture(name: string): boolean {
  return imageExtensions.some((extension) => name.toLowerCase().endsWith(extension));
}

/** The folders in a folder, leftovers of programs left out. */
async function foldersIn(folder: string, left?: LeftOut): Promise<readonly string[]> {
  const listed = await listFolder(folder);
  const names = listed.filter(({ isDirectory }) => isDirectory).map(({ name }) => name);
  for (const name of names) if (LEFTOVERS.includes(name)) left?.add("of a program's folders", name);
  return names.filter((name) => !LEFTOVERS.includes(name));
}

/** The images under a folder, at any depth, in order of their paths relative to it. Links that lead back are not followed. */
async function imagesUnder(
  folder: string,
  left: LeftOut,
  prefix: string = "",
  trail: readonly string[] = [],
): Promise<string[]> {
  const found: string[] = [];
  for (
    const { name, isFile, isDirectory, isLink } of await listFolder(folder, (each) => left.add(HIDDEN, prefix + each))
  ) {
    const path = `${folder}/${name}`;
    if (isDirectory && !LEFTOVERS.includes(name)) {
      const real = isLink ? [await Deno.realPath(path), await Deno.realPath(folder)] : [];
      const leadsBack = real.length > 0 && [...trail, real[1]].some((inner) => isAround(real[0], inner));
      if (leadsBack) left.add("links to a folder around them", prefix + name);
      else found.push(...await imagesUnder(path, left, `${prefix}${name}/`, [...trail, ...real]));
    } else if (isDirectory) left.add("of a program's folders", prefix + name);
    else if (isFile && endsAsPicture(name)) found.push(prefix + name);
    else left.add(NO_PICTURE, prefix + name);
  }
  return found;
}

/** Whether a folder is another one or holds it. */
function isAround(outer: string, inner: string): boolean {
  return inner === outer || inner.startsWith(outer.endsWith(sep) ? outer : `${outer}${sep}`);
}

/** The class folders of a folder and the images in each, by sorted class name. */
async function readClasses(folder: string, left: LeftOut): Promise<ReadonlyMap<string, readonly string[]>> {
  const classes = new Map<string, readonly string[]>();
  for (const { name, isFile } of await listFolder(folder, (name) => left.add(HIDDEN, name))) {
    if (isFile) left.add(endsAsPicture(name) ? "beside the class folders" : NO_PICTURE, name);
  }
  for (const name of await foldersIn(folder, left)) {
    const parts = (await foldersIn(`${folder}/${name}`)).filter(isPartName);
    if (parts.some((part) => trainNames.includes(partNamed(part))) && parts.length > 1) {
      throw new OneloraError({
        attempted: `reading the class folders of ${folder}`,
        found: `parts inside ${name}: ${parts.join(", ")}`,
        allowed: `images:${folder}/${name}, if that is the data set; parts around classes, ${parts[0]}/CLASS`,
      });
    }
    classes.set(name, await imagesUnder(`${folder}/${name}`, left, `${name}/`));
  }
  const [[only, files] = ["", []]] = classes;
  const inner = new Set(files.map((file) => file.split("/").slice(1, -1).join("/")));
  if (classes.size === 1 && inner.size > 1 && !inner.has("")) {
    throw new OneloraError({
      attempted: `reading the class folders of ${folder}`,
      found: `one, ${only}, whose pictures all lie in folders of their own: ${[...inner].slice(0, 20).join(", ")}`,
      allowed: `images:${folder}/${only}, if that is the data set; pictures in the class folders themselves`,
    });
  }
  const empty = [...classes].filter(([, files]) => files.length === 0).map(([name]) => name);
  if (classes.size === 0 || empty.length > 0) {
    const usual = `a folder a class, with at least one image each (${imageExtensions.join(" ")})`;
    throw new OneloraError({
      attempted: `reading the class folders of ${folder}`,
      found: classes.size === 0 ? "none" : `no image in ${empty.join(", ")}`,
      allowed: await otherForm(folder, [...classes.keys()]) ?? usual,
    });
  }
  return classes;
}

/** How many of some images are for testing: a tenth, at least one, and never an only one. */
function testCount(images: number): number {
  return images < 2 ? 0 : Math.max(1, Math.round(images / 10));
}

/**
 * The files that are held back for testing, a tenth: those whose path has the smallest random number, keyed by that path alone.
 *
 * @param files Paths of one class's
 */
export function heldBack(files: readonly string[]): ReadonlySet<string> {
  const rank = (file: string) => uniform(fold(key(0), "split", file), 1)[0];
  const byRank = files.map((file) => [rank(file), file] as const).sort((a, b) => a[0] - b[0]);
  return new Set(byRank.slice(0, testCount(files.length)).map(([, file]) => file));
}

/** Entries of the parts, and their classes. */
interface Tree {
  readonly classes: readonly string[];
  readonly train: readonly Entry[];
  readonly test: readonly Entry[];
  readonly multiLabel: boolean;
}

/** Refuses classes of the test part that the training part lacks. */
function checkClasses(classes: readonly string[], found: Iterable<string>, test: string, train: string): void {
  const extra = [...new Set(found)].filter((name) => !classes.includes(name));
  if (extra.length === 0) return;
  throw new OneloraError({
    attempted: `reading images from ${test}`,
    found: `class ${extra.slice(0, 20).join(", ")}`,
    allowed: `the classes of ${train}: ${classes.slice(0, 20).join(", ")}`,
  });
}

/** Class folders, with parts or without. */
async function readFolders(folder: string, parts: Parts | undefined, left: LeftOut): Promise<Tree> {
  const at = (part?: string) => part === undefined ? folder : `${folder}/${part}`;
  const training = await readClasses(at(parts?.train), left);
  const classes = [...training.keys()];
  const entries = (part: string, name: string, files: readonly string[]): Entry[] =>
    files.map((file) => ({ path: `${at(part)}/${file}`, label: classes.indexOf(name) }));
  const all = (part: string, found: ReadonlyMap<string, readonly string[]>) =>
    classes.flatMap((name) => entries(part, name, found.get(name) ?? []));
  if (parts !== undefined) {
    const testing = await readClasses(at(parts.test), left);
    checkClasses(classes, testing.keys(), at(parts.test), at(parts.train));
    return { classes, train: all(parts.train, training), test: all(parts.test, testing), multiLabel: false };
  }
  const [train, test]: [Entry[], Entry[]] = [[], []];
  for (const [name, files] of training) {
    const held = heldBack(files);
    for (const file of files) {
      (held.has(file) ? test : train).push({ path: `${folder}/${file}`, label: classes.indexOf(name) });
    }
  }
  return { classes, train, test, multiLabel: false };
}

/** What metadata say of a part: beside its pictures, or above with the part's name in each path. */
async function partMetadata(folder: string, part: string, onNote: (line: string) => void) {
  const own = await readMetadata(`${folder}/${part}`, onNote);
  if (own !== undefined) return own;
  const above = await readMetadata(folder, onNote);
  const prefix = `${part}/`;
  if (above === undefined) return undefined;
  const rows = above.rows.filter(({ file }) => file.startsWith(prefix))
    .map(({ file, labels }) => ({ file: file.slice(prefix.length), labels }));
  return rows.length === 0 ? undefined : { ...above, rows };
}

/** Pictures whose labels are in metadata, with parts or without; nothing if there are none. */
async function readLabelled(folder: string, parts: Parts | undefined, left: LeftOut, onNote: (line: string) => void) {
  const training = parts === undefined
    ? await readMetadata(folder, onNote)
    : await partMetadata(folder, parts.train, onNote);
  if (training === undefined) return undefined;
  const testing = parts === undefined ? undefined : await partMetadata(folder, parts.test, onNote);
  if (parts !== undefined && testing === undefined) {
    throw new OneloraError({
      attempted: `reading images from ${folder}/${parts.test}`,
      found: `no labels for them, but ${training.path}`,
      allowed: "metadata.csv or metadata.jsonl for both parts",
    });
  }
  const classes = classesOf(training);
  const multiLabel = training.multiLabel || testing?.multiLabel === true;
  const entriesOf = async (at: string, { path, rows }: Metadata): Promise<readonly Entry[]> => {
    checkClasses(classes, rows.flatMap(({ labels }) => labels), path, training.path);
    const there = await imagesUnder(at, left);
    const known = new Set(rows.map(({ file }) => file));
    for (const file of there) if (!known.has(file)) left.add(`without a line in ${path}`, file);
    return rows.map(({ file, labels: names }) => {
      const labels = [...new Set(names.map((name) => classes.indexOf(name)))].sort((a, b) => a - b);
      const entry = { path: `${at}/${file}`, label: labels[0] ?? -1 };
      return multiLabel ? { ...entry, labels } : entry;
    });
  };
  if (parts !== undefined) {
    const train = await entriesOf(`${folder}/${parts.train}`, training);
    return { classes, train, test: await entriesOf(`${folder}/${parts.test}`, testing!), multiLabel };
  }
  const entries = await entriesOf(folder, training);
  const groups = multiLabel ? [entries] : classes.map((_, label) => entries.filter((each) => each.label === label));
  const held = new Set(
    groups.flatMap((group) => [...heldBack(group.map(({ path }) => path.slice(folder.length + 1)))]),
  );
  const isHeld = ({ path }: Entry) => held.has(path.slice(folder.length + 1));
  return { classes, train: entries.filter((each) => !isHeld(each)), test: entries.filter(isHeld), multiLabel };
}

/** Whether a folder holds pictures itself. */
async function holdsPictures(folder: string): Promise<boolean> {
  return (await listFolder(folder)).some(({ name, isFile }) => isFile && endsAsPicture(name));
}

/**
 * Images in class folders; class names are the folders' names in code-unit order, as are the files within a class. With
 * `metadata.csv` or `metadata.jsonl` in the parts (or around them), labels come from there, any number for a picture.
 *
 * With `train` or `training` in the folder and one of `test`, `testing`, `val`, `valid`, `validation`, `dev`, `eval`,
 * `evaluation`, in any case, these are the parts; the test part may lack classes but not add any. Otherwise every class gives
 * a tenth of its images (at least one, unless it has only one) to the test part: those whose path relative to the folder has
 * the smallest random number, keyed by that path alone, so the split does not depend on the machine, the file system's order
 * or the run.
 *
 * @param folder The folder
 */
export async function openImageTree(folder: string): Promise<ImageSplits> {
  const left = leavingOut(folder);
  const notes: string[] = [];
  const note = (line: string) => void (notes.includes(line) || notes.push(line));
  const parts = await findParts(
    folder,
    await foldersIn(folder, left),
    (name) => holdsPictures(`${folder}/${name}`),
  );
  for (const name of parts?.others ?? []) left.add(`folders beside ${parts!.train} and ${parts!.test}`, name);
  const { classes, train, test, multiLabel } = await readLabelled(folder, parts, left, note) ??
    await readFolders(folder, parts, left);
  const sharp = await loadSharp();
  const dataset = (part: string, entries: readonly Entry[]) =>
    fileDataset(`images/${part}`, classes, entries, sharp, multiLabel);
  return withOrigins({
    train: dataset("train", train),
    test: dataset("test", test),
    notes: [...notes, ...left.lines()],
  }, { module: import.meta.url, name: "openImageTree", arguments: [folder], reads: [folder] });
}
