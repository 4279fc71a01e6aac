/**
 * Reading fields of a checkpoint's `config.json`, with one clear line for each thing that may be wrong.
 *
 * @module
 */
import { OneloraError } from "../dsl/error.ts";

/** A parsed `config.json`. */
export type Json = Readonly<Record<string, unknown>>;

function wrong(name: string, value: unknown, allowed: string): OneloraError {
  return new OneloraError({ attempted: `reading "${name}" of config.json`, found: JSON.stringify(value), allowed });
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
  if (typeof value !== "number" || !Number.isFinite(value) || value <= 0) throw wrong(name, value, "a positive number");
  return value;
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
  if (typeof value !== "boolean") throw wrong(name, value, "true or false");
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
  if (found === undefined) throw wrong(name, value, allowed.join(", "));
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
  if (pair.length !== 2 || !pair.every((side) => Number.isInteger(side) && side > 0)) {
    throw wrong(name, value, "a positive integer or [height, width]");
  }
  return [pair[0], pair[1]];
}

/**
 * Number of classes: `num_labels`, or the size of `id2label`, or 2 (the reference's default).
 *
 * @param json The configuration
 */
export function labelCount(json: Json): number {
  const labels = json.id2label;
  if (typeof labels === "object" && labels !== null) return Object.keys(labels).length;
  return numberField(json, "num_labels", 2);
}
