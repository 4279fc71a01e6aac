/**
 * Commands of the system, which may not be there.
 *
 * @module
 */

/**
 * How a command ended that only says its version; undefined if it cannot be started.
 *
 * @param command Its name
 */
export async function tried(command: string): Promise<Deno.CommandStatus | undefined> {
  try {
    return await new Deno.Command(command, { args: ["--version"], stdout: "null", stderr: "null" }).spawn().status;
  } catch {
    return undefined;
  }
}
