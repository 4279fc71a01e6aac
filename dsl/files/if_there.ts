/**
 * Small files that need not be there.
 *
 * @module
 */
import { OneloraError } from "../error.ts";
import { guarded } from "./file.ts";
import { isObject, type Json, parseSettings } from "./json.ts";
import { readText, SETTINGS_BYTES } from "./read.ts";
import { isNowhere } from "./store.ts";

/**
 * A file's text; undefined if there is no such file.
 *
 * @param path The file
 * @throws OneloraError for one that is too large or cannot be read
 */
export async function textIfThere(path: string): Promise<string | undefined> {
  return await readText(path, SETTINGS_BYTES).catch((error) => {
    if (isNowhere(error.cause)) return undefined;
    throw error;
  });
}

/**
 * A file's JSON; undefined if there is no such file.
 *
 * @param path The file
 * @param parse What its text stands for
 * @throws OneloraError for a file that has no JSON
 */
export async function jsonIfThere(
  path: string,
  parse: (text: string) => unknown = parseSettings,
): Promise<unknown> {
  const text = await textIfThere(path);
  return text === undefined ? undefined : await guarded(`reading ${path}`, "a JSON file", () => parse(text));
}

/**
 * The JSON object of a file; undefined if there is no such file.
 *
 * @param path The file
 * @throws OneloraError for a file that has no JSON object
 */
export async function objectIfThere(path: string): Promise<Json | undefined> {
  const found = await jsonIfThere(path);
  if (found === undefined || isObject(found)) return found;
  throw new OneloraError({ attempted: `reading ${path}`, found: "no JSON object", allowed: "a JSON object" });
}
