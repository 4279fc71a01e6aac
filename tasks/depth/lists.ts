/**
 * Split lists as depth papers publish them: lines of `image depth focal`, e.g. BTS's lists of Eigen's splits of NYU and
 * KITTI. A depth of `None` marks a picture without truth.
 *
 * @module
 */

import { firstLine, OneloraError } from "../../dsl/error.ts";
import { listFolder, readBytes } from "../data/files.ts";
import { loadSharp, type Sharp } from "../data/sharp.ts";
import { checkedDepth, type DepthDataset, type DepthExample, missingPart } from "./dataset.ts";
import { readDepthPng, readPair } from "./files.ts";

/** A line of a list. */
export interface SplitLine {
  /** The picture, relative to a folder of the data set. */
  readonly image: string;
  /** The depth map, likewise. */
  readonly depth: string;
}

/**
 * The lines of a list; those whose depth is `None` are left out.
 *
 * @param text The list
 * @param name What to call it in errors
 *
 * @example
 * ```ts
 * import { parseSplitList } from "./lists.ts";
 * import { assertEquals } from "@std/assert";
 * assertEquals(parseSplitList("/a/1.jpg /a/1.png 518.8\nb.jpg None 518.8\n", "list"), [{ image: "a/1.jpg", depth: "a/1.png" }]);
 * ```
 */
export function parseSplitList(text: string, name: string): readonly SplitLine[] {
  const lines = text.split(/\r?\n/).map((line, i) => [line.trim(), i + 1] as const).filter(([line]) => line !== "");
  const relative = (path: string) => path.replace(/^\/+/, "");
  return lines.flatMap(([line, number]) => {
    const [image, depth, focal, ...more] = line.split(/\s+/);
    const valid = depth !== undefined && more.length === 0 && (focal === undefined || Number.isFinite(Number(focal)));
    const escapes = valid && [image, depth].some((path) => path.split(/[/\\]/).includes(".."));
    if (!valid || escapes) {
      throw new OneloraError({
        attempted: `reading ${name}, line ${number}`,
        found: JSON.stringify(line.slice(0, 80)),
        allowed: "image, depth and, if you like, a focal length, with blanks between, inside the data set's folder",
      });
    }
    return depth === "None" ? [] : [{ image: relative(image), depth: relative(depth) }];
  });
}

/** How a data set that comes with lists stores its files. */
export interface ListedFormat {
  /** For messages and records, e.g. `nyu`. */
  readonly name: string;
  /** Folders that pictures may be in, relative to the data set's; the first that has a file counts. */
  readonly imageFolders: readonly string[];
  /** Folders that depth maps may be in, likewise. */
  readonly depthFolders: readonly string[];
  /** Steps of the depth maps in a metre. */
  readonly unit: number;
  /** The part of an example that is used; `name` is for errors. */
  readonly cut?: (example: DepthExample, name: string) => DepthExample;
}

async function locate(folder: string, candidates: readonly string[], path: string): Promise<string> {
  for (const candidate of candidates) {
    const at = [folder, candidate, path].filter(Boolean).join("/");
    try {
      if ((await Deno.stat(at)).isFile) return at;
    } catch (cause) {
      if (cause instanceof Deno.errors.NotFound || cause instanceof Deno.errors.NotADirectory) continue;
      throw new OneloraError({ attempted: `reading ${at}`, found: firstLine(cause), allowed: "a readable file" }, {
        cause,
      });
    }
  }
  throw new OneloraError({
    attempted: `reading ${path}`,
    found: "no such file",
    allowed: `one in ${candidates.map((candidate) => `${folder}/${candidate}`).join(" or ")}`,
  });
}

function listed(
  name: string,
  folder: string,
  lines: readonly SplitLine[],
  format: ListedFormat,
  sharp: Sharp,
): DepthDataset {
  return checkedDepth({
    name,
    size: lines.length,
    get: async (index) => {
      const image = await locate(folder, format.imageFolders, lines[index].image);
      const depth = await locate(folder, format.depthFolders, lines[index].depth);
      const example = await readPair(sharp, image, await readDepthPng(sharp, depth, format.unit));
      return format.cut === undefined ? example : format.cut(example, image);
    },
  });
}

/**
 * The two parts of a data set that comes with lists. The lists are text files in the folder whose names contain `train` or
 * `test` (or `val`), one each; either may be missing, and that part is then empty.
 *
 * @param folder The folder
 * @param format How files are stored
 */
export async function openListed(
  folder: string,
  format: ListedFormat,
): Promise<{ readonly train: DepthDataset; readonly test: DepthDataset }> {
  const texts = (await listFolder(folder)).filter(({ name, isFile }) => isFile && name.endsWith(".txt"))
    .map(({ name }) => name);
  const pick = (what: RegExp) => texts.filter((name) => what.test(name.toLowerCase()));
  const found = { train: pick(/train/), test: pick(/^(?!.*train).*(test|val)/) };
  const counts = [found.train.length, found.test.length];
  if (Math.max(...counts) !== 1) {
    throw new OneloraError({
      attempted: `reading ${format.name} from ${folder}`,
      found: `${counts[0]} lists for training and ${counts[1]} for testing`,
      allowed: "at most one .txt each whose name contains train, test or val, of lines `image depth focal`",
    });
  }
  const sharp = await loadSharp();
  const part = async (which: "train" | "test"): Promise<DepthDataset> => {
    const [list] = found[which];
    const name = `${format.name}/${which}`;
    if (list === undefined) return missingPart(name);
    const path = `${folder}/${list}`;
    return listed(name, folder, parseSplitList(new TextDecoder().decode(await readBytes(path)), path), format, sharp);
  };
  return { train: await part("train"), test: await part("test") };
}
