/**
 * Data of one's own: examples in memory, pictures as pixels, files or their bytes.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import { fold, key, uniform } from "../../dsl/random.ts";
import { checked, type ImageDataset, type ImageExample, type ImageSplits } from "./dataset.ts";
import { decodeImage } from "./decode.ts";
import { loadSharp } from "./sharp.ts";

/** Pixels in memory, as `ImageData` has them: rows of pixels, each with its channels side by side, 0 to 255. */
export interface PixelData {
  /** [height, width, channels] bytes. */
  readonly data: Uint8Array | Uint8ClampedArray;
  /** Columns. */
  readonly width: number;
  /** Rows. */
  readonly height: number;
  /** 1 grey, 3 red, green and blue, 4 with opacity, which is left out (default: as many as `data` has). */
  readonly channels?: number;
}

/** A picture: pixels, the path of a file, or a file's bytes. */
export type ImageSource = PixelData | string | Uint8Array;

/** A picture and its class. */
export interface LabelledImage {
  /** The picture. */
  readonly image: ImageSource;
  /** Its class, by name or by number from 0 on; or a list of classes, where there may be any number of them. */
  readonly label: string | number | readonly (string | number)[];
}

/** Examples one after the other, in memory or as they come. */
export type Examples<Example> = Iterable<Example> | AsyncIterable<Example>;

/** How examples of one's own are made into data. */
export interface OwnDataOptions {
  /** Decides which examples are kept to be judged by. */
  readonly seed: number;
  /** Called with what is done with them. */
  readonly onLine: (line: string) => void;
}

function isPixels(image: unknown): image is PixelData {
  return typeof image === "object" && image !== null && "data" in image && "width" in image && "height" in image;
}

/**
 * Whether a value is a picture.
 *
 * @param image Anything
 */
export function isImageSource(image: unknown): image is ImageSource {
  return typeof image === "string" || image instanceof Uint8Array || isPixels(image);
}

/** Bytes without opacity. */
function plainPixels({ data, width, height, channels }: PixelData, name: string): Omit<ImageExample, "label"> {
  const each = channels ?? data.length / (width * height);
  const isWhole = [width, height].every((side) => Number.isSafeInteger(side) && side > 0);
  if (!isWhole || ![1, 3, 4].includes(each) || data.length !== width * height * each) {
    throw new OneloraError({
      attempted: `reading ${name}`,
      found: `${data.length} values for ${width}x${height} pixels`,
      allowed: "1, 3 or 4 for each pixel",
    });
  }
  if (each < 4) {
    return { pixels: new Uint8Array(data.buffer, data.byteOffset, data.length), height, width, channels: each };
  }
  const pixels = new Uint8Array(3 * width * height);
  for (let i = 0; i < width * height; i++) pixels.set(data.subarray(4 * i, 4 * i + 3), 3 * i);
  return { pixels, height, width, channels: 3 };
}

/**
 * A picture as plain pixels, grey ones of one channel or three, others of three.
 *
 * @param image The picture
 * @param name What to call it in errors
 * @throws OneloraError for what is no intact picture
 */
export async function readImage(image: ImageSource, name: string = "a picture"): Promise<Omit<ImageExample, "label">> {
  if (isPixels(image)) return plainPixels(image, name);
  return await decodeImage(await loadSharp(), image, typeof image === "string" ? image : name);
}

/**
 * A picture in three channels.
 *
 * @param image The picture
 * @param name What to call it in errors
 * @throws OneloraError for what is no intact picture
 */
export async function readColourImage(
  image: ImageSource,
  name?: string,
): Promise<Pick<ImageExample, "pixels" | "height" | "width">> {
  const { pixels, height, width, channels } = await readImage(image, name);
  if (channels === 3) return { pixels, height, width };
  return {
    pixels: Uint8Array.from({ length: 3 * height * width }, (_, i) => pixels[Math.floor(i / 3)]),
    height,
    width,
  };
}

/**
 * Which of a class's examples are kept to be judged by: a tenth, at least one, and never the only one; which ones, the seed
 * decides.
 *
 * @param classes Class of each example
 * @param seed The seed
 */
function heldOut(classes: readonly unknown[], seed: number): ReadonlySet<number> {
  const root = fold(key(seed), "split");
  const held = new Set<number>();
  for (const each of new Set(classes)) {
    const members = classes.flatMap((found, index) => found === each ? [index] : []);
    const ranked = members.map((index) => [uniform(fold(root, index), 1)[0], index] as const).sort((a, b) =>
      a[0] - b[0]
    );
    const count = members.length < 2 ? 0 : Math.max(1, Math.round(members.length / 10));
    for (const [, index] of ranked.slice(0, count)) held.add(index);
  }
  return held;
}

/**
 * Examples to learn from and to be judged by: those given, or of each class a tenth that is held out.
 *
 * @param train The examples
 * @param test Those to be judged by, if they are given
 * @param classOf The class of an example; by default all are of one
 * @param options See {@linkcode OwnDataOptions}
 * @throws OneloraError (exit code 2) for no examples, and none to be judged by
 */
