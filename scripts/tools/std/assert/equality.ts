import { AssertionError as NodeAssertionError, deepStrictEqual } from "node:assert";
import { inspect, isDeepStrictEqual } from "node:util";
import { assert, AssertionError, suffix } from "./assertion_error.ts";

/** A value as it is shown in a failure. */
export function show(value: unknown): string {
  return inspect(value, { depth: 10, sorted: true, compact: false, maxArrayLength: 100, breakLength: Infinity });
}

/** A value on one line, for short failures. */
export function brief(value: unknown): string {
  return inspect(value, { depth: 5, sorted: true, compact: true, maxArrayLength: 20, breakLength: Infinity });
}

/**
 * A copy in which the two things that the original takes for equal and node does not are the same: 0 and -0, and
 * objects with and without `Object.prototype`. All else (classes, NaN, typed arrays, cycles) is node's own strict
 * deep equality.
 */
function loosened(value: unknown, seen: Map<unknown, unknown>): unknown {
  if (value === 0) return 0;
  if (typeof value !== "object" || value === null) return value;
  if (seen.has(value)) return seen.get(value);
  if (value instanceof Float32Array || value instanceof Float64Array) return value.map((x) => x === 0 ? 0 : x);
  const prototype = Object.getPrototypeOf(value);
  if (Array.isArray(value)) {
    const copy: unknown[] = new Array(value.length);
    seen.set(value, copy);
    value.forEach((held, index) => copy[index] = loosened(held, seen));
    return copy;
  }
  if (prototype === Map.prototype) {
    const copy = new Map<unknown, unknown>();
    seen.set(value, copy);
    for (const [key, held] of value as Map<unknown, unknown>) copy.set(loosened(key, seen), loosened(held, seen));
    return copy;
  }
  if (prototype === Object.prototype || prototype === null) {
    const copy: Record<PropertyKey, unknown> = {};
    seen.set(value, copy);
    for (const key of Reflect.ownKeys(value)) {
      if (!Object.prototype.propertyIsEnumerable.call(value, key)) continue;
      const held = loosened((value as Record<PropertyKey, unknown>)[key], seen);
      Object.defineProperty(copy, key, { value: held, enumerable: true, configurable: true, writable: true });
    }
    return copy;
  }
  return value;
}

/**
 * Deep equality: NaN equals NaN, 0 equals -0, classes and typed arrays compare by kind and contents.
 *
 * @param a One value
 * @param b The other
 */
export function equal(a: unknown, b: unknown): boolean {
  return isDeepStrictEqual(loosened(a, new Map()), loosened(b, new Map()));
}

/** Lines of a diff that are shown; beyond them a count says how many are left out. */
const DIFF_LINES = 80;

/** Node's line diff of two values that differ; texts of several lines are compared line by line. */
function difference(actual: unknown, expected: unknown): string {
  const lines = (value: unknown) => typeof value === "string" && value.includes("\n") ? value.split("\n") : value;
  try {
    deepStrictEqual(loosened(lines(actual), new Map()), loosened(lines(expected), new Map()));
  } catch (error) {
    if (!(error instanceof NodeAssertionError)) throw error;
    const all = error.message.split("\n").slice(1).join("\n").trim().split("\n");
    const shown = all.slice(0, DIFF_LINES);
    return [...shown, ...(all.length > DIFF_LINES ? [`... ${all.length - DIFF_LINES} more lines`] : [])].join("\n");
  }
  return `+ ${show(actual)}\n- ${show(expected)}`;
}

/**
 * Two values are deeply equal.
 *
 * @param actual What was computed
 * @param expected What it should be
 * @param msg Said on failure
 */
export function assertEquals<T>(actual: T, expected: T, msg?: string): void {
  if (equal(actual, expected)) return;
  throw new AssertionError(
    `Values are not equal${suffix(msg)}\n\n    [Diff] + Actual / - Expected\n\n${difference(actual, expected)}\n`,
  );
}

/**
 * Two values are not deeply equal.
 *
 * @param actual What was computed
 * @param expected What it should not be
 * @param msg Said on failure
 */
export function assertNotEquals<T>(actual: T, expected: T, msg?: string): void {
  if (!equal(actual, expected)) return;
  throw new AssertionError(
    `Expected actual: ${brief(actual)} not to be: ${brief(expected)}${suffix(msg)}`,
  );
}

/**
 * Two values are the same by `Object.is`.
 *
 * @param actual What was computed
 * @param expected What it should be
 * @param msg Said on failure
 */
export function assertStrictEquals<T>(actual: unknown, expected: T, msg?: string): asserts actual is T {
  if (Object.is(actual, expected)) return;
  const [left, right] = [show(actual), show(expected)];
  throw new AssertionError(
    left === right
      ? `Values have the same structure but are not reference-equal${suffix(msg)}\n\n${left}\n`
      : `Values are not strictly equal${
        suffix(msg)
      }\n\n    [Diff] + Actual / - Expected\n\n+   ${left}\n-   ${right}\n`,
  );
}

/**
 * Two values are not the same by `Object.is`.
 *
 * @param actual What was computed
 * @param expected What it should not be
 * @param msg Said on failure
 */
export function assertNotStrictEquals<T>(actual: T, expected: T, msg?: string): void {
  if (!Object.is(actual, expected)) return;
  throw new AssertionError(`Expected "actual" to not be strictly equal to: ${show(actual)}${suffix(msg)}\n`);
}

/**
 * An array holds every one of the expected values (deep equality, any order).
 *
 * @param actual What was computed
 * @param expected What it should hold
 * @param msg Said on failure
 */
export function assertArrayIncludes<T>(actual: ArrayLike<T>, expected: ArrayLike<T>, msg?: string): void {
  const held = Array.from(actual);
  const missing = Array.from(expected).filter((wanted) => !held.some((each) => equal(wanted, each)));
  assert(
    missing.length === 0,
    `Expected actual: "${brief(held)}" to include: "${brief(Array.from(expected))}"${suffix(msg)}\nmissing: ${
      brief(missing)
    }`,
  );
}
