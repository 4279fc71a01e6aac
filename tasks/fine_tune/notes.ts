/**
 * What this package adds to an adapter's folder: the task and its settings.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import { guarded } from "../../dsl/files/file.ts";
import { isObject, parseSettings } from "../../dsl/files/json.ts";
import { readText, SETTINGS_BYTES } from "../../dsl/files/read.ts";
import { isMissing } from "../../dsl/files/store.ts";
import { writeJson } from "../../dsl/files/write.ts";
import { ownSettings } from "../trainer/settings.ts";
import type { TaskKind } from "../trainer/task.ts";

const NOTES = "onelora.json";

/** A JSON object of a file, if the file is there. */
export async function jsonOf(path: string): Promise<Readonly<Record<string, unknown>> | undefined> {
  const text = await readText(path, SETTINGS_BYTES).catch((error) => {
    if (isMissing(error.cause)) return undefined;
    throw error;
  });
  if (text === undefined) return undefined;
  const found = await guarded(`reading ${path}`, "a JSON object", () => parseSettings(text));
  if (isObject(found)) return found as Readonly<Record<string, unknown>>;
  throw new OneloraError({ attempted: `reading ${path}`, found: "no JSON object", allowed: "a JSON object" });
}

/** What a folder's notes say, if it has some. */
export function notesOf(folder: string): Promise<Readonly<Record<string, unknown>> | undefined> {
  return jsonOf(`${folder}/${NOTES}`);
}

/** Writes a folder's notes: the task, and its settings as far as JSON keeps them. */
export async function writeNotes(folder: string, kind: TaskKind, own: object): Promise<void> {
  const settings = Object.fromEntries(Object.entries(own).filter(([, value]) => typeof value !== "object"));
  await writeJson(`${folder}/${NOTES}`, { task: kind.name, settings }, { within: folder });
}

/** The settings of a task among those that a folder has. */
export function settingsIn(kind: TaskKind, settings: unknown): object {
  const given = isObject(settings) ? settings as Readonly<Record<string, unknown>> : {};
  return Object.fromEntries(
    Object.keys(ownSettings(kind)).flatMap((name) => name in given ? [[name, given[name]]] : []),
  );
}
