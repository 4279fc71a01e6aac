/**
 * The deno that runs child processes.
 *
 * @module
 */

/**
 * The command that starts deno again: the very one that is running where the permission names it, else the one on
 * the path, which is what `--allow-run=deno` stands for (under `npx` too).
 */
export async function denoCommand(): Promise<string> {
  const self = Deno.execPath();
  const { state } = await Deno.permissions.query({ name: "run", command: self });
  return state === "granted" ? self : "deno";
}
