/**
 * What a call of `fineTune` asks for: a new run's settings, or those of one to go on with.
 *
 * @module
 */
import type { BackendReport } from "../../dsl/engine/mod.ts";
import { OneloraError } from "../../dsl/error.ts";
import { firstBefore } from "../../dsl/ranks.ts";
import { openModel } from "../../models/mod.ts";
import { taskKind, taskKinds, type TaskName, taskNames } from "../kinds.ts";
import { type GivenSettings, resolveRun } from "../trainer/settings.ts";
import type { TaskKind } from "../trainer/task.ts";
import type { Run } from "../trainer/run_settings.ts";
import { baseOfAdapter } from "../place.ts";
import { readRunConfig } from "./config.ts";
import { type FineTuneOptions, SURROUNDINGS } from "./options.ts";
import { OWN, type Own } from "./own_examples.ts";

/** What is to be run. */
export interface Asked {
  readonly kind: TaskKind;
  readonly run: Run;
  readonly backend?: BackendReport["chosen"] | "auto";
  /** The engine's threads, if a number was given, now or when the run began. */
  readonly threads?: number;
}

/** Options of a task that is known when the program runs. */
export type AnyOptions = FineTuneOptions<TaskName>;

/** Whether data are called by a form of `dataForms`: by a data set's name, or as files and folders without one. */
function isCalledSo(form: string, data: string): boolean {
  return form.split(", ").some((each) => {
    const [name] = each.split(/[: ]/);
    return name === data || (each.startsWith(`${name}:`) && data.startsWith(`${name}:`));
  });
}

/** Whether a task takes files and folders by their paths alone. */
function takesPaths({ dataForms }: TaskKind): boolean {
  return dataForms.some((form) => /^(FILE|DIR)\b/.test(form));
}

/**
 * The task that is meant where none is named: of those whose data are called so, the one that trains the model, else the first.
 *
 * @param options What is given by name: data, and the model or an adapter on it
 */
export async function taskMeant(
  options: Pick<AnyOptions, "model" | "hub"> & { readonly data?: string; readonly from?: string },
): Promise<TaskKind> {
  const { data } = options;
  const all = Object.values(taskKinds);
  const named = all.filter((each) => data === undefined || each.dataForms.some((form) => isCalledSo(form, data)));
  const able = named.length > 0 ? named : all.filter(takesPaths);
  if (able.length === 1) return able[0];
  const { model, hub } = await onItsModel(options);
  if (model === undefined) return able[0];
  const opened = typeof model === "string" ? await firstBefore(() => openModel(model, { hub })) : model;
  return able.find((each) => each.trains(opened)) ?? able[0];
}

/** The task that was named, else that of the examples, else the one that is meant. */
async function kindOf(options: AnyOptions, own: Own | undefined): Promise<TaskKind> {
  if (options.task !== undefined) return taskKind(options.task);
  if (own === undefined) return await taskMeant(options as AnyOptions & { readonly data?: string });
  const [first] = own.train;
  return first === undefined
    ? taskKind(taskNames[0])
    : (Object.values(taskKinds).find((each) => each.takes(first)) ?? taskKind(taskNames[0]));
}

/**
 * The settings among the options that were given.
 *
 * @param options See {@linkcode FineTuneOptions}
 */
export function settingsOf(options: AnyOptions): GivenSettings {
  return Object.fromEntries(
    Object.entries(options).filter(([name, value]) => value !== undefined && !Object.hasOwn(SURROUNDINGS, name)),
  );
}

/**
 * Options that name a model if they name an adapter to start from: the one that it was trained on.
 *
 * @param options See {@linkcode FineTuneOptions}
 */
export async function onItsModel(options: AnyOptions): Promise<AnyOptions> {
  const { model, from } = options as { readonly model?: unknown; readonly from?: string };
  if (model !== undefined || from === undefined) return options;
  return { ...options, model: await baseOfAdapter(from) };
}

/**
 * A new run: what was given, and the recipe of the task for the model and data.
 *
 * @param options See {@linkcode FineTuneOptions}
 * @param own Examples that were given
 * @throws OneloraError (exit code 2) for settings that cannot be used
 */
export async function fresh(options: AnyOptions, own: Own | undefined): Promise<Asked> {
  const kind = await kindOf(options, own);
  const { model = kind.model, data = kind.data, backend, threads } = options;
  const name = own === undefined ? data as string : OWN;
  const run = resolveRun(kind, typeof model === "string" ? model : model.name, name, settingsOf(options));
  return { kind, run, backend, threads };
}

/**
 * A run to go on with: its own settings, of which only the length and the engine may change.
 *
 * @param folder Its folder
 * @param options See {@linkcode FineTuneOptions}
 * @throws OneloraError (exit code 2) for other settings
 */
export async function resumed(folder: string, options: AnyOptions): Promise<Asked> {
  const given = { ...settingsOf(options), task: options.task, out: options.out };
  const extra = Object.entries(given).find(([name, value]) =>
    value !== undefined && !["steps", "epochs", "timeLimit", "testing"].includes(name)
  );
  if (extra !== undefined) {
    const allowed = "the run's own settings; `steps`, `epochs` or `timeLimit` to change its length";
    throw new OneloraError({ attempted: `resuming ${folder}`, found: `\`${extra[0]}\``, allowed }, { exitCode: 2 });
  }
  const { kind, run, backend, threads } = await readRunConfig(folder);
  const { steps, epochs, timeLimit = run.timeLimit, testing = run.testing } = options;
  // Another engine decides about its threads itself.
  const isSame = options.backend === undefined || options.backend === backend;
  const engine = { backend: options.backend ?? backend, threads: options.threads ?? (isSame ? threads : undefined) };
  const length = steps !== undefined || epochs !== undefined ? { steps, epochs } : {};
  return { kind, run: { ...run, ...length, timeLimit, testing }, ...engine };
}
