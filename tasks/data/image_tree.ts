/**
 * A folder a class, images inside: `DIR/train/CLASS/*` with `DIR/test/CLASS/*` (or `val`, `validation`), or `DIR/CLASS/*`
 * with a split of our own. Images are decoded when they are read, by sharp.
 *
 * @module
 */

import { OneloraError } from "../../dsl/error.ts";
import { fold, key, uniform } from "../../dsl/random.ts";
import { checked, type ImageDataset, type ImageSplits } from "./dataset.ts";
import { listFolder } from "./files.ts";
import { withOrigins } from "./origin.ts";
import { decodeImage, loadSharp, type Sharp } from "./sharp.ts";

/** How the names of files end that are taken for images. */
export const imageExtensions: readonly string[] = [".jpg", ".jpeg", ".png", ".webp", ".gif", ".tif", ".tiff", ".avif"];
const TEST_FOLDERS: readonly string[] = ["test", "val", "validation"];

/** A labelled file. */
export interface Entry {
  /** Where it lies. */
  readonly path: string;
  /** Index of its class. */
  readonly label: number;
}

/** Labelled files, decoded when they are read. */
export function fileDataset(
  name: string,
  classes: readonly string[],
  entries: readonly Entry[],
  sharp: Sharp,
): ImageDataset {
  return checked({
    name,
    size: entries.length,
    classes,
    get: async (index) => {
      const { path, label } = entries[index];
      return { ...await decodeImage(sharp, path, path), label };
    },
  });
}

/** The images under a class folder, at any depth, in order of their paths relative to it. */
async function imagesUnder(folder: string, prefix = ""): Promise<string[]> {
  const found: string[] = [];
  for (const { name, isFile, isDirectory } of await listFolder(folder)) {
    if (isDirectory) found.push(...await imagesUnder(`${folder}/${name}`, `${prefix}${name}/`));
    if (isFile && imageExtensions.some((extension) => name.toLowerCase().endsWith(extension))) {
      found.push(prefix + name);
    }
  }
  return found;
}

/** The class folders of a folder and the images in each, by sorted class name. */
async function readClasses(folder: string): Promise<ReadonlyMap<string, readonly string[]>> {
  const classes = new Map<string, readonly string[]>();
  for (const { name, isDirectory } of await listFolder(folder)) {
    if (isDirectory) classes.set(name, await imagesUnder(`${folder}/${name}`));
  }
  const empty = [...classes].filter(([, files]) => files.length === 0).map(([name]) => name);
  if (classes.size === 0 || empty.length > 0) {
    throw new OneloraError({
      attempted: `reading the class folders of ${folder}`,
      found: classes.size === 0 ? "none" : `no image in ${empty.join(", ")}`,
      allowed: `a folder a class, with at least one image each (${imageExtensions.join(" ")})`,
    });
  }
  return classes;
}

/** How many of a class's images are for testing: a tenth, at least one, and never its only one. */
function testCount(images: number): number {
  return images < 2 ? 0 : Math.max(1, Math.round(images / 10));
}

/**
 * Images in class folders; class names are the folders' names in code-unit order, as are the files within a class.
 *
 * With `train` and one of `test`, `val`, `validation` in the folder, these are the parts; the test part may lack classes
 * but not add any. Otherwise every class gives a tenth of its images (at least one, unless it has only one) to the test
 * part: those whose path relative to the folder has the smallest random number, keyed by that path alone, so the split
 * does not depend on the machine, the file system's order or the run.
 *
 * @param folder The folder
 */
export async function openImageTree(folder: string): Promise<ImageSplits> {
  const folders = (await listFolder(folder)).filter(({ isDirectory }) => isDirectory).map(({ name }) => name);
  const testFolder = TEST_FOLDERS.find((name) => folders.includes(name));
  const split = folders.includes("train");
  if (split && testFolder === undefined) {
    throw new OneloraError({
      attempted: `reading images from ${folder}`,
      found: "train alone",
      allowed: `one of ${TEST_FOLDERS.join(", ")} beside it, or class folders only`,
    });
  }
  const training = await readClasses(split ? `${folder}/train` : folder);
  const testing = split ? await readClasses(`${folder}/${testFolder}`) : undefined;
  const classes = [...training.keys()];
  const extra = [...testing?.keys() ?? []].filter((name) => !training.has(name));
  if (extra.length > 0) {
    throw new OneloraError({
      attempted: `reading images from ${folder}/${testFolder}`,
      found: `class ${extra.join(", ")}`,
      allowed: `the classes of ${folder}/train: ${classes.join(", ")}`,
    });
  }
  const train: Entry[] = [];
  const test: Entry[] = [];
  classes.forEach((name, label) => {
    const files = training.get(name) ?? [];
    const entry = (part: string) => (file: string): Entry => ({ path: `${folder}/${part}${name}/${file}`, label });
    if (testing !== undefined) {
      train.push(...files.map(entry("train/")));
      test.push(...(testing.get(name) ?? []).map(entry(`${testFolder}/`)));
      return;
    }
    const rank = (file: string) => uniform(fold(key(0), "split", `${name}/${file}`), 1)[0];
    const byRank = files.map((file) => [rank(file), file] as const).sort((a, b) => a[0] - b[0]);
    const held = new Set(byRank.slice(0, testCount(files.length)).map(([, file]) => file));
    train.push(...files.filter((file) => !held.has(file)).map(entry("")));
    test.push(...files.filter((file) => held.has(file)).map(entry("")));
  });
  const sharp = await loadSharp();
  return withOrigins({
    train: fileDataset("images/train", classes, train, sharp),
    test: fileDataset("images/test", classes, test, sharp),
  }, { module: import.meta.url, name: "openImageTree", arguments: [folder] });
}
