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
 * import { remake } from "@onelora/onelora/tasks";
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

/**
 * Two parts of a data set, each with where it comes from.
 *
 * @param parts What the function made
 * @param origin The function that made them
 */
export function withOrigins<Part extends object>(
  parts: { readonly train: Part; readonly test: Part },
  origin: Origin,
): { readonly train: Part & { readonly origin: Origin }; readonly test: Part & { readonly origin: Origin } } {
  return {
    train: { ...parts.train, origin: { ...origin, part: "train" } },
    test: { ...parts.test, origin: { ...origin, part: "test" } },
  };
}
