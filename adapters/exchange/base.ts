/**
 * The base model of an adapter, known again by some of its weights: names and folders change, and two models of one shape
 * take each other's adapters without a word.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { compile } from "../../dsl/compile/mod.ts";
import { isHalfForm, type StoredForm, storedForm } from "../../dsl/engine/stored.ts";
import { OneloraError } from "../../dsl/error.ts";
import { firstOf } from "../../dsl/hold.ts";
import { isObject } from "../../dsl/files/json.ts";
import { type AnyLayer, walk } from "../../dsl/layer.ts";
import { join, type Params, type Path } from "../../dsl/tree.ts";

/** The first values of some of a model's weights, by path. */
export type BaseSample = Readonly<Record<Path, readonly number[]>>;

/** How many weights, and values of each. */
const [WEIGHTS, VALUES] = [128, 2];
/** Relative difference of two copies of a weight, one of which was bfloat16 for a time. */
const ROUNDING = 2 ** -7;
/** Below this, half precision has few digits. */
const TINY = 1e-5;

/** Weights that an adapter leaves as they are, heads excepted, which may be new. */
function frozenWeights(layer: AnyLayer, params: Params, rounded: ReadonlySet<Path>): readonly Path[] {
  return [...walk(layer)].flatMap(([owner, { params: own, role }]) =>
    role === "head" || role === "labels" ? [] : Object.entries(own).flatMap(([name, spec]) => {
      const path = join(owner, name);
      const isPlain = spec.adapter === undefined && spec.shared === undefined && !spec.trainable;
      const form = params[path] && storedForm(params[path]);
      return isPlain && !rounded.has(path) && params[path] !== undefined && (form === undefined || isHalfForm(form))
        ? [path]
        : [];
    })
  );
}

async function firstValues(tensor: tf.Tensor, count: number): Promise<readonly number[]> {
  const first = tf.tidy(() => tf.slice(tf.reshape(tensor, [tensor.size]), 0, Math.min(count, tensor.size)));
  const values = Array.from(await first.data(), (value) => Number(value.toPrecision(6)));
  first.dispose();
  return values;
}

/**
 * What an adapter remembers of its base.
 *
 * @param layer The adapted model
 * @param params Its parameters, those of the base among them
 * @param rounded Those of a few bits, whose values are not the base's own (default none)
 */
export async function sampleBase(
  layer: AnyLayer,
  params: Params,
  rounded: ReadonlySet<Path> = new Set(),
): Promise<BaseSample> {
  const paths = frozenWeights(layer, params, rounded);
  const step = Math.max(1, paths.length / WEIGHTS);
  const chosen = [...new Set(Array.from({ length: WEIGHTS }, (_, i) => paths[Math.floor(i * step)]))];
  const sample: Record<Path, readonly number[]> = {};
  const known = chosen.filter((path) => path !== undefined);
  const halves = known.filter((path) => storedForm(params[path]) !== undefined);
  const begun = beginnings(halves, () => VALUES, params);
  try {
    for (const path of known) sample[path] = await firstValues(begun[path] ?? params[path], VALUES);
    return sample;
  } finally {
    tf.dispose(begun as Record<Path, tf.Tensor>);
  }
}

/**
 * A sample as a file has it; nothing of what is none.
 *
 * @param value What stands there
 */
export function readSample(value: unknown): BaseSample | undefined {
  const isNumbers = (each: unknown) => Array.isArray(each) && each.every((one) => typeof one === "number");
  return isObject(value) && Object.values(value).every(isNumbers) ? value as BaseSample : undefined;
}

/** Tensors of the values that weights in halves begin with, which only compiled functions can read. */
function beginnings(paths: readonly Path[], count: (path: Path) => number, params: Params): Params {
  const first = Object.fromEntries(paths.map((path) => [path, firstOf(params[path], count(path))]));
  if (paths.every((path) => first[path] !== undefined)) return first as Params;
  const read = compile((...given: readonly tf.Tensor[]): Params =>
    Object.fromEntries(paths.map((path, i) => {
      const { size } = given[i];
      return [path, tf.slice(tf.reshape(given[i], [size]), [0], [Math.min(count(path), size)])];
    }))
  );
  try {
    return read(...paths.map((path) => params[path]));
  } finally {
    read.dispose();
  }
}

/**
 * Compares a model with what an adapter remembers of its base, to the rounding of bfloat16.
 *
 * @param folder The adapter's
 * @param sample What it remembers
 * @param params The model's parameters
 * @param rounded Those of a few bits, which are not compared (default none)
 * @throws OneloraError naming a weight that is another
 */
export async function checkBase(
  folder: string,
  sample: BaseSample,
  params: Params,
  rounded: ReadonlySet<Path> = new Set(),
): Promise<void> {
  const compared = Object.fromEntries(Object.entries(sample).filter(([path]) => !rounded.has(path)));
  const formOf = (path: Path) => params[path] === undefined ? undefined : storedForm(params[path]);
  const isHalf = (form: StoredForm | undefined) => form !== undefined && isHalfForm(form);
  const begun = beginnings(
    Object.keys(compared).filter((path) => isHalf(formOf(path))),
    (path) => compared[path].length,
    params,
  );
  try {
    await compare(folder, compared, { ...params, ...begun });
  } finally {
    tf.dispose(begun as Record<Path, tf.Tensor>);
  }
}

async function compare(folder: string, sample: BaseSample, params: Params): Promise<void> {
  for (const [path, values] of Object.entries(sample)) {
    const own = params[path];
    if (own === undefined || storedForm(own) !== undefined) continue;
    const found = await firstValues(own, values.length);
    const isSame = values.every((value, i) =>
      Math.abs(found[i] - value) <= ROUNDING * Math.max(Math.abs(value), Math.abs(found[i])) + TINY
    );
    if (isSame) continue;
    const text = (some: readonly number[]) => some.map((each) => each.toPrecision(4)).join(", ");
    throw new OneloraError({
      attempted: `loading ${folder}`,
      found: `an adapter of another base model: there "${path}" begins ${text(values)}, here ${text(found)}`,
      allowed: "the model that it was trained on",
    });
  }
}
