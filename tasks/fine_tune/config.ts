/**
 * A run's settings in its folder: `config.json`, by the names that configuration files and the command line have for them.
 *
 * @module
 */
import { OneloraError, unknownName } from "../../dsl/error.ts";
import { type BackendName, backendNames } from "../../dsl/engine/mod.ts";
import { isObject, parseSettings, show } from "../../dsl/files/json.ts";
import { readText, SETTINGS_BYTES } from "../../dsl/files/read.ts";
import { refuseLinks } from "../../dsl/files/write.ts";
import { guarded } from "../../dsl/files/file.ts";
import { isFileAt, isNowhere } from "../../dsl/files/store.ts";
import { taskKind, taskKinds } from "../kinds.ts";
import { checkSetting, kebab, type Setting, type Settings } from "../trainer/setting.ts";
import { ownSettings, runSettings } from "../trainer/settings.ts";
import type { TaskKind } from "../trainer/task.ts";
import type { Run } from "../trainer/run_settings.ts";

/** What a run's folder says of it. */
export interface SavedRun {
  /** The task. */
  readonly kind: TaskKind;
  /** The settings. */
  readonly run: Run;
  /** The engine that it ran on. */
  readonly backend: BackendName;
  /** The engine's threads, if the run was given a number. */
  readonly threads?: number;
}

/** A setting's value as a file has it; what a recipe decides is written as text, as ever. */
function written(setting: Setting<unknown>, value: unknown): unknown {
  return setting.kind === "boolean" && setting.default === undefined ? String(value) : value;
}

/** A setting's value from a file. */
function readBack(name: string, setting: Setting<unknown>, value: unknown): unknown {
  const plain = setting.kind === "boolean" && (value === "true" || value === "false") ? value === "true" : value;
  checkSetting(name, setting, plain);
  return plain;
}

/** Settings of all tasks that have a value without being given: files have them, whatever their task. */
function always(): Readonly<Record<string, unknown>> {
  const all = Object.values(taskKinds).flatMap((kind) => Object.entries(ownSettings(kind)));
  return Object.fromEntries(all.flatMap(([name, { default: value }]) => value === undefined ? [] : [[name, value]]));
}

/**
 * A run's settings as its `config.json` has them.
 *
 * @param kind The task
 * @param run The run
 * @param backend The engine
 * @param threads The engine's threads, if the run was given a number
 */
export function runConfig(
  kind: TaskKind,
  run: Run,
  backend: string,
  threads?: number,
): Readonly<Record<string, unknown>> {
  const { model, data, own, ...settings } = run;
  const declared: Settings = { ...runSettings, ...ownSettings(kind) };
  const values = Object.entries({ ...settings, ...always(), ...own }).filter(([name, value]) =>
    value !== undefined && name !== "scratch"
  );
  const named = values.map(([name, value]) => [kebab(name), declared[name] ? written(declared[name], value) : value]);
  return {
    task: kind.name,
    model,
    data,
    ...Object.fromEntries(named),
    backend,
    ...threads === undefined ? {} : { threads },
  };
}

/** Whether nothing is at a path; what cannot be looked at may be there. */
async function isNothingAt(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => false, isNowhere);
}

/**
 * Refuses what is no run's folder, naming what lies there instead.
 *
 * @param folder The run's folder
 * @throws OneloraError for a folder that is not there, a file in its place, or one without `config.json`
 */
export async function requireRunFolder(folder: string): Promise<void> {
  if (!await isNothingAt(`${folder}/config.json`)) return;
  const found = await isNothingAt(folder)
    ? "no such folder"
    : await isFileAt(folder)
    ? "a file"
    : "no config.json there";
  throw new OneloraError({ attempted: `opening the run ${folder}`, found, allowed: "the folder of a training run" });
}

/**
 * Reads a run's `config.json`.
 *
 * @param folder The run's folder
 * @throws OneloraError for a file that is missing, damaged, or has what no run has
 */
export async function readRunConfig(folder: string): Promise<SavedRun> {
  await requireRunFolder(folder);
  const path = `${folder}/config.json`;
  const attempted = `reading ${path}`;
  refuseLinks(attempted, path, { within: folder });
  const json = await guarded(
    attempted,
    "a run's settings",
    async () => parseSettings(await readText(path, SETTINGS_BYTES)),
  );
  const refuse = (found: string) => new OneloraError({ attempted, found, allowed: "a run's settings" });
  if (!isObject(json)) throw refuse("no JSON object");
  const { task, model, data, backend, threads, ...rest } = json as Readonly<Record<string, unknown>>;
  if (typeof task !== "string") throw refuse("no task");
  if (typeof model !== "string") throw refuse("no model");
  if (typeof data !== "string") throw refuse("no data");
  const kind = taskKind(task);
  const everything: Settings = Object.assign({}, ...Object.values(taskKinds).map(ownSettings), runSettings);
  const names = new Map(Object.keys(everything).map((name) => [kebab(name), name]));
  const values: Record<string, unknown> = {};
  for (const [written, value] of Object.entries(rest)) {
    const name = names.get(written);
    if (name === undefined) throw unknownName(`name in ${path}`, written, [...names.keys()]);
    if (value !== null) values[name] = readBack(`${written} of ${path}`, everything[name], value);
  }
  const part = (settings: Settings) =>
    Object.fromEntries(
      Object.entries(settings).map(([name, setting]) => [name, values[name] ?? setting.default]).filter(([, value]) =>
        value !== undefined
      ),
    );
  const missing = Object.entries(runSettings).find(([name, setting]) =>
    values[name] === undefined && setting.default === undefined &&
    ["batchSize", "lr", "weightDecay", "schedule"].includes(name)
  );
  if (missing !== undefined) throw refuse(`no ${kebab(missing[0])}`);
  const engine = backendNames.find((name) => name === backend);
  if (engine === undefined) throw refuse(`no backend of ${backendNames.join(", ")}`);
  if (threads !== undefined && !(Number.isSafeInteger(threads) && threads as number >= 1)) {
    throw refuse(`threads ${show(threads)}`);
  }
  const run = { ...part(runSettings as Settings), model, data, own: part(ownSettings(kind)) } as unknown as Run;
  return { kind, run, backend: engine, ...threads === undefined ? {} : { threads: threads as number } };
}
