/**
 * How to make something again, as plain data: what one thread tells another.
 *
 * @module
 */

/** A call of a module's exported function; any thread that makes it gets the same. */
export interface Origin {
  /** Address of the module, e.g. `import.meta.url`. */
  readonly module: string;
  /** Name of the exported function. */
  readonly name: string;
  /** What it is called with: plain data. */
  readonly arguments: readonly unknown[];
  /** Files and folders that this reads, all of them; undefined where they are not known. */
  readonly reads?: readonly string[];
  /** Which property of the result is meant, if not all of it. */
  readonly part?: string;
}

/**
 * What an origin describes.
 *
 * @param origin The call; what it gives is taken to be of the type
 *
 * @example
 * ```ts
 * import { remake } from "./origin.ts";
 * import { assertEquals } from "@std/assert";
 * const module = "data:text/javascript,export function pair(a, b) { return { first: a, second: b } }";
 * assertEquals(await remake<number>({ module, name: "pair", arguments: [1, 2], part: "second" }), 2);
 * ```
 */
export async function remake<Made>(origin: Origin): Promise<Made> {
  const module = await import(origin.module) as Readonly<Record<string, (...args: readonly unknown[]) => unknown>>;
  const made = await module[origin.name](...origin.arguments);
  return (origin.part === undefined ? made : (made as Readonly<Record<string, unknown>>)[origin.part]) as Made;
}

/** Root of the package. */
const root = new URL("../../", import.meta.url).href;

/**
 * What several origins read together; undefined if that is not known of one, or its module is none of this package.
 *
 * @param all The origins
 */
export function readsOf(all: readonly Origin[]): readonly string[] | undefined {
  const known = all.flatMap(({ module, reads }) => reads === undefined || !module.startsWith(root) ? [] : [reads]);
  return known.length < all.length ? undefined : known.flat();
}

/** By what they made. A property would survive copies that do something else: `{ ...dataset, get: other }`. */
const origins = new WeakMap<object, Origin>();

/**
 * Notes where a function comes from.
 *
 * @param made A data set's `get`, a transform's `apply`
 * @param origin What makes the object that has it
 * @returns The function itself
 */
export function withOrigin<Made extends object>(made: Made, origin: Origin): Made {
  origins.set(made, origin);
  return made;
}

/**
 * Where a function comes from, if that was noted.
 *
 * @param made The function
 */
export function originOf(made: object): Origin | undefined {
  return origins.get(made);
}

/**
 * Notes where the two parts of a data set come from.
 *
 * @param parts What the function made
 * @param origin The function that made them
 */
export function withOrigins<Parts extends Readonly<Record<"train" | "test", { readonly get: object }>>>(
  parts: Parts,
  origin: Origin,
): Parts {
  for (const part of ["train", "test"] as const) withOrigin(parts[part].get, { ...origin, part });
  return parts;
}
