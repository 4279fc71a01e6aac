/**
 * Examples that are prepared once and kept, all of them side by side, so that a step need only be told which it takes.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { OneloraError } from "../../dsl/error.ts";
import type { Key } from "../../dsl/random.ts";
import { sizeOf } from "../../dsl/tree.ts";
import { type BatchPart, partRows, type StepRun } from "../trainer/parts.ts";
import { ALL, ROWS } from "../trainer/on_device.ts";
import { type ExampleSource, stream, type StreamOptions } from "./stream.ts";
import { wordsIn } from "./words.ts";

/** What every example has of one kind of numbers. */
export interface HeldArray {
  /** Of one example. */
  readonly shape: readonly number[];
  /** Of int32 the bits alone are given, in arrays of float32. */
  readonly dtype: "float32" | "int32";
}

/** Numbers of an example by the names of arrays, and what is kept of it besides. */
export interface Kept<Rest> {
  readonly values: Readonly<Record<string, Float32Array>>;
  readonly rest: Rest;
}

/** Where an example's numbers are. */
export interface Row<Rest> {
  readonly row: number;
  readonly rest: Rest;
  /** The key of its random choices in this pass. */
  readonly key: Key;
}

/** Examples that are kept. */
export interface HeldExamples<Rest> extends Disposable {
  /** How many there are, those that could not be read among them. */
  readonly count: number;
  /** What is left to read of them; those that could not be read still cannot. */
  readonly source: ExampleSource<Row<Rest>>;
  /**
   * Tensors of a part's examples: their rows in tensors that stay, or, where it is not as large as parts usually are, copies of
   * their numbers. A program is made for every size of a part, and would hold all examples once more.
   */
  readonly tensorsOf: (items: readonly Row<Rest>[]) => Pick<BatchPart, "tensors" | "staying">;
}

/** How examples are read, and which. */
export interface HoldOptions extends Pick<StreamOptions, "seed" | "shuffle" | "limit" | "workers" | "strict">, StepRun {
  /** Called when it begins. */
  readonly onLine?: (line: string) => void;
}

/** Examples of a group that is read. */
const AT_ONCE = 64;

/**
 * Reads all examples that a stream of these options takes.
 *
 * @param source Where they come from; what it makes depends on no key
 * @param arrays What every one has, by name
 * @param keep What is kept of one
 * @param options How they are read, and which
 * @throws OneloraError for examples that have other numbers of values than the first
 */
export async function holdExamples<Item, Rest>(
  source: ExampleSource<Item>,
  arrays: Readonly<Record<string, HeldArray>>,
  keep: (item: Item) => Kept<Rest>,
  options: HoldOptions,
): Promise<HeldExamples<Rest>> {
  const count = Math.min(options.limit ?? Infinity, source.size);
  const { seed, shuffle, limit, workers, strict, onLine } = options;
  const size = `${(heldBytes(arrays, count) / 1e6).toPrecision(3)} MB`;
  onLine?.(`note: ${count.toLocaleString("en-US")} examples of ${source.name} stay on the device (${size})`);
  const order = { seed, shuffle, limit, workers, strict, batchSize: Math.min(AT_ONCE, count) };
  const usual = Math.min(partRows(options), count);
  const names = Object.keys(arrays);
  const all = Object.fromEntries(names.map((name) => {
    const { shape, dtype } = arrays[name];
    const length = count * sizeOf(shape);
    return [name, dtype === "int32" ? new Int32Array(length) : new Float32Array(length)];
  }));
  const rows = new Map<number, Omit<Row<Rest>, "key">>();
  for await (const { items, indices } of stream(source, order)) {
    items.forEach((item, i) => {
      const { values, rest } = keep(item);
      const row = rows.size;
      rows.set(indices[i], { row, rest });
      for (const name of names) {
        const [{ shape, dtype }, one] = [arrays[name], values[name]];
        const size = sizeOf(shape);
        if (one.length !== size) {
          throw new OneloraError({
            attempted: `keeping ${source.name} on the device`,
            found: `examples of ${size} and of ${one.length} values`,
            allowed: "examples of one size, or `dataOnDevice: no`",
          });
        }
        const bits = dtype === "int32" ? wordsIn(one) : one;
        all[name].set(bits, row * size);
      }
    });
  }
  const shaped = (name: string, values: Float32Array | Int32Array, length: number) =>
    tf.tensor(values, [length, ...arrays[name].shape], arrays[name].dtype);
  const staying = Object.fromEntries(names.map((name) => [`${ALL}${name}`, shaped(name, all[name], count)]));
  return {
    count,
    source: {
      name: source.name,
      size: source.size,
      get: async (index, key) => {
        const found = rows.get(index);
        if (found !== undefined) return { ...found, key };
        await source.get(index, key);
        throw new OneloraError({
          attempted: `reading example ${index} of ${source.name}`,
          found: "one that could not be read when all were",
          allowed: "files that stay the same while they are learnt from",
        });
      },
    },
    tensorsOf: (items) => {
      if (items.length === usual) {
        return { tensors: () => ({ [ROWS]: tf.tensor1d(items.map(({ row }) => row), "int32") }), staying };
      }
      const copied = (name: string) => {
        const size = sizeOf(arrays[name].shape);
        const values = arrays[name].dtype === "int32"
          ? new Int32Array(items.length * size)
          : new Float32Array(items.length * size);
        items.forEach(({ row }, i) => values.set(all[name].subarray(row * size, (row + 1) * size), i * size));
        return shaped(name, values, items.length);
      };
      return { tensors: () => Object.fromEntries(names.map((name) => [name, copied(name)])) };
    },
    [Symbol.dispose]: () => tf.dispose(staying),
  };
}

/**
 * Bytes of examples that are kept.
 *
 * @param arrays What every one has
 * @param count How many
 */
export function heldBytes(arrays: Readonly<Record<string, HeldArray>>, count: number): number {
  return 4 * count * Object.values(arrays).reduce((sum, { shape }) => sum + sizeOf(shape), 0);
}
