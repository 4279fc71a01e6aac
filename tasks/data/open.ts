/**
 * Data sets by name, as `--data` takes them.
 *
 * @module
 */

import { OneloraError, unknownName } from "../../dsl/error.ts";
import { openCifar } from "./cifar.ts";
import type { ImageSplits } from "./dataset.ts";
import { openImageTree } from "./image_tree.ts";
import { openFashionMnist, openMnist } from "./mnist.ts";
import { turnedSplits } from "./turn.ts";

const BUILT_IN: Readonly<Record<string, () => Promise<ImageSplits>>> = {
  "mnist": () => openMnist(),
  "fashion-mnist": () => openFashionMnist(),
  "fashion-mnist-turned": async () => turnedSplits(await openFashionMnist()),
};

const FOLDERS: Readonly<Record<string, (folder: string) => Promise<ImageSplits>>> = {
  cifar10: (folder) => openCifar("cifar10", folder),
  cifar100: (folder) => openCifar("cifar100", folder),
  images: openImageTree,
};

/** Every form of specification that {@linkcode openImageData} takes. */
export const imageDataForms: readonly string[] = [
  ...Object.keys(BUILT_IN),
  ...Object.keys(FOLDERS).map((name) => `${name}:DIR`),
];

/**
 * Opens a data set; errors in the specification itself carry exit code 2.
 *
 * @param spec `mnist`, `fashion-mnist`, `fashion-mnist-turned` (four orientations, 40 classes), `cifar10:DIR`, `cifar100:DIR` or `images:DIR`
 */
export async function openImageData(spec: string): Promise<ImageSplits> {
  const colon = spec.indexOf(":");
  const name = colon < 0 ? spec : spec.slice(0, colon);
  const folder = colon < 0 ? "" : spec.slice(colon + 1).replace(/(?<=[^/\\])[/\\]+$/, "");
  if (Object.hasOwn(BUILT_IN, name) && colon < 0) return await BUILT_IN[name]();
  if (Object.hasOwn(FOLDERS, name) && folder !== "") return await FOLDERS[name](folder);
  if (Object.hasOwn(BUILT_IN, name) || Object.hasOwn(FOLDERS, name)) {
    throw new OneloraError({
      attempted: "choosing data set",
      found: `"${spec}"`,
      allowed: Object.hasOwn(BUILT_IN, name) ? `${name}, without a folder` : `${name}:DIR, with its folder`,
    }, { exitCode: 2 });
  }
  throw unknownName("data set", colon < 0 ? name : `${name}:DIR`, imageDataForms);
}
