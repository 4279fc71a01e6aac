/**
 * NYU Depth v2 (Silberman et al. 2012): the labelled data set in one MATLAB file, or pictures and depth maps in folders with
 * Eigen's split lists.
 *
 * @module
 */

import { firstLine, OneloraError } from "../../dsl/error.ts";
import { dirname } from "../../dsl/files/path.ts";
import { readWhole, SETTINGS_BYTES } from "../../dsl/files/read.ts";
import { listFolder } from "../data/files.ts";
import { checkedDepth, type DepthDataset, type DepthExample, depthProtocols, type DepthSplits } from "./dataset.ts";
import { openListed } from "./lists.ts";
import { readMatlabNumbers } from "./matlab.ts";

const H5WASM = "npm:h5wasm@0.10.3/node";

/** The part of an HDF5 data set that reading frames needs. */
interface Hdf5Dataset {
  readonly shape: readonly number[] | null;
  slice(ranges: readonly (readonly number[])[]): unknown;
}

/** The part of h5wasm that reading frames needs. */
interface Hdf5 {
  readonly ready: Promise<{ activate_throwing_error_handler(): unknown }>;
  readonly File: new (path: string, mode: "r") => { get(name: string): unknown; close(): unknown };
}

async function loadHdf5(): Promise<Hdf5> {
  try {
    // Not a literal at the point of import: only users of the MATLAB file need the reader.
    const specifier = H5WASM;
    const library = await import(specifier) as Hdf5;
    // Failures become exceptions instead of pages of text on the terminal.
    (await library.ready).activate_throwing_error_handler();
    return library;
  } catch (cause) {
    throw new OneloraError({
      attempted: `loading the HDF5 reader ${H5WASM}`,
      found: firstLine(cause),
      allowed: "an npm registry in reach on first use, and --allow-env --allow-read",
    }, { cause });
  }
}

/** Frames in the file: columns before rows, as MATLAB's [height, width, 3, frames] looks from outside. */
interface Frames {
  readonly images: Hdf5Dataset;
  readonly depths: Hdf5Dataset;
  readonly count: number;
  readonly width: number;
  readonly height: number;
}

/** Opens the file for as long as something is read: the system's handle is given back at once. */
function withFrames<Result>(library: Hdf5, path: string, read: (frames: Frames) => Result): Result {
  const fail = (found: string, cause?: unknown): never => {
    throw new OneloraError({
      attempted: `reading ${path}`,
      found,
      allowed: "a MATLAB 7.3 file with images [480, 640, 3, N] and depths [480, 640, N]",
    }, { cause });
  };
  try {
    const file = new library.File(path, "r");
    try {
      const [images, depths] = ["images", "depths"].map((name) => file.get(name) as Hdf5Dataset | null);
      if (!Array.isArray(images?.shape) || !Array.isArray(depths?.shape)) return fail("no images or no depths");
      const [count, channels, width, height] = images.shape;
      const agree = depths.shape.length === 3 && [count, width, height].every((size, i) => size === depths.shape![i]);
      if (images.shape.length !== 4 || channels !== 3 || !agree || count === 0) {
        fail(`images of [${images.shape.toReversed()}] and depths of [${depths.shape.toReversed()}]`);
      }
      return read({ images, depths, count, width, height });
    } finally {
      file.close();
    }
  } catch (cause) {
    if (cause instanceof OneloraError) throw cause;
    return fail(firstLine(cause), cause);
  }
}

function readFrame({ images, depths, width, height }: Frames, index: number): DepthExample {
  const colours = images.slice([[index, index + 1], [], [], []]);
  const metres = depths.slice([[index, index + 1], [], []]);
  if (!(colours instanceof Uint8Array) || !(metres instanceof Float32Array || metres instanceof Float64Array)) {
    throw new TypeError("values of another type than uint8 and single");
  }
  const pixels = new Uint8Array(3 * height * width);
  const depth = new Float32Array(height * width);
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at++) {
      depth[at] = metres[x * height + y];
      for (let c = 0; c < 3; c++) pixels[3 * at + c] = colours[(c * width + x) * height + y];
    }
  }
  return { pixels, depth, height, width };
}

