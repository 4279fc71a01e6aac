/**
 * Data sets by name, as `--data` takes them.
 *
 * @module
 */

import { placeAt } from "./files.ts";
import { OneloraError, unknownName } from "../../dsl/error.ts";
import { openCifar } from "./cifar.ts";
import type { ImageSplits } from "./dataset.ts";
import type { DataFacts } from "./record.ts";
import { openFood } from "./food.ts";
import { openImageList } from "./image_list.ts";
import { openImageTree } from "./image_tree.ts";
import { openLetters } from "./letters.ts";
import { openFashionMnist, openMnist } from "./mnist.ts";
import { openParquetImages } from "./parquet_images.ts";
import { rowKind, rowKinds } from "./rows.ts";
import { turnedSplits } from "./turn.ts";

const BUILT_IN: Readonly<Record<string, () => Promise<ImageSplits>>> = {
  "mnist": () => openMnist(),
  "letters": () => Promise.resolve(openLetters()),
  "fashion-mnist": () => openFashionMnist(),
  "fashion-mnist-turned": async () => turnedSplits(await openFashionMnist()),
};

/** Class folders of which some pictures can be judged by. */
async function openFolders(folder: string): Promise<ImageSplits> {
  const splits = await openImageTree(folder);
  if (splits.test.size > 0) return splits;
  const found = "no class with two pictures, of which one could be judged by";
  const allowed = "two pictures of a class, or folders train and test";
  throw new OneloraError({ attempted: `reading ${folder}`, found, allowed });
}

const STORED: Readonly<Record<string, (path: string) => Promise<ImageSplits>>> = {
  cifar10: (path) => openCifar("cifar10", path),
  cifar100: (path) => openCifar("cifar100", path),
  food101: openFood,
  images: openFolders,
  parquet: openParquetImages,
};

/** Lists of pictures, in words. */
const LISTS = rowKinds.map((kind) => `FILE.${kind}`).join(", ");

/** Every form of specification that {@linkcode openImageData} takes. */
export const imageDataForms: readonly string[] = [
  ...Object.keys(BUILT_IN),
  ...Object.keys(STORED).map((name) => `${name}:DIR`),
  ...["cifar10", "cifar100"].map((name) => `${name}:FILE.tar.gz`),
  `DIR, or a list of files and labels: ${LISTS}`,
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
 * orientations, 40 classes), `cifar10:DIR`, `cifar100:DIR`, `food101:DIR`, `images:DIR` (a folder a class), `images:FILE.csv`
 * (or `.tsv`, `.jsonl`, `.json`: a row a picture), either without `images:` too, `parquet:DIR` (as on the Hugging Face hub), or
 * an archive of CIFAR's binary version as it is, `cifar10:FILE.tar.gz`, `cifar100:FILE.tar.gz`
 * @param options Whether to fail at a row of a list that cannot be used, and columns of a list that are called otherwise
 */
export async function openImageData(
  spec: string,
  options: { readonly strict?: boolean; readonly own?: { readonly columns?: string } } = {},
): Promise<ImageSplits> {
  const colon = spec.indexOf(":");
  const name = colon < 0 ? spec : spec.slice(0, colon);
  const path = colon < 0 ? "" : spec.slice(colon + 1).replace(/(?<=[^/\\])[/\\]+$/, "");
  const { strict, own = {} } = options;
  const isStored = Object.hasOwn(STORED, name) && path !== "";
  const isKnown = Object.hasOwn(BUILT_IN, name) && colon < 0;
  const plain = isStored || isKnown ? undefined : spec.replace(/(?<=[^/\\])[/\\]+$/, "");
  const place = name === "images" && path !== "" ? path : plain;
  const found = place === undefined ? undefined : await placeAt(place);
  if (found === "file" && rowKind(place!) !== undefined) {
    return await openImageList(place!, { strict, columns: own.columns });
  }
  if (own.columns !== undefined) {
    const problem = { attempted: "setting `columns`", found: `the data ${spec}`, allowed: `a list: ${LISTS}` };
    throw new OneloraError(problem, { exitCode: 2 });
  }
  if (isKnown) return await BUILT_IN[name]();
  if (isStored) return await STORED[name](path);
  if (found === "folder") return { ...await openFolders(plain!), paths: [plain!] };
  if (found === "file") {
    throw new OneloraError({ attempted: "choosing data set", found: `the file "${spec}"`, allowed: LISTS }, {
      exitCode: 2,
    });
  }
  if (Object.hasOwn(BUILT_IN, name) || Object.hasOwn(STORED, name)) {
    throw new OneloraError({
      attempted: "choosing data set",
      found: `"${spec}"`,
      allowed: Object.hasOwn(BUILT_IN, name) ? `${name}, without a folder` : `${name}:DIR, with its folder`,
    }, { exitCode: 2 });
  }
  // A path that leads nowhere, and no slip of a name.
  if (rowKind(spec) !== undefined || (colon < 0 && /[/\\]/.test(spec))) {
    const problem = {
      attempted: `opening ${spec}`,
      found: "no such file or folder",
      allowed: imageDataForms.join(", "),
    };
    throw new OneloraError(problem, { exitCode: 2 });
  }
  throw unknownName("data set", colon < 0 ? name : `${name}:DIR`, imageDataForms);
}

/**
 * What a run remembers of images.
 *
 * @param data The data set
 */
export function imageFacts({ train, test, paths }: ImageSplits): DataFacts {
  return { examples: { train: train.size, test: test.size }, classes: train.classes, ...(paths && { paths }) };
}
