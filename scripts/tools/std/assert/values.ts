import { assert, AssertionError, suffix } from "./assertion_error.ts";
import { brief } from "./equality.ts";

/** Anything `instanceof` takes. */
// deno-lint-ignore no-explicit-any -- any argument list, as in lib.dom's own constructor types
export type AnyConstructor = abstract new (...args: any[]) => any;

/**
 * Two numbers differ by at most a tolerance: `|actual - expected| <= tolerance`.
 *
 * @param actual What was computed
 * @param expected What it should be
 * @param tolerance Absolute; by default 1e-7 of the expected value (1e-7 itself where that is 0)
 * @param msg Said on failure
 */
export function assertAlmostEquals(actual: number, expected: number, tolerance?: number, msg?: string): void {
  if (Object.is(actual, expected)) return;
  const allowed = tolerance ?? (Number.isFinite(expected) && expected !== 0 ? Math.abs(expected * 1e-7) : 1e-7);
  const delta = Math.abs(expected - actual);
  if (delta <= allowed) return;
  const figure = (n: number) => Number.isInteger(n) ? `${n}` : n.toExponential();
  throw new AssertionError(
    `Expected actual: "${figure(actual)}" to be close to "${figure(expected)}": delta "${figure(delta)}" is greater ` +
      `than "${figure(allowed)}"${suffix(msg)}`,
  );
}

/**
 * A value is neither null nor undefined.
 *
 * @param actual The value
 * @param msg Said on failure
 */
export function assertExists<T>(actual: T, msg?: string): asserts actual is NonNullable<T> {
  assert(
    actual !== undefined && actual !== null,
    `Expected actual: "${actual}" to not be null or undefined${suffix(msg)}`,
  );
}

/**
 * A value is an instance of a class.
 *
 * @param actual The value
 * @param expectedType The class
 * @param msg Said on failure
 */
export function assertInstanceOf<T extends AnyConstructor>(
  actual: unknown,
  expectedType: T,
  msg?: string,
): asserts actual is InstanceType<T> {
  if (actual instanceof expectedType) return;
  const found = actual === null
    ? "null"
    : typeof actual === "object"
    ? `"${actual.constructor?.name ?? "Object"}"`
    : `"${typeof actual}"`;
  throw new AssertionError(
    `Expected object to be an instance of "${expectedType.name || "anonymous class"}" but was ${found}${suffix(msg)}`,
  );
}

/**
 * A string holds another.
 *
 * @param actual The string
 * @param expected What it should hold
 * @param msg Said on failure
 */
export function assertStringIncludes(actual: string, expected: string, msg?: string): void {
  assert(actual.includes(expected), `Expected actual: "${actual}" to contain: "${expected}"${suffix(msg)}`);
}

/**
 * A string matches a pattern.
 *
 * @param actual The string
 * @param expected The pattern
 * @param msg Said on failure
 */
export function assertMatch(actual: string, expected: RegExp, msg?: string): void {
  // A pattern with the g or y flag carries its place from one test to the next; a copy starts at 0.
  assert(new RegExp(expected).test(actual), `Expected actual: "${actual}" to match: "${expected}"${suffix(msg)}`);
}

/**
 * A string does not match a pattern.
 *
 * @param actual The string
 * @param expected The pattern
 * @param msg Said on failure
 */
export function assertNotMatch(actual: string, expected: RegExp, msg?: string): void {
  assert(!new RegExp(expected).test(actual), `Expected actual: "${actual}" to not match: "${expected}"${suffix(msg)}`);
}

/**
 * `actual > expected`.
 *
 * @param actual The greater value
 * @param expected The lesser value
 * @param msg Said on failure
 */
export function assertGreater<T>(actual: T, expected: T, msg?: string): void {
  assert(actual > expected, `Expect ${brief(actual)} > ${brief(expected)}${suffix(msg)}`);
}

/**
 * `actual >= expected`.
 *
 * @param actual The greater value
 * @param expected The lesser value
 * @param msg Said on failure
 */
export function assertGreaterOrEqual<T>(actual: T, expected: T, msg?: string): void {
  assert(actual >= expected, `Expect ${brief(actual)} >= ${brief(expected)}${suffix(msg)}`);
}

/**
 * `actual < expected`.
 *
 * @param actual The lesser value
 * @param expected The greater value
 * @param msg Said on failure
 */
export function assertLess<T>(actual: T, expected: T, msg?: string): void {
  assert(actual < expected, `Expect ${brief(actual)} < ${brief(expected)}${suffix(msg)}`);
}

/**
 * `actual <= expected`.
 *
 * @param actual The lesser value
 * @param expected The greater value
 * @param msg Said on failure
 */
export function assertLessOrEqual<T>(actual: T, expected: T, msg?: string): void {
  assert(actual <= expected, `Expect ${brief(actual)} <= ${brief(expected)}${suffix(msg)}`);
}
