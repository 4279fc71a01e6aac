/**
 * The deno that runs child processes, and the permissions that it gives them.
 *
 * @module
 */

/** Root of the checkout. */
const root = new URL("../", import.meta.url);

/**
 * The command that starts deno again: the very one that is running where the permission names it, else the one on
 * the path, which is what `--allow-run=deno` stands for (under `npx` too).
 */
export async function denoCommand(): Promise<string> {
  const self = Deno.execPath();
  const { state } = await Deno.permissions.query({ name: "run", command: self });
  return state === "granted" ? self : "deno";
}

/**
 * The permissions of a task of deno.json, as arguments of `deno run`.
 *
 * @param task Its name
 */
export async function taskPermissions(task: string): Promise<readonly string[]> {
  const { tasks } = JSON.parse(await Deno.readTextFile(new URL("deno.json", root)));
  return (tasks[task].command as string).split(" ").filter((word) => /^--(allow|ignore)-/.test(word));
}
