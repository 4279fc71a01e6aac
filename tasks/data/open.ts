/**
 * Data sets by name, as `--data` takes them.
 *
 * @module
 */

import { OneloraError, unknownName } from "../../dsl/error.ts";
import { openCifar } from "./cifar.ts";
import type { ImageSplits } from "./dataset.ts";
import type { DataFacts } from "./record.ts";
import { openFood } from "./food.ts";
import { openImageTree } from "./image_tree.ts";
import { openLetters } from "./letters.ts";
import { openFashionMnist, openMnist } from "./mnist.ts";
import { openParquetImages } from "./parquet_images.ts";
import { turnedSplits } from "./turn.ts";

const BUILT_IN: Readonly<Record<string, () => Promise<ImageSplits>>> = {
  "mnist": () => openMnist(),
  "letters": () => Promise.resolve(openLetters()),
  "fashion-mnist": () => openFashionMnist(),
  "fashion-mnist-turned": async () => turnedSplits(await openFashionMnist()),
};

const STORED: Readonly<Record<string, (path: string) => Promise<ImageSplits>>> = {
  cifar10: (path) => openCifar("cifar10", path),
  cifar100: (path) => openCifar("cifar100", path),
  food101: openFood,
  images: openImageTree,
  parquet: openParquetImages,
};

/** Every form of specification that {@linkcode openImageData} takes. */
export const imageDataForms: readonly string[] = [
  ...Object.keys(BUILT_IN),
  ...Object.keys(STORED).map((name) => `${name}:DIR`),
  ...["cifar10", "cifar100"].map((name) => `${name}:FILE.tar.gz`),
];

/**
 * Whether the mirror image of a picture may be another thing: a letter, a digit, a shoe that points the other way.
 *
 * @param spec The data set
 */
export function isHanded(spec: string): boolean {
  return spec === "letters" || spec.endsWith("mnist");
}

/**
 * Opens a data set; errors in the specification itself carry exit code 2.
 *
 * @param spec `mnist`, `letters` (86 written letters, drawn by this package), `fashion-mnist`, `fashion-mnist-turned` (four
 * orientations, 40 classes), `cifar10:DIR`, `cifar100:DIR`, `food101:DIR`, `images:DIR` (a folder a class), `parquet:DIR`
 * (as on the Hugging Face hub), or an archive of CIFAR's binary version as it is, `cifar10:FILE.tar.gz`,
 * `cifar100:FILE.tar.gz`
 */
export async function openImageData(spec: string): Promise<ImageSplits> {
  const colon = spec.indexOf(":");
  const name = colon < 0 ? spec : spec.slice(0, colon);
  const path = colon < 0 ? "" : spec.slice(colon + 1).replace(/(?<=[^/\\])[/\\]+$/, "");
  if (Object.hasOwn(BUILT_IN, name) && colon < 0) return await BUILT_IN[name]();
  if (Object.hasOwn(STORED, name) && path !== "") return await STORED[name](path);
  if (Object.hasOwn(BUILT_IN, name) || Object.hasOwn(STORED, name)) {
    throw new OneloraError({
      attempted: "choosing data set",
      found: `"${spec}"`,
      allowed: Object.hasOwn(BUILT_IN, name) ? `${name}, without a folder` : `${name}:DIR, with its folder`,
    }, { exitCode: 2 });
  }
  throw unknownName("data set", colon < 0 ? name : `${name}:DIR`, imageDataForms);
}

/**
 * What a run remembers of images.
 *
 * @param data The data set
 */
export function imageFacts({ train, test }: ImageSplits): DataFacts {
  return { examples: { train: train.size, test: test.size }, classes: train.classes };
}
