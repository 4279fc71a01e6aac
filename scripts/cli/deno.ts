/**
 * The deno that runs child processes, and the permissions that it gives them.
 *
 * @module
 */

/** Root of the checkout. */
const root = new URL("../../", import.meta.url);

/**
 * The command that starts deno again: the very one that is running where the permission names it, else the one on
 * the path, which is what `--allow-run=deno` stands for (under `npx` too).
 */
export async function denoCommand(): Promise<string> {
  const self = Deno.execPath();
  const { state } = await Deno.permissions.query({ name: "run", command: self });
  return state === "granted" ? self : "deno";
}

/** A word with the environment's variables in it, as the shell of `deno task` has them. */
function expanded(word: string): string {
  return word.replace(/\$(\w+)/g, (_, name) => Deno.env.get(name) ?? "");
}

/** The words of a task's command in deno.json. */
async function wordsOf(task: string): Promise<readonly string[]> {
  const { tasks } = JSON.parse(await Deno.readTextFile(new URL("deno.json", root)));
  return (tasks[task].command as string).split(" ").map(expanded);
}

/**
 * The permissions and the lock file of a task of deno.json, as arguments of `deno run --no-prompt`.
 *
 * @param task Its name
 */
export async function taskPermissions(task: string): Promise<readonly string[]> {
  return (await wordsOf(task)).filter((word) => word.startsWith("--") && word !== "--no-prompt");
}

/**
 * The environment that a task of deno.json sets, by name.
 *
 * @param task Its name
 */
export async function taskEnvironment(task: string): Promise<Readonly<Record<string, string>>> {
  const words = await wordsOf(task);
  const settings = words.slice(0, words.indexOf("deno")).map((word) => word.split(/=(.*)/s));
  return Object.fromEntries(settings.map(([name, value]) => [name, value]));
}
