/**
 * A run's folder: found or made, free for a run.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import { makeFolder, writeJson } from "../../dsl/files/write.ts";

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

/** What a run leaves in its folder that another run would write over. */
const OF_A_RUN = [
  "checkpoint/last.safetensors",
  "checkpoint/best.safetensors",
  "adapter/adapter_model.safetensors",
  "metrics.jsonl",
  "summary.json",
];

/**
 * What a model or data set is called in a folder's name: of a path its last part, behind the kind of data; of a model of the hub
 * its name without the commit, of a preset with weights of its own the preset.
 *
 * @param name `images:/home/me/photos/`, `hf:google/vit-base-patch16-224@COMMIT`, `dit-xl-2=/weights/dit.pt`
 *
 * @example
 * ```ts
 * import { shortly } from "./folder.ts";
 * import { assertEquals } from "@std/assert";
 * assertEquals(shortly("images:/home/me/photos/"), "images-photos");
 * assertEquals(shortly("hf:google/vit-base-patch16-224@" + "0".repeat(40)), "vit-base-patch16-224");
 * assertEquals(shortly("dit-xl-2=/weights/dit.pt"), "dit-xl-2");
 * assertEquals(shortly("C:\\photos\\cats"), "cats");
 * assertEquals(shortly("mnist"), "mnist");
 * ```
 */
export function shortly(name: string): string {
  const preset = /^([\w-]+)=/.exec(name)?.[1];
  if (preset !== undefined) return preset;
  const [, kind = "", path] = /^(?:([\w-]{2,}):)?(.*)$/s.exec(name.replace(/@[0-9a-f]{40}$/, ""))!;
  const last = path.replace(/[/\\]+$/, "").split(/[/\\]/).at(-1)!;
  return kind === "" || kind === "hf" ? last : `${kind}-${last}`;
}

/**
 * A folder name that is not taken: `parent/name`, `parent/name-2`, ...
 *
 * @param parent Folder
 * @param name Wanted name; characters that file names do not like become dashes
 */
export function newFolder(parent: string, name: string): string {
  const plain = `${parent}/${name.replace(/[^\w.+=-]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 120)}`;
  if (!exists(plain)) return plain;
  let number = 2;
  while (exists(`${plain}-${number}`)) number++;
  return `${plain}-${number}`;
}

/**
 * Refuses a folder that belongs to an earlier run.
 *
 * @param folder Where a run would go
 */
export function unused(folder: string): void {
  const attempted = `starting a run in ${folder}`;
  if (exists(`${folder}/config.json`)) {
    const allowed = `another folder, or \`resume: ${folder}\``;
    throw new OneloraError({ attempted, found: "an earlier run's folder", allowed });
  }
  const kept = OF_A_RUN.find((name) => exists(`${folder}/${name}`));
  if (kept === undefined) return;
  throw new OneloraError({
    attempted,
    found: `${kept} of another run, without its config.json`,
    allowed: "another folder",
  });
}

/**
 * Writes a JSON file into a run's folder, which is made if needed; the file appears whole or not at all.
 *
 * @param folder The folder
 * @param name The file
 * @param value The content
 */
export async function writeRunJson(folder: string, name: string, value: unknown): Promise<void> {
  await makeFolder(`${folder}/checkpoint`, { within: folder });
  await writeJson(`${folder}/${name}`, value, { within: folder });
}
