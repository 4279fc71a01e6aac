/**
 * Whether two values of plain data are the same.
 *
 * @module
 */

/** Names and values of what has any; nothing for a value that is its own. */
function entriesOf(value: unknown): readonly (readonly [string, unknown])[] | undefined {
  return typeof value === "object" && value !== null ? Object.entries(value) : undefined;
}

/**
 * Whether two values of plain data (as JSON has it, and arrays of numbers) are the same, whatever the order of names. Numbers
 * are compared as `Object.is` does.
 *
 * @param a One
 * @param b The other
 *
 * @example
 * ```ts
 * import { isEqual } from "./equal.ts";
 * import { assert } from "@std/assert";
 * assert(isEqual({ a: [1, NaN], b: "x" }, { b: "x", a: [1, NaN] }));
 * assert(!isEqual([1], { 0: 1 }) && !isEqual({ a: undefined }, { b: undefined }));
 * ```
 */
export function isEqual(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  const [entries, others] = [entriesOf(a), entriesOf(b)];
  if (entries === undefined || others === undefined || entries.length !== others.length) return false;
  const isAlike = Object.prototype.toString.call(a) === Object.prototype.toString.call(b);
  const object = b as Readonly<Record<string, unknown>>;
  return isAlike && entries.every(([name, value]) => Object.hasOwn(object, name) && isEqual(value, object[name]));
}
