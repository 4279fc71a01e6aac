/**
 * Jinja's tests: what stands behind `is`.
 *
 * @module
 */
import { compared, isIn, operated } from "./operators.ts";
import {
  type Args,
  Callable,
  Dict,
  isEqual,
  isNumber,
  Iter,
  Safe,
  Tuple,
  Undefined,
  type Value,
  written,
} from "./values.ts";

const COMPARING: Readonly<Record<string, string>> = {
  eq: "==",
  equalto: "==",
  ne: "!=",
  lt: "<",
  lessthan: "<",
  le: "<=",
  gt: ">",
  greaterthan: ">",
  ge: ">=",
  in: "in",
};

/** Names of filters, for `is filter`. */
export type HasFilter = (name: string) => boolean;

const isText = (value: Value) => typeof value === "string" || value instanceof Safe;
const isList = (value: Value) =>
  Array.isArray(value) || value instanceof Tuple || value instanceof Iter && value.view === "range";

/** Tests of one value. */
const ALONE: Readonly<Record<string, (value: Value) => boolean>> = {
  boolean: (value) => typeof value === "boolean",
  callable: (value) => value instanceof Callable || value instanceof Undefined,
  defined: (value) => !(value instanceof Undefined),
  even: (value) => isEqual(operated("%", value, 2n), 0n),
  false: (value) => value === false,
  float: (value) => typeof value === "number",
  integer: (value) => typeof value === "bigint",
  iterable: (value) =>
    isText(value) || isList(value) || value instanceof Dict || value instanceof Iter || value instanceof Undefined,
  lower: (value) => written(value) !== written(value).toUpperCase() && written(value) === written(value).toLowerCase(),
  mapping: (value) => value instanceof Dict,
  none: (value) => value === null,
  number: isNumber,
  odd: (value) => isEqual(operated("%", value, 2n), 1n),
  // Whatever has a length and items by place or key.
  sequence: (value) => isText(value) || isList(value) || value instanceof Dict,
  string: isText,
  true: (value) => value === true,
  undefined: (value) => value instanceof Undefined,
  upper: (value) => written(value) !== written(value).toLowerCase() && written(value) === written(value).toUpperCase(),
};

/** Whether two values are the same object, where that can be told. */
function isSame(a: Value, b: Value): boolean {
  const isPlain = [a, b].some((value) => value === null || typeof value === "boolean");
  if (!isPlain) throw new Error('the test "sameas" of values that have no object of their own here');
  return a === b;
}

/** Whether there is a test of a name. */
export function hasTest(name: string): boolean {
  return Object.hasOwn(ALONE, name) || Object.hasOwn(COMPARING, name) || Object.values(COMPARING).includes(name) ||
    ["divisibleby", "escaped", "filter", "sameas", "test"].includes(name);
}

/**
 * Whether a value passes a test.
 *
 * @param name The test
 * @param value The value
 * @param given What stands behind the test's name
 * @param hasFilter Which filters there are
 */
export function passes(name: string, value: Value, { args, named }: Args, hasFilter: HasFilter): boolean {
  const alone = Object.hasOwn(ALONE, name) ? ALONE[name] : undefined;
  const wanted = alone === undefined && name !== "escaped" && name !== "filter" && name !== "test" ? 1 : 0;
  if (!hasTest(name)) throw new Error(`the test "${name}"`);
  if (args.length !== wanted || named.size > 0) throw new Error(`the test "${name}" with ${args.length} values`);
  if (alone !== undefined) return alone(value);
  const [other] = args;
  switch (name) {
    case "divisibleby":
      return isEqual(operated("%", value, other), 0n);
    case "escaped":
      return value instanceof Safe;
    case "filter":
      return typeof value === "string" && hasFilter(value);
    case "sameas":
      return isSame(value, other);
    case "test":
      return typeof value === "string" && hasTest(value);
    case "in":
      return isIn(value, other);
  }
  return compared(COMPARING[name] ?? name, value, other);
}
