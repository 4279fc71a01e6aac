/**
 * What this package adds to an adapter's folder: the task and its settings.
 *
 * @module
 */
import { objectIfThere } from "../../dsl/files/if_there.ts";
import { isObject } from "../../dsl/files/json.ts";
import { writeJson } from "../../dsl/files/write.ts";
import { ownSettings } from "../trainer/settings.ts";
import type { TaskKind } from "../trainer/task.ts";

const NOTES = "onelora.json";

/** What a folder's notes say, if it has some. */
export function notesOf(folder: string): Promise<Readonly<Record<string, unknown>> | undefined> {
  return objectIfThere(`${folder}/${NOTES}`);
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
