/**
 * How the package's commands are started from where the program runs.
 *
 * @module
 */
import { fileOf, sep } from "./files/path.ts";
import { isGranted } from "./permission.ts";

/** Root of the package: of a checkout, or where a registry has it. */
const root = new URL("../", import.meta.url);

/** Whether the working folder lies in a checkout of the package, whose deno.json has the commands as tasks. */
export function isInCheckout(): boolean {
  if (root.protocol !== "file:" || globalThis.Deno === undefined) return false;
  // Asking where that is must not be what a user is asked about.
  if (!isGranted({ name: "read", path: "." })) return true;
  return `${Deno.cwd()}${sep}`.startsWith(fileOf(root));
}

/**
 * The command line that starts one of the package's commands, for messages: what a user is told to type is something that
 * the user has.
 *
 * @param name The command's name, e.g. `native`
 *
 * @example
 * ```ts
 * import { commandLine } from "./command_line.ts";
 * import { assertMatch } from "@std/assert";
 * // In a checkout the first, anywhere else the second.
 * assertMatch(commandLine("native"), /^(deno task native|deno run jsr:@onelora\/onelora\/native)$/);
 * ```
 */
export function commandLine(name: string): string {
  return isInCheckout() ? `deno task ${name}` : `deno run jsr:@onelora/onelora/${name}`;
}
