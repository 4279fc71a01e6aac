/**
 * The deno that runs child processes, and the permissions that it gives them.
 *
 * @module
 */
import manifest from "../../deno.json" with { type: "json" };
import { isInCheckout } from "../../dsl/command_line.ts";
import { fileOf } from "../../dsl/files/path.ts";

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
 * A module as an argument of `deno run`: a path in a checkout, an address elsewhere.
 *
 * @param module Its address
 */
export function moduleArgument(module: URL): string {
  return module.protocol === "file:" ? fileOf(module) : module.href;
}

/** What a permission of a set is: everything, some, or some with the rest denied or (variables) invisible. */
type Grant = boolean | readonly string[] | {
  readonly allow: boolean | readonly string[];
  readonly deny?: readonly string[];
  readonly ignore?: boolean;
};

/** A permission of a set as arguments. */
function granted([name, grant]: readonly [string, Grant]): readonly string[] {
  if (typeof grant === "boolean") return grant ? [`--allow-${name}`] : [];
  if (!("allow" in grant)) return [`--allow-${name}=${grant.join(",")}`];
  return [
    ...granted([name, grant.allow]),
    ...(grant.deny === undefined ? [] : [`--deny-${name}=${grant.deny.join(",")}`]),
    ...(grant.ignore ? [`--ignore-${name}`] : []),
  ];
}

/**
 * A permission set of deno.json as arguments of `deno run`, for a process that may run in a folder without that file.
 *
 * @param set Its name
 */
export function permissionArguments(set: string): readonly string[] {
  const sets: Readonly<Record<string, Readonly<Record<string, Grant>>>> = manifest.permissions;
  return Object.entries(sets[set]).flatMap(granted);
}

/** A task's name. */
export type TaskName = keyof typeof manifest.tasks;

/** How a task names the deno that runs it: the one on the path may be none, or (by npm on Windows) no program. */
const SELF = ` --allow-run="$(deno eval -p 'Deno.execPath()')" `;

/**
 * The words of a task's command in deno.json, with the environment's variables in them as its shell has them.
 *
 * @param task Its name
 * @param self The deno that runs it, for tasks that name it; without it what may be started is as their permission sets have it
 */
export function wordsOf(task: TaskName, self?: string): readonly string[] {
  const [before, after = []] = manifest.tasks[task].command.split(SELF).map((part) =>
    part.split(" ").map((word) => word.replace(/\$(\w+)/g, (_, name) => Deno.env.get(name) ?? "")).filter(Boolean)
  );
  const named = after.length > 0 && self !== undefined ? [`--allow-run=${self}`] : [];
  return [...before, ...named, ...after];
}

/** Locks are the checkout's; in another folder there are none. */
function isHere(word: string): boolean {
  return isInCheckout() || !(word.startsWith("--lock=") || word === "--frozen");
}

/**
 * The permissions and the lock file of a task of deno.json, as arguments of `deno run --no-prompt`.
 *
 * @param task Its name
 */
export function taskArguments(task: TaskName): readonly string[] {
  const words = wordsOf(task).filter((word) => word.startsWith("-") && isHere(word));
  const own = words.filter((word) => !word.startsWith("-P=") && word !== "--no-prompt");
  return [
    ...own,
    ...words.filter((word) => word.startsWith("-P=")).flatMap((word) => permissionArguments(word.slice(3))),
  ];
}

/**
 * Arguments of `deno run` for a process that imports packages which only some need.
 */
export function onDemandArguments(): readonly string[] {
  const lock = moduleArgument(new URL("../../on_demand.lock", import.meta.url));
  return ["--unstable-npm-lazy-caching", ...[`--lock=${lock}`, "--frozen"].filter(isHere)];
}

/**
 * The environment that a task of deno.json sets, by name.
 *
 * @param task Its name
 */
export function taskEnvironment(task: TaskName): Readonly<Record<string, string>> {
  const words = wordsOf(task);
  const settings = words.slice(0, words.indexOf("deno")).map((word) => word.split(/=(.*)/s));
  return Object.fromEntries(settings.map(([name, value]) => [name, value]));
}
