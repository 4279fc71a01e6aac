/**
 * Pictures and depth maps of one's own in files: a folder in which names say which belong together, or a list of both.
 *
 * @module
 */
import { dirname } from "../../dsl/files/path.ts";
import { OneloraError } from "../../dsl/error.ts";
import { listFolder, pathFrom } from "../data/files.ts";
import { heldBack } from "../data/image_tree.ts";
import { leavingOut, type LeftOut } from "../data/left_out.ts";
import { withOrigins } from "../data/origin.ts";
import { imageExtensions } from "../data/picture_formats.ts";
import { readRows, rowKind } from "../data/rows.ts";
import { loadSharp, type Sharp } from "../data/sharp.ts";
import { isPartName, partNamed, testNames, trainNames } from "../data/split_folders.ts";
import { checkedDepth, type DepthDataset, depthProtocols, type DepthSplits } from "./dataset.ts";
import { readDepthNumbers, readDepthPng, readDepthTiff, readPair } from "./files.ts";

/** How such pairs are read. */
export interface PairOptions {
  /** Steps of a depth map in a metre: 1000 for millimetres; maps of whole numbers need it, floats are metres without. */
  readonly scale?: number;
  /** Metres that count at most (default 80). */
  readonly maxDepth?: number;
  /** Fail at a file or row that cannot be used (default: leave it out and name it). */
  readonly strict?: boolean;
}

/** A picture and its map. */
interface Pair {
  readonly image: string;
  readonly depth: string;
  readonly part?: string;
}

/** Words of a path that say that it is of a depth map. */
const DEPTH_WORDS: readonly string[] = ["depth", "depths", "depthmap", "depthmaps", "gt", "groundtruth"];
/** Other words that say what a file is, and not which. */
const KIND_WORDS: readonly string[] = [
  ..."image images img imgs rgb color colour colors colours picture pictures photo photos left".split(" "),
  ..."map maps ground truth sync".split(" "),
];
/** Endings of maps that are no pictures, and of those that may be either. */
const [MAP_ENDS, EITHER]: readonly (readonly string[])[] = [[".npy", ".exr", ".pfm"], [".png", ".tif", ".tiff"]];
/** Maps that are not read. */
const OTHERS: Readonly<Record<string, string>> = { ".exr": "OpenEXR", ".pfm": "PFM" };
/** Files that are named of each kind that is left out. */
const NAMED = 10;

/** The words of a path without its ending. */
function wordsOf(path: string): readonly string[] {
  return path.replace(/\.\w+$/, "").toLowerCase().split(/[/\\_\-. ]+/).filter(Boolean);
}

function endOf(path: string): string {
  return /\.\w+$/.exec(path)?.[0].toLowerCase() ?? "";
}

/** Files below a folder, relative to it, in order. */
async function filesUnder(folder: string, prefix: string = ""): Promise<readonly string[]> {
  const found: string[] = [];
  for (const { name, isFile, isDirectory } of await listFolder(prefix === "" ? folder : `${folder}/${prefix}`)) {
    if (isDirectory) found.push(...await filesUnder(folder, `${prefix}${name}/`));
    else if (isFile) found.push(prefix + name);
  }
  return found;
}

/** The pairs of a folder: a picture and a map whose paths are equal but for words that say what they are. */
async function pairsIn(folder: string, left: LeftOut): Promise<readonly Pair[]> {
  const images = new Map<string, string>();
  const maps = new Map<string, string>();
  for (const path of await filesUnder(folder)) {
    const [words, end] = [wordsOf(path), endOf(path)];
    const isMap = MAP_ENDS.includes(end) || (EITHER.includes(end) && words.some((word) => DEPTH_WORDS.includes(word)));
    if (!isMap && !imageExtensions.includes(end)) {
      left.add("that are no pictures or maps", path);
      continue;
    }
    const key = words.filter((word) => !DEPTH_WORDS.includes(word) && !KIND_WORDS.includes(word)).join("/");
    const kind = isMap ? maps : images;
    const before = kind.get(key);
    if (before !== undefined) {
      throw new OneloraError({
        attempted: `pairing the files of ${folder}`,
        found: `${before} and ${path}, which have the same words`,
        allowed: "one picture and one map of each name, or a list of both: pairs:FILE.csv",
      });
    }
    kind.set(key, path);
  }
  for (const [key, path] of images) if (!maps.has(key)) left.add("pictures without a map", path);
  for (const [key, path] of maps) if (!images.has(key)) left.add("maps without a picture", path);
  return [...images].flatMap(([key, image]) => {
    const depth = maps.get(key);
    const part = image.split("/").slice(0, -1).find(isPartName);
    return depth === undefined ? [] : [{ image, depth, ...(part !== undefined && { part: partNamed(part) }) }];
  });
}

/** The pairs of a list: columns image, depth, and split, if there is one. */
async function pairsOf(path: string, left: LeftOut): Promise<readonly Pair[]> {
  const fail = (line: number, found: string): never => {
    throw new OneloraError({ attempted: `reading ${path}, line ${line}`, found, allowed: "a row a picture" });
  };
  const rows = await readRows(path, rowKind(path)!, fail);
  const names = Object.keys(rows[0]?.values ?? {});
  if (!names.includes("image") || !names.includes("depth")) {
    const found = names.map((name) => `"${name}"`).join(", ") || "no row";
    throw new OneloraError({
      attempted: `reading the columns of ${path}`,
      found,
      allowed: "image and depth, files relative to the list; split, if it says the parts",
    }, { exitCode: 2 });
  }
  return rows.flatMap(({ line, values: { image, depth, split } }): readonly Pair[] => {
    const isPath = (value: unknown): value is string => typeof value === "string" && value !== "";
    if (!isPath(image) || !isPath(depth)) {
      left.add("without a picture or a map", `line ${line}`);
      return [];
    }
    if (split !== undefined && (typeof split !== "string" || !isPartName(split))) {
      left.add(`of a part that is none of ${[...trainNames, ...testNames].join(", ")}`, `line ${line}: ${split}`);
      return [];
    }
    return [{ image, depth, ...(split !== undefined && { part: partNamed(split) }) }];
  });
}