/** Frames for testing, counted from 0. */
async function testFrames(path: string, count: number): Promise<ReadonlySet<number>> {
  const folder = dirname(path);
  const splits = `${folder}/splits.mat`;
  if (!(await listFolder(folder)).some(({ name, isFile }) => isFile && name === "splits.mat")) {
    return new Set(Array.from({ length: Math.max(1, Math.round(count / 10)) }, (_, i) => count - 1 - i));
  }
  const frames = readMatlabNumbers(await readWhole(splits, SETTINGS_BYTES), "testNdxs", splits);
  const wrong = frames.find((frame) => !Number.isInteger(frame) || frame < 1 || frame > count);
  if (wrong !== undefined || frames.length === 0) {
    throw new OneloraError({
      attempted: `reading ${splits}`,
      found: wrong === undefined ? "no test frame" : `test frame ${wrong}`,
      allowed: `1 to ${count}, as many as ${path} has`,
    });
  }
  return new Set(frames.map((frame) => frame - 1));
}

/**
 * NYU's labelled data set, `nyu_depth_v2_labeled.mat` (MATLAB 7.3, which is HDF5): `images` and the filled-in `depths`. The
 * file stays on disk; a frame is read when it is asked for.
 *
 * Which frames are for testing: those that the data set's `splits.mat` lists, if it lies beside the file; else the last
 * tenth. Frames of a scene follow each other, so that then at most one scene is in both parts.
 *
 * @param path The file
 */
export async function openNyuLabelled(path: string): Promise<DepthSplits> {
  const head = await readHead(path);
  if (!head.startsWith("MATLAB 7.3") && !head.includes("\u0089HDF")) {
    throw new OneloraError({
      attempted: `reading ${path}`,
      found: `a file that starts with ${JSON.stringify(head.slice(0, 20))}`,
      allowed: "nyu_depth_v2_labeled.mat, a MATLAB 7.3 (HDF5) file",
    });
  }
  const library = await loadHdf5();
  const count = withFrames(library, path, (frames) => frames.count);
  const held = await testFrames(path, count);
  const all = Array.from({ length: count }, (_, i) => i);
  const part = (name: string, frames: readonly number[]): DepthDataset =>
    checkedDepth({
      name: `nyu-labelled/${name}`,
      size: frames.length,
      get: (index) => withFrames(library, path, (open) => readFrame(open, frames[index])),
    });
  return {
    train: part("train", all.filter((index) => !held.has(index))),
    test: part("test", all.filter((index) => held.has(index))),
    protocol: depthProtocols.nyu,
  };
}

/** The first bytes of a file as Latin letters. */
async function readHead(path: string): Promise<string> {
  try {
    using file = await Deno.open(path);
    const bytes = new Uint8Array(1024);
    const read = await file.read(bytes) ?? 0;
    return String.fromCharCode(...bytes.subarray(0, read));
  } catch (cause) {
    throw new OneloraError({ attempted: `reading ${path}`, found: firstLine(cause), allowed: "a readable file" }, {
      cause,
    });
  }
}

/**
 * NYU from a folder with the split lists (e.g. `nyudepthv2_train_files_with_gt.txt`), pictures and depth maps (16-bit PNG,
 * 1000 steps a metre) in it or in `sync`, `train`, `test`, `official_splits/test`.
 *
 * @param folder The folder
 */
export async function openNyuFolder(folder: string): Promise<DepthSplits> {
  const folders = ["", "sync", "train", "test", "official_splits/test"];
  const format = { name: "nyu", imageFolders: folders, depthFolders: folders, unit: 1000 };
  return { ...await openListed(folder, format), protocol: depthProtocols.nyu };
}
