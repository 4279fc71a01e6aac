/**
 * Depth data sets by name.
 *
 * @module
 */

import { placeAt } from "../data/files.ts";
import { OneloraError, unknownName } from "../../dsl/error.ts";
import { withOrigins } from "../data/origin.ts";
import type { DepthSplits } from "./dataset.ts";
import { openDiode } from "./diode.ts";
import { openKitti } from "./kitti.ts";
import { openPairs } from "./pairs.ts";
import { openNyuFolder, openNyuLabelled } from "./nyu.ts";
import { type SceneOptions, sceneSplits } from "./scenes.ts";

const BUILT_IN: Readonly<Record<string, (options: SceneOptions) => DepthSplits>> = {
  "scenes-indoor": (options) => sceneSplits("indoor", options),
  "scenes-driving": (options) => sceneSplits("driving", options),
  "scenes-outdoor": (options) => sceneSplits("outdoor", options),
};

const STORED: Readonly<Record<string, (path: string) => Promise<DepthSplits>>> = {
  "nyu": (path) => path.toLowerCase().endsWith(".mat") ? openNyuLabelled(path) : openNyuFolder(path),
  "kitti": openKitti,
  "diode-indoor": (path) => openDiode(path, "indoors"),
  "diode-outdoor": (path) => openDiode(path, "outdoor"),
};

/** Every form of specification that {@linkcode openDepthData} takes. */
export const depthDataForms: readonly string[] = [
  ...Object.keys(BUILT_IN),
  "nyu:FILE.mat",
  ...Object.keys(STORED).map((name) => `${name}:DIR`),
  "pairs:DIR, pairs:FILE.csv",
];

/**
 * Opens a depth data set; errors in the specification itself carry exit code 2.
 *
 * @param spec `scenes-indoor`, `scenes-driving`, `scenes-outdoor`, `nyu:FILE.mat`, `nyu:DIR`, `kitti:DIR`, `diode-indoor:DIR` or
 * `diode-outdoor:DIR`
 * @param scenes Sizes of built-in scenes
 * @param pairs How `pairs:DIR` and `pairs:FILE.csv` are read, which are pictures and depth maps of one's own
 */
export async function openDepthData(
  spec: string,
  scenes: SceneOptions = {},
  pairs: { readonly scale?: number; readonly maxDepth?: number; readonly strict?: boolean } = {},
): Promise<DepthSplits> {
  const colon = spec.indexOf(":");
  const name = colon < 0 ? spec : spec.slice(0, colon);
  const path = colon < 0 ? "" : spec.slice(colon + 1).replace(/(?<=[^/\\])[/\\]+$/, "");
  if (name === "pairs" && path !== "") return await openPairs(path, pairs);
  if (pairs.scale !== undefined || pairs.maxDepth !== undefined) {
    const found = `${pairs.scale === undefined ? "`maxDepth`" : "`depthScale`"} for ${spec}`;
    throw new OneloraError({ attempted: "opening depth", found, allowed: "these with pairs:DIR or pairs:FILE.csv" }, {
      exitCode: 2,
    });
  }
  if (Object.hasOwn(BUILT_IN, name) && colon < 0) return BUILT_IN[name](scenes);
  if (Object.hasOwn(STORED, name) && path !== "") {
    const splits = await STORED[name](path);
    return withOrigins(splits, { module: import.meta.url, name: "openDepthData", arguments: [spec] });
  }
  if (Object.hasOwn(BUILT_IN, name) || Object.hasOwn(STORED, name)) {
    throw new OneloraError({
      attempted: "choosing data set",
      found: `"${spec}"`,
      allowed: Object.hasOwn(BUILT_IN, name) ? `${name}, without a folder` : `${name}:DIR, with its folder`,
    }, { exitCode: 2 });
  }
  const isThere = await placeAt(spec) !== undefined;
  throw unknownName(
    "data set",
    isThere || colon < 0 ? spec : `${name}:DIR`,
    depthDataForms,
    isThere ? `pairs:${spec}` : undefined,
  );
}
