/**
 * Configuration files: JSON or YAML with the names of a command's flags.
 *
 * @module
 */

import { type Either, left, right } from "fp-ts/Either";
import { type TaskEither, tryCatch } from "fp-ts/TaskEither";
import { readText, SETTINGS_BYTES } from "../../dsl/files/read.ts";
import { firstLine, OneloraError, unknownName } from "../../dsl/error.ts";
import { flagMeant } from "./elsewhere.ts";
import { type Flags, kebab, type Options } from "./flags.ts";
import type { Written } from "./parse.ts";

/** What the parser finds odd it says to the terminal, as the file has it; errors are errors still. */
const QUIET = { logLevel: "error" } as const;

/** A file's text as data; YAML unless it is named `.json`. */
async function dataOf(path: string): Promise<unknown> {
  const written = await readText(path, SETTINGS_BYTES);
  // Loaded here, so that commands without a configuration file do without the parser.
  const yaml = await import("yaml");
  if (!path.endsWith(".json")) return yaml.parse(written, QUIET);
  const data = JSON.parse(written);
  // JSON is YAML, whose parser notices a name that is there twice; JSON's takes the last.
  const twice = yaml.parseDocument(written, QUIET).errors.find(({ code }) => code === "DUPLICATE_KEY");
  if (twice !== undefined) throw twice;
  return data;
}

/**
 * A configuration file's values, by flag. Keys are named as on the command line (`batch-size`); null means not given.
 *
 * @param flags What is accepted
 * @param data The file's content
 * @param path The file, for errors
 * @returns The values as written, or a wrong-usage error: not a mapping, unknown key, nested value
 */
export function configValues(flags: Flags, data: unknown, path: string): Either<OneloraError, Written> {
  const misuse = (found: string, allowed: string) =>
    left(new OneloraError({ attempted: `reading ${path}`, found, allowed }, { exitCode: 2 }));
  if (data === null || data === undefined) return right(new Map());
  if (typeof data !== "object" || Array.isArray(data)) {
    return misuse(Array.isArray(data) ? "a list" : `a ${typeof data}`, "names and values");
  }
  const keys = new Map(Object.keys(flags).map((key) => [kebab(key), key]));
  const written = new Map<string, { raw: string; where: string }>();
  for (const [name, value] of Object.entries(data)) {
    const key = keys.get(name);
    const names = [...keys.keys()];
    if (key === undefined) return left(unknownName(`name in ${path}`, name, names, flagMeant(name, names)));
    if (value === null) continue;
    if (!["string", "number", "boolean"].includes(typeof value)) return misuse(`a nested "${name}"`, "a single value");
    written.set(key, { raw: String(value), where: `${name} in ${path}` });
  }
  return right(written);
}

/**
 * Reads a configuration file.
 *
 * @param flags What is accepted
 * @param path A JSON file (`.json`) or a YAML file
 * @returns The values as written, or a wrong-usage error
 */
export function readConfig(flags: Flags, path: string): TaskEither<OneloraError, Written> {
  return async () => {
    const data = await tryCatch(() => dataOf(path), (cause) => {
      const isOurs = cause instanceof OneloraError && cause.cause === undefined;
      const found = isOurs ? cause.problem.found : firstLine(cause instanceof OneloraError ? cause.cause : cause);
      return new OneloraError(
        { attempted: `reading ${path}`, found, allowed: "a readable JSON or YAML file" },
        { exitCode: 2, cause },
      );
    })();
    return data._tag === "Left" ? data : configValues(flags, data.right, path);
  };
}

/**
 * Options as the content of a configuration file that gives them again; options without a value are left out.
 *
 * @param options The options
 */
export function toConfig(options: Options<Flags>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined).map(([key, value]) => [kebab(key), value]),
  );
}
