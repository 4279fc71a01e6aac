/**
 * Which of a model's classes a data set's are: by name, for the order of folders is not the order of a model's classes.
 *
 * @module
 */

import { isEqual } from "../../dsl/equal.ts";

/** A data set's classes as a model's. */
export interface ClassMatch {
  /** The model's number for each class of the data; -1 for one that the model does not have. */
  readonly indices: Int32Array;
  /** How they were compared: by name, or by a number where the model's or the data's classes have no names. */
  readonly by: "name" | "number";
  /** What a person should know of it, if anything. */
  readonly note?: string;
}

const nameless = /^LABEL_\d+$/;
const digits = /^\d+$/;
const wordNet = /^n\d{8}$/;

/** A name without what people write differently: case, underscores and hyphens for blanks, composed letters. */
function plain(name: string): string {
  return name.normalize("NFC").toLowerCase().replace(/[\s_-]+/g, " ").trim();
}

/** The names in a list of synonyms as WordNet has them: "tabby, tabby cat". */
function synonyms(name: string): readonly string[] {
  return name.split(",").map(plain).filter(Boolean);
}

/** The entries that share each form. */
function byForm(names: readonly string[], forms: (name: string) => readonly string[]): ReadonlyMap<string, number[]> {
  const found = new Map<string, number[]>();
  names.forEach((name, i) => {
    for (const form of new Set(forms(name))) found.set(form, [...found.get(form) ?? [], i]);
  });
  return found;
}

/** Ways in which names are the same, the strictest first. */
const FORMS: readonly ((name: string) => readonly string[])[] = [
  (name) => [name],
  (name) => [plain(name)],
  (name) => synonyms(name),
];

/** The model's class that each of the data's is by name: the only one by the strictest way that has any; else -1. */
function namedIndices(model: readonly string[], data: readonly string[]): Int32Array {
  // Two classes may have one name (ImageNet has two cranes), and yet be the same ones in the same order.
  if (isEqual(model, data)) return Int32Array.from(data, (_, i) => i);
  const tables = FORMS.map((forms) => byForm(model, forms));
  return Int32Array.from(data, (name) => {
    for (const [i, table] of tables.entries()) {
      const found = new Set(FORMS[i](name).flatMap((form) => table.get(form) ?? []));
      if (found.size > 0) return found.size === 1 ? [...found][0] : -1;
    }
    return -1;
  });
}

/** Whether names are all of a kind. */
function all(names: readonly string[], kind: RegExp): boolean {
  return names.every((name) => kind.test(name));
}

/**
 * Which of a model's classes a data set's are.
 *
 * Names are the same if they are equal, or equal but for case, underscores, hyphens and blanks, or if one is among the
 * other's synonyms ("tabby, tabby cat"); two that could be meant are none. Where the model's classes have no names (LABEL_0,
 * LABEL_1, ...) or the data's are numbers, they are compared by number, and a note says so: numbers by their values; names
 * by their order if there are as many. ImageNet's 1,000 folders, named by WordNet's numbers, are in the order of its classes.
 *
 * @param model Names of the model's classes
 * @param data Names of the data's
 *
 * @example
 * ```ts
 * import { matchClasses } from "./classes.ts";
 * import { assertEquals } from "@std/assert";
 * assertEquals([...matchClasses(["dog", "tabby, tabby cat"], ["Tabby_cat", "dog"]).indices], [1, 0]);
 * assertEquals([...matchClasses(["dog", "cat"], ["cat", "emu"]).indices], [1, -1]);
 * ```
 */
export function matchClasses(model: readonly string[], data: readonly string[]): ClassMatch {
  const indices = namedIndices(model, data);
  const isOneToOne = new Set(indices).size === indices.length;
  if (!indices.includes(-1) && isOneToOne) return { indices, by: "name" };
  const noted = (numbers: Int32Array): ClassMatch => {
    const last = data.length - 1;
    const pairs = `${model[numbers[0]]} is "${data[0]}", ${model[numbers[last]]} is "${data[last]}"`;
    return { indices: numbers, by: "number", note: `classes compared by number: ${pairs}` };
  };
  const inOrder = () => noted(Int32Array.from(data, (_, i) => i));
  const [noNames, numbers] = [all(model, nameless), all(data, digits)];
  if ((noNames || numbers) && !all(data, nameless)) {
    const values = Int32Array.from(data, (name) => numbers ? Number(name) : -1);
    const isWhole = noNames || data.length === model.length;
    if (numbers && isWhole && new Set(values).size === data.length && values.every((value) => value < model.length)) {
      return noted(values);
    }
    if (noNames && !numbers && data.length === model.length) return inOrder();
  }
  if (all(data, wordNet) && data.length === 1000 && model.length === 1000) return inOrder();
  // Of several that are the same class to the model, none is taken: they would count as one.
  return {
    indices: indices.map((index, i) => indices.indexOf(index) === i && indices.lastIndexOf(index) === i ? index : -1),
    by: "name",
  };
}

/**
 * The model's number for each class of the data if both have the same classes by name, in whatever order; else nothing.
 *
 * @param model Names of the model's classes
 * @param data Names of the data's
 */
export function sameClasses(model: readonly string[], data: readonly string[]): Int32Array | undefined {
  const { indices, by } = matchClasses(model, data);
  return by === "name" && !indices.includes(-1) && model.length === data.length ? indices : undefined;
}

/** Names in words, the first few of many. */
export function someNames(names: readonly string[], most: number = 20): string {
  const shown = names.slice(0, most).map((name) => name.replace(/[\p{Cc}\p{Cf}]/gu, "?").slice(0, 80)).join(", ");
  return names.length > most ? `${shown}, ... (${names.length.toLocaleString("en-US")} in all)` : shown;
}
