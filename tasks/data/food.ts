/**
 * Food-101 (Bossard, Guillaumin and Van Gool, 2014) as its archive unpacks: `images/CLASS/ID.jpg` and, in `meta`,
 * `classes.txt`, `train.txt` and `test.txt`, a class or a `CLASS/ID` a line.
 *
 * @module
 */

import { OneloraError } from "../../dsl/error.ts";
import type { ImageSplits } from "./dataset.ts";
import { isFile, listFolder, readBytes } from "./files.ts";
import { type Entry, fileDataset } from "./image_tree.ts";
import { withOrigins } from "./origin.ts";
import { loadSharp } from "./sharp.ts";

const FOLDER = "food-101";

async function readLines(path: string): Promise<readonly string[]> {
  const lines = new TextDecoder().decode(await readBytes(path)).split("\n").map((line) => line.trim()).filter(Boolean);
  if (lines.length > 0) return lines;
  throw new OneloraError({ attempted: `reading ${path}`, found: "no line", allowed: "one or more" });
}

async function readEntries(folder: string, list: string, labels: ReadonlyMap<string, number>): Promise<Entry[]> {
  const path = `${folder}/meta/${list}`;
  return (await readLines(path)).map((line, i) => {
    const [name, id, ...more] = line.split("/");
    const label = labels.get(name);
    if (label !== undefined && id && more.length === 0 && !/^\.|\\/.test(id)) {
      return { path: `${folder}/images/${line}.jpg`, label };
    }
    throw new OneloraError({
      attempted: `reading ${path}, line ${i + 1}`,
      found: JSON.stringify(line.slice(0, 80)),
      allowed: "CLASS/ID, the class one of those in classes.txt",
    });
  });
}

/**
 * Food-101: 101 classes of 750 images for training and 250 for testing when it is complete. Classes are in the order of
 * `classes.txt`, images in that of the lists; a listed image that is not there is found out when it is read.
 *
 * @param path The unpacked folder, or the one that holds it as `food-101`
 */
export async function openFood(path: string): Promise<ImageSplits> {
  if (await isFile(path)) {
    throw new OneloraError({
      attempted: `reading food101 from ${path}`,
      found: "a file",
      allowed: "the folder that food-101.tar.gz unpacks to: its images are read in random order",
    });
  }
  const nested = (await listFolder(path)).some(({ name, isDirectory }) => isDirectory && name === FOLDER);
  const folder = nested ? `${path}/${FOLDER}` : path;
  const classes = await readLines(`${folder}/meta/classes.txt`);
  const labels = new Map(classes.map((name, label) => [name, label]));
  if (labels.size !== classes.length || classes.some((name) => /[/\\]|^\./.test(name))) {
    throw new OneloraError({
      attempted: `reading ${folder}/meta/classes.txt`,
      found: "a name twice, or one that is no folder's",
      allowed: "names of the folders in images, each once",
    });
  }
  const [train, test] = [await readEntries(folder, "train.txt", labels), await readEntries(folder, "test.txt", labels)];
  const sharp = await loadSharp();
  return withOrigins({
    train: fileDataset("food101/train", classes, train, sharp),
    test: fileDataset("food101/test", classes, test, sharp),
  }, { module: import.meta.url, name: "openFood", arguments: [path], reads: [path] });
}
