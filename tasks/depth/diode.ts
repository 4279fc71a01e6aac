/**
 * DIODE (Vasiljevic et al. 2019): `NAME.png`, `NAME_depth.npy` (metres, [768, 1024, 1]) and `NAME_depth_mask.npy` under
 * `train` and `val`, `indoors` and `outdoor`, a folder a scene and a scan.
 *
 * @module
 */

import { OneloraError } from "../../dsl/error.ts";
import { listFolder } from "../data/files.ts";
import { loadSharp, type Sharp } from "../data/sharp.ts";
import { checkedDepth, type DepthDataset, type DepthExample, depthProtocols, type DepthSplits } from "./dataset.ts";
import { readDepthNumbers, readPair } from "./files.ts";

async function readExample(stem: string, sharp: Sharp): Promise<DepthExample> {
  const depth = await readDepthNumbers(`${stem}_depth.npy`);
  const mask = await readDepthNumbers(`${stem}_depth_mask.npy`);
  if (mask.height !== depth.height || mask.width !== depth.width) {
    throw new OneloraError({
      attempted: `reading ${stem}_depth_mask.npy`,
      found: `${mask.height}x${mask.width} values`,
      allowed: `${depth.height}x${depth.width}, as in the depth map`,
    });
  }
  const values = depth.values.map((metres, i) => mask.values[i] > 0 && Number.isFinite(metres) ? metres : 0);
  return await readPair(sharp, `${stem}.png`, { ...depth, values });
}

/** Paths without `.png` of all pictures under a folder, in order. */
async function stemsUnder(folder: string): Promise<string[]> {
  const found: string[] = [];
  for (const { name, isFile, isDirectory } of await listFolder(folder)) {
    if (isDirectory) found.push(...await stemsUnder(`${folder}/${name}`));
    if (isFile && name.endsWith(".png")) found.push(`${folder}/${name.slice(0, -4)}`);
  }
  return found;
}

/**
 * DIODE from its unpacked folder: `train` to train on and `val` to evaluate on; either may be missing, and is then empty.
 * Pixels that the mask leaves out have no depth.
 *
 * @param folder The folder
 * @param place Which of its two domains
 */
export async function openDiode(folder: string, place: "indoors" | "outdoor"): Promise<DepthSplits> {
  const name = `diode-${place === "indoors" ? "indoor" : "outdoor"}`;
  const inFolder = async (path: string) =>
    (await listFolder(path)).filter(({ isDirectory }) => isDirectory).map((entry) => entry.name);
  const parts = await inFolder(folder);
  const part = async (which: string): Promise<readonly string[]> => {
    if (!parts.includes(which) || !(await inFolder(`${folder}/${which}`)).includes(place)) return [];
    return await stemsUnder(`${folder}/${which}/${place}`);
  };
  const [train, test] = [await part("train"), await part("val")];
  if (train.length + test.length === 0) {
    throw new OneloraError({
      attempted: `reading ${name} from ${folder}`,
      found: "no picture",
      allowed: `train/${place} or val/${place} with NAME.png, NAME_depth.npy and NAME_depth_mask.npy in it`,
    });
  }
  const sharp = await loadSharp();
  const dataset = (as: string, stems: readonly string[]): DepthDataset =>
    checkedDepth({ name: `${name}/${as}`, size: stems.length, get: (index) => readExample(stems[index], sharp) });
  return {
    train: dataset("train", train),
    test: dataset("test", test),
    protocol: place === "indoors" ? depthProtocols.diodeIndoor : depthProtocols.diodeOutdoor,
  };
}
