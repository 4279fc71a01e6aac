/**
 * What functions of templates are given.
 *
 * @module
 */
import { type Args, isTrue, typeName, type Value } from "./values.ts";

/**
 * The arguments of a function by its parameters' names.
 *
 * @param given What it is given
 * @param name The function
 * @param parameters Its parameters
 * @throws Error for one that it does not have
 */
export function bound<Name extends string>(
  { args, named }: Args,
  name: string,
  ...parameters: readonly Name[]
): Readonly<Partial<Record<Name, Value>>> {
  if (args.length > parameters.length) throw new Error(`${name} with ${args.length} values`);
  const found: Partial<Record<string, Value>> = Object.fromEntries(args.map((value, i) => [parameters[i], value]));
  for (const [each, value] of named) {
    if (!(parameters as readonly string[]).includes(each)) throw new Error(`${name} with "${each}"`);
    if (each in found) throw new Error(`${name} with "${each}" twice`);
    found[each] = value;
  }
  return found as Readonly<Partial<Record<Name, Value>>>;
}

/** A text that must be one. */
export function textArgument(value: Value | undefined, name: string): string {
  if (typeof value === "string") return value;
  throw new Error(`${name} with ${value === undefined ? "nothing" : `a value of type ${typeName(value)}`}`);
}

/** Most places that a function fills, or items that it makes, at once. */
const MOST_AT_ONCE = 2 ** 20;

/** A whole number, `otherwise` where nothing or None is given. */
export function countArgument(
  value: Value | undefined,
  name: string,
  otherwise: number,
  most: number = MOST_AT_ONCE,
): number {
  if (value === undefined || value === null) return otherwise;
  if (typeof value === "bigint" || typeof value === "boolean") {
    if (Number(value) > most) throw new Error(`${name} with ${value}, more than a chat needs`);
    return Number(value);
  }
  throw new Error(`${name} with a value of type ${typeName(value)}`);
}

/** Whether a value that may be missing counts as true. */
export function flagArgument(value: Value | undefined, otherwise: boolean): boolean {
  return value === undefined ? otherwise : isTrue(value);
}