/** To learn from and to be judged by: by parts where there are such, else a tenth is held out. */
function partsOf(path: string, pairs: readonly Pair[], left: LeftOut) {
  if (pairs.every(({ part }) => part === undefined)) {
    const held = heldBack(pairs.map(({ image }) => image));
    return { train: pairs.filter(({ image }) => !held.has(image)), test: pairs.filter(({ image }) => held.has(image)) };
  }
  const judging = testNames.find((name) => pairs.some(({ part }) => part === name));
  const isTrain = ({ part }: Pair) => part !== undefined && trainNames.includes(part);
  const isTest = ({ part }: Pair) => part !== undefined && part === judging;
  const [train, test] = [pairs.filter(isTrain), pairs.filter(isTest)];
  for (const pair of pairs) if (!isTrain(pair) && !isTest(pair)) left.add("of other parts", pair.image);
  if (train.length > 0 && test.length > 0) return { train, test };
  throw new OneloraError({
    attempted: `reading the parts of ${path}`,
    found: `${train.length} pairs to train on and ${test.length} to be judged by`,
    allowed: "pairs of both, or no parts",
  });
}

/** Whether a map is a TIFF by its name. */
function isTiff(path: string): boolean {
  return [".tif", ".tiff"].includes(endOf(path));
}

/** Refuses a map of steps of which nobody says how large they are. */
function scaleless(path: string, map: string): OneloraError {
  return new OneloraError({
    attempted: `reading ${path}`,
    found: `maps of whole numbers (${map}), whose steps may be of any size`,
    allowed: "`depthScale`: steps a metre, 1000 for millimetres",
  }, { exitCode: 2 });
}

/** A map of 16 bits or of numbers, in metres; 0 where nothing finite was measured. */
async function readMap(sharp: Sharp, path: string, scale: number | undefined) {
  if (endOf(path) === ".png") return await readDepthPng(sharp, path, scale!);
  const { values, height, width, steps } = isTiff(path)
    ? await readDepthTiff(sharp, path)
    : await readDepthNumbers(path);
  if (steps && scale === undefined) throw scaleless(path, path);
  return { values: values.map((step) => Number.isFinite(step) ? step / (scale ?? 1) : 0), height, width };
}

/**
 * Pairs of a folder or a list as data. A picture and its map (16-bit PNG or TIFF, TIFF of floats, or .npy) are those whose paths have the same words, but
 * for such as `rgb`, `image`, `depth` and `gt`: `rgb/001.jpg` and `depth/001.png`, `a_image.png` and `a_depth.npy`. Folders called
 * as parts are parts; without, a tenth of the pairs is held out, chosen by the pictures' names alone.
 *
 * @param path A folder, or a list with columns `image` and `depth`
 * @param options See {@linkcode PairOptions}
 * @throws OneloraError for names that leave open what belongs together, maps whose scale is not said, and no pair
 */
export async function openPairs(path: string, options: PairOptions = {}): Promise<DepthSplits> {
  const { scale, maxDepth = depthProtocols.scenesDriving.maxDepth, strict } = options;
  const left = leavingOut(path, NAMED);
  const isList = rowKind(path) !== undefined;
  const folder = isList ? dirname(path) : path;
  const pairs = isList ? await pairsOf(path, left) : await pairsIn(path, left);
  if (strict && left.lines().length > 0) {
    throw new OneloraError({ attempted: `reading ${path}`, found: left.lines()[0], allowed: "pairs alone (`strict`)" });
  }
  if (pairs.length < 2) {
    throw new OneloraError({
      attempted: `reading ${path}`,
      found: [`${pairs.length} pairs`, ...left.lines()].join("; "),
      allowed: "at least two pictures, each with a map of the same name",
    });
  }
  const steps = pairs.find(({ depth }) => endOf(depth) === ".png");
  if (steps !== undefined && scale === undefined) throw scaleless(path, steps.depth);
  const other = pairs.find(({ depth }) => Object.hasOwn(OTHERS, endOf(depth)));
  if (other !== undefined) {
    throw new OneloraError({
      attempted: `reading ${path}`,
      found: `maps in ${OTHERS[endOf(other.depth)]} (${other.depth})`,
      allowed: "PNG or TIFF of 16 bits, TIFF of floats, .npy: numpy.save writes what OpenCV has read",
    }, { exitCode: 2 });
  }
  const { train, test } = partsOf(path, pairs, left);
  const sharp = await loadSharp();
  const at = (file: string) => pathFrom(folder, file);
  // What its steps are is in the file alone.
  for (const kind of [".tif", ".tiff", ".npy"]) {
    const map = pairs.find(({ depth }) => endOf(depth) === kind);
    if (map !== undefined && scale === undefined) await readMap(sharp, at(map.depth), scale);
  }
  const dataset = (name: string, part: readonly Pair[]): DepthDataset =>
    checkedDepth({
      name,
      size: part.length,
      get: async (index) => {
        const { image, depth } = part[index];
        return await readPair(sharp, at(image), await readMap(sharp, at(depth), scale));
      },
    });
  return withOrigins({
    train: dataset("pairs/train", train),
    test: dataset("pairs/test", test),
    protocol: { ...depthProtocols.scenesDriving, maxDepth },
    notes: left.lines(),
  }, { module: import.meta.url, name: "openPairs", arguments: [path, options] });
}
