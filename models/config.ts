/**
 * Reading fields of a checkpoint's `config.json`, with one clear line for each thing that may be wrong.
 *
 * @module
 */
import { OneloraError } from "../dsl/error.ts";
import { type Json, show } from "../dsl/files/json.ts";

export type { Json };

/** Most layers; the deepest published models have less than a fifth of them. */
const MOST_LAYERS = 1024;
/** Most of anything else that is counted: channels, tokens, positions. */
const MOST_SIZE = 2 ** 24;
/** Most entries of a list. */
const MOST_ENTRIES = 64;
/** Largest side of a picture, pixels. */
const MOST_SIDE = 2 ** 14;

/**
 * The error for a field that cannot be used.
 *
 * @param name Field
 * @param value What it holds
 * @param allowed What it may hold
 */
export function wrongField(name: string, value: unknown, allowed: string): OneloraError {
  return new OneloraError({ attempted: `reading "${name}" of config.json`, found: show(value), allowed });
}

/**
 * A positive number.
 *
 * @param json The configuration
 * @param name Field
 * @param fallback Value when absent (the class default of the reference implementation)
 */
export function numberField(json: Json, name: string, fallback: number): number {
  const value = json[name] ?? fallback;
  if (typeof value !== "number" || !Number.isFinite(value) || value <= 0) {
    throw wrongField(name, value, "a positive number");
  }
  return value;
}

/**
 * A positive integer.
 *
 * @param json The configuration
 * @param name Field
 * @param fallback Value when absent
 */
export function wholeField(json: Json, name: string, fallback: number): number {
  const value = numberField(json, name, fallback);
  const most = /layers|blocks|^depth$/.test(name) ? MOST_LAYERS : MOST_SIZE;
  if (!Number.isInteger(value)) throw wrongField(name, value, "a positive integer");
  if (value > most) throw wrongField(name, value, `at most ${most}`);
  return value;
}

/**
 * A width that attention heads divide among them.
 *
 * @param json The configuration
 * @param defaults Values when absent
 */
export function headsField(
  json: Json,
  defaults: { readonly hidden: number; readonly heads: number },
): { readonly hidden: number; readonly heads: number } {
  const hidden = wholeField(json, "hidden_size", defaults.hidden);
  const heads = wholeField(json, "num_attention_heads", defaults.heads);
  if (hidden % heads !== 0) throw wrongField("hidden_size", hidden, `a multiple of ${heads} heads`);
  return { hidden, heads };
}

/**
 * Several positive numbers.
 *
 * @param json The configuration
 * @param name Field
 * @param fallback Values when absent
 */
export function numbersField(json: Json, name: string, fallback: readonly number[]): readonly number[] {
  const value = json[name] ?? fallback;
  const isNumber = (each: unknown) => Number.isFinite(each) && each as number > 0 && each as number <= MOST_SIZE;
  const valid = Array.isArray(value) && value.length > 0 && value.length <= MOST_ENTRIES && value.every(isNumber);
  if (!valid) {
    throw wrongField(name, value, `a list of 1 to ${MOST_ENTRIES} positive numbers, each at most ${MOST_SIZE}`);
  }
  return value;
}

/**
 * An object, empty where the field is absent.
 *
 * @param json The configuration
 * @param name Field
 */
export function objectField(json: Json, name: string): Json {
  const value = json[name] ?? {};
  if (typeof value !== "object" || Array.isArray(value)) throw wrongField(name, value, "an object");
  return value as Json;
}

/**
 * True or false.
 *
 * @param json The configuration
 * @param name Field
 * @param fallback Value when absent
 */
export function booleanField(json: Json, name: string, fallback: boolean): boolean {
  const value = json[name] ?? fallback;
  if (typeof value !== "boolean") throw wrongField(name, value, "true or false");
  return value;
}

/**
 * One of several names.
 *
 * @param json The configuration
 * @param name Field
 * @param allowed The names
 * @param fallback Value when absent
 */
export function choiceField<Name extends string>(
  json: Json,
  name: string,
  allowed: readonly Name[],
  fallback: Name,
): Name {
  const value = json[name] ?? fallback;
  const found = allowed.find((each) => each === value);
  if (found === undefined) throw wrongField(name, value, allowed.join(", "));
  return found;
}

/**
 * A side or a pair [height, width].
 *
 * @param json The configuration
 * @param name Field
 * @param fallback Side when absent
 */
export function sideField(json: Json, name: string, fallback: number): readonly [number, number] {
  const value = json[name] ?? fallback;
  const pair = Array.isArray(value) ? value : [value, value];
  if (pair.length !== 2 || !pair.every((side) => Number.isInteger(side) && side > 0 && side <= MOST_SIDE)) {
    throw wrongField(name, value, `a positive integer or [height, width], each at most ${MOST_SIDE}`);
  }
  return [pair[0], pair[1]];
}

/**
 * Class names where nobody gave any: LABEL_0, LABEL_1, ...
 *
 * @param count How many
 */
export function labelNames(count: number): readonly string[] {
  return Array.from({ length: count }, (_, i) => `LABEL_${i}`);
}

/**
 * Names of the classes: `id2label` in the order of its ids, or `num_labels` nameless ones, or 2 (the reference's default).
 *
 * @param json The configuration
 */
export function labelsField(json: Json): readonly string[] {
  const labels = json.id2label;
  if (labels === undefined || labels === null) return labelNames(wholeField(json, "num_labels", 2));
  const named = typeof labels === "object" ? labels as Json : {};
  const names = Object.keys(named).map((_, i) => named[`${i}`]);
  if (names.length === 0 || !names.every((name) => typeof name === "string")) {
    throw wrongField("id2label", labels, "a name for every id 0, 1, ...");
  }
  return names as string[];
}
