/**
 * Training examples that are held out to validate with: the same ones for every method and every seed.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import { fold, key, permutation } from "../../dsl/random.ts";
import type { ImageDataset, ImageSplits } from "./dataset.ts";
import { type Origin, originOf, remake, withOrigin } from "./origin.ts";

/** Data to train and validate with, and data to be judged by once it is trained. */
export interface HeldOut<Data> {
  /** What is left to train on; its part to evaluate on is what was held out. */
  readonly training: Data;
  /** The same to train on, with the data's own part to evaluate on. */
  readonly testing: Data;
}

/**
 * Refuses a number of examples to hold out that leaves none to train on.
 *
 * @param count How many are to be held out
 * @param size Of how many
 * @param name Of which data
 * @param classes Classes that must each keep an example (default 1)
 * @throws OneloraError (exit code 2)
 */
export function checkHeldOut(count: number, size: number, name: string, classes: number = 1): void {
  const most = size - classes;
  if (count <= most) return;
  throw new OneloraError({
    attempted: "setting `validation`",
    found: `${count} of ${size} examples of ${name}`,
    allowed: most < 1 ? "more training data" : `at most ${most}`,
  }, { exitCode: 2 });
}

/** How many of each class are held out: its share, by largest remainder, and never all of it. */
function quotas(sizes: readonly number[], count: number): readonly number[] {
  const size = sizes.reduce((sum, each) => sum + each, 0);
  const shares = sizes.map((each) => each * count / size);
  const taken = shares.map(Math.floor);
  const order = shares.map((share, i) => [share - taken[i], i] as const).sort((a, b) => b[0] - a[0] || a[1] - b[1]);
  let left = count - taken.reduce((sum, each) => sum + each, 0);
  while (left > 0) {
    for (const [, i] of order) {
      if (left === 0) break;
      if (taken[i] >= sizes[i] - 1) continue;
      taken[i]++;
      left--;
    }
  }
  return taken;
}

/**
 * Which examples are held out, in increasing order: of each class its share, by largest remainder, and never its last one.
 * Nothing but the data decides: the choice is keyed by "validation" alone.
 *
 * @param size How many examples
 * @param count How many are held out, at most `size` less one for each class
 * @param classOf Class of an example; by default all are of one
 *
 * @example
 * ```ts
 * import { validationIndices } from "./validation.ts";
 * import { assertEquals } from "@std/assert";
 * const { held, kept } = validationIndices(10, 4, (i) => i < 5 ? "cat" : "dog");
 * assertEquals([held.length, held.filter((i) => i < 5).length, kept.length], [4, 2, 6]);
 * ```
 */
export function validationIndices(
  size: number,
  count: number,
  classOf: (index: number) => unknown = () => undefined,
): { readonly held: Uint32Array; readonly kept: Uint32Array } {
  const members = new Map<unknown, number[]>();
  for (const index of permutation(fold(key(0), "validation"), size)) {
    const own = members.get(classOf(index));
    if (own === undefined) members.set(classOf(index), [index]);
    else own.push(index);
  }
  const classes = [...members.values()];
  const most = quotas(classes.map(({ length }) => length), count);
  const isHeld = new Uint8Array(size);
  classes.forEach((own, i) => own.slice(0, most[i]).forEach((index) => isHeld[index] = 1));
  const all = Uint32Array.from({ length: size }, (_, i) => i);
  return { held: all.filter((i) => isHeld[i] === 1), kept: all.filter((i) => isHeld[i] === 0) };
}

/** What of examples is known without reading them. */
type Labelled = Pick<ImageDataset, "labelOf" | "labelsOf">;

/** Examples by index. */
interface Indexed {
  readonly name: string;
  readonly size: number;
  get(index: number): unknown;
}

/**
 * Some examples of a data set, made again in another thread.
 *
 * @param origin How the data set is made
 * @param indices The examples, in order
 */
export async function pickedAgain(
  origin: Origin,
  indices: Uint32Array,
): Promise<{ readonly get: (index: number) => unknown }> {
  const dataset = await remake<Indexed>(origin);
  return { get: (index) => dataset.get(indices[index]) };
}

/**
 * Some examples of a data set as one of its own.
 *
 * @param dataset The data set
 * @param indices The examples, in order
 * @param name What it is called
 */
export function picked<Dataset extends Indexed>(dataset: Dataset, indices: Uint32Array, name: string): Dataset {
  const get = (index: number) => {
    if (Number.isInteger(index) && index >= 0 && index < indices.length) return dataset.get(indices[index]);
    throw new OneloraError({
      attempted: `reading an example of ${name}`,
      found: `index ${index}`,
      allowed: `0 to ${indices.length - 1}`,
    });
  };
  // What is known of an example by its index is known by its place among those picked.
  const { labelOf, labelsOf } = dataset as Dataset & Labelled;
  const labels: Labelled = {
    ...(labelOf && { labelOf: (index) => labelOf(indices[index]) }),
    ...(labelsOf && { labelsOf: (index) => labelsOf(indices[index]) }),
  };
  const origin = originOf(dataset.get);
  if (origin !== undefined) {
    withOrigin(get, { module: import.meta.url, name: "pickedAgain", arguments: [origin, indices] });
  }
  return { ...dataset, ...labels, name, size: indices.length, get };
}

/**
 * Splits a data set's training part in two.
 *
 * @param train The training part
 * @param count How many examples are held out
 * @param classOf Class of an example; by default all are of one
 * @throws OneloraError (exit code 2) if too few were left
 */
export function splitTraining<Dataset extends Indexed>(
  train: Dataset,
  count: number,
  classOf?: (index: number) => unknown,
): { readonly held: Dataset; readonly kept: Dataset } {
  const classes = classOf === undefined
    ? 1
    : new Set(Array.from({ length: train.size }, (_, index) => classOf(index))).size;
  checkHeldOut(count, train.size, train.name, classes);
  const { held, kept } = validationIndices(train.size, count, classOf);
  return {
    held: picked(train, held, `${train.name} (${count} to validate with)`),
    kept: picked(train, kept, `${train.name} (without ${count} to validate with)`),
  };
}

/**
 * Images to validate with, of each class its share where classes are known without reading the images.
 *
 * @param data The data
 * @param count How many
 * @throws OneloraError (exit code 2) if too few were left to train on
 */
export function holdOutImages(data: ImageSplits, count: number): HeldOut<ImageSplits> {
  const { train, test } = data;
  const { held, kept } = splitTraining<ImageDataset>(train, count, train.labelOf);
  return { training: { ...data, train: kept, test: held }, testing: { ...data, train: kept, test } };
}
