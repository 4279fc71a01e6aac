/**
 * Several files or folders in one flag.
 *
 * @module
 */
import { placeAt } from "../../tasks/data/files.ts";

const isThere = async (path: string): Promise<boolean> => await placeAt(path) !== undefined;

/**
 * The files or folders that a text names, between commas. What is there counts: a name may have commas of its own.
 *
 * @param text What is written
 *
 * @example
 * ```ts
 * import { placesIn } from "./places.ts";
 * import { assertEquals } from "@std/assert";
 * assertEquals(await placesIn("no/a, no/b"), ["no/a", "no/b"]);
 * ```
 */
export async function placesIn(text: string): Promise<readonly string[]> {
  if (await isThere(text)) return [text];
  const parts = text.split(",");
  const named = (begin: number, end: number) => parts.slice(begin, end).join(",").trim();
  // From the right: of what begins at each part, as many as are there, the shortest first.
  const ways: { readonly missing: number; readonly names: readonly string[] }[] = [];
  ways[parts.length] = { missing: 0, names: [] };
  for (let begin = parts.length - 1; begin >= 0; begin--) {
    const alone = named(begin, begin + 1);
    const after = ways[begin + 1];
    let best = alone === "" || await isThere(alone)
      ? { missing: after.missing, names: alone === "" ? after.names : [alone, ...after.names] }
      : { missing: after.missing + 1, names: [alone, ...after.names] };
    for (let end = begin + 2; end <= parts.length && best.missing > 0; end++) {
      const { missing, names } = ways[end];
      if (missing < best.missing && await isThere(named(begin, end))) {
        best = { missing, names: [named(begin, end), ...names] };
      }
    }
    ways[begin] = best;
  }
  return ways[0].names;
}
