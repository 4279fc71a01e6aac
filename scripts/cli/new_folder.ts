/**
 * Folders that a command fills.
 *
 * @module
 */
import { OneloraError } from "../../dsl/mod.ts";

/**
 * Refuses a folder with anything in it, so that nothing is written over, least of all what is read.
 *
 * @param attempted What it is for
 * @param folder The folder
 */
export async function newOrEmpty(attempted: string, folder: string): Promise<void> {
  const refuse = (found: string, cause?: unknown) =>
    new OneloraError({ attempted, found, allowed: "a new or empty folder" }, { cause });
  try {
    for await (const { name } of Deno.readDir(folder)) throw refuse(`"${name}" in it`);
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) return;
    throw cause instanceof OneloraError ? cause : refuse((cause as Error).message, cause);
  }
}