export function splitOwn<Example>(
  train: readonly Example[],
  test: readonly Example[] | undefined,
  classOf: (example: Example) => unknown,
  { seed, onLine }: OwnDataOptions,
): { readonly train: readonly Example[]; readonly test: readonly Example[] } {
  const refuse = (attempted: string, allowed: string) =>
    new OneloraError({ attempted, found: "no example", allowed }, { exitCode: 2 });
  if (train.length === 0) throw refuse("reading `data`", "at least one");
  if (test !== undefined) {
    if (test.length === 0) throw refuse("reading `test`", "at least one");
    return { train, test };
  }
  const held = heldOut(train.map(classOf), seed);
  if (held.size === 0) throw refuse("holding out examples to be judged by", "`test`, or two examples of a class");
  onLine(`note: ${held.size} of ${train.length} examples are held out to be judged by; \`test\` gives others`);
  return { train: train.filter((_, i) => !held.has(i)), test: train.filter((_, i) => held.has(i)) };
}

/** Class names of labels: the texts in code-unit order, or 0 to the largest number. */
function classesOf(labels: readonly (string | number)[]): readonly string[] {
  const names = labels.filter((label) => typeof label === "string");
  if (names.length === labels.length) return [...new Set(names)].sort();
  const numbers = labels.filter((label) => typeof label === "number");
  if (numbers.length === labels.length && numbers.every((label) => Number.isSafeInteger(label) && label >= 0)) {
    const count = numbers.reduce((most, label) => Math.max(most, label), 0) + 1;
    if (count <= 100_000) return Array.from({ length: count }, (_, i) => String(i));
  }
  throw new OneloraError({
    attempted: "reading labels",
    found: names.length > 0 && numbers.length > 0 ? "texts and numbers" : "other values",
    allowed: "names of classes, or whole numbers from 0 to 99,999",
  }, { exitCode: 2 });
}

/** One label or several as a list. */
function labelsOf(label: LabelledImage["label"]): readonly (string | number)[] {
  return typeof label === "object" ? label : [label];
}

function datasetOf(
  name: string,
  examples: readonly LabelledImage[],
  classes: readonly string[],
  multiLabel: boolean,
): ImageDataset {
  const places = new Map(classes.map((each, index) => [each, index]));
  const number = (label: string | number): number => {
    const found = places.get(String(label));
    if (found !== undefined) return found;
    throw new OneloraError({
      attempted: `reading ${name}`,
      found: `the class "${label}"`,
      allowed: `the classes of the training data: ${classes.slice(0, 20).join(", ")}`,
    }, { exitCode: 2 });
  };
  const labels = examples.map(({ label }): Pick<ImageExample, "label" | "labels"> => {
    if (!multiLabel) return { label: number(label as string | number) };
    const all = [...new Set(labelsOf(label).map(number))].sort((a, b) => a - b);
    return { label: all[0] ?? -1, labels: all };
  });
  return checked({
    name,
    size: examples.length,
    classes,
    ...(multiLabel && { multiLabel }),
    labelOf: (index) => labels[index].label,
    labelsOf: (index) => labels[index].labels ?? [labels[index].label],
    get: async (index) => ({
      ...await readImage(examples[index].image, `image ${index} of ${name}`),
      ...labels[index],
    }),
  });
}

/**
 * Your own pictures with their classes as a data set; files are read when they are needed.
 *
 * @param train Examples to learn from
 * @param test Examples to be judged by; a tenth of each class is held out where there are none
 * @param options See {@linkcode OwnDataOptions}
 *
 * @example
 * ```ts
 * import { ownImages } from "@onelora/onelora/tasks";
 * import { assertEquals } from "@std/assert";
 * const image = { data: Uint8Array.of(0), width: 1, height: 1 };
 * const examples = ["cat", "dog", "cat", "dog"].map((label) => ({ image, label }));
 * const { train, test } = ownImages(examples, undefined, { seed: 0, onLine: () => {} });
 * assertEquals([train.classes, train.size, test.size], [["cat", "dog"], 2, 2]);
 * ```
 */
export function ownImages(
  train: readonly LabelledImage[],
  test: readonly LabelledImage[] | undefined,
  options: OwnDataOptions,
): ImageSplits {
  const multiLabel = [...train, ...test ?? []].some(({ label }) => typeof label === "object");
  const split = splitOwn(train, test, ({ label }) => multiLabel ? undefined : label, options);
  const classes = classesOf(split.train.flatMap(({ label }) => labelsOf(label)));
  return {
    train: datasetOf("own/train", split.train, classes, multiLabel),
    test: datasetOf("own/test", split.test, classes, multiLabel),
  };
}

/**
 * Whether an example is a picture and its class.
 *
 * @param example Anything
 */
export function isLabelledImage(example: object): example is LabelledImage {
  if (!("image" in example && isImageSource(example.image) && "label" in example)) return false;
  const labels = Array.isArray(example.label) ? example.label : [example.label];
  return labels.every((label) => ["string", "number"].includes(typeof label));
}
