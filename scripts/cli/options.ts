/**
 * Flags that several commands share, and the settings that a run's folder keeps.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import { type BackendName, backendNames } from "../../dsl/mod.ts";
import { quantisations } from "../../dsl/quantise.ts";
import { presetNames, type Qkv } from "../../models/mod.ts";
import { type Settings, type TaskKind, taskKinds, taskNames } from "../../tasks/mod.ts";
import { loggerForms } from "../../tasks/loggers/open.ts";
import { methodSettings, ownSettings, runSettings } from "../../tasks/trainer/settings.ts";
import { choice, type Flag, type Flags, integer, kebab, list, text } from "./mod.ts";

/** What `--model` takes, in words. */
export const modelHelp: string =
  `Preset (${
    presetNames.join(", ")
  }), Hugging Face folder, GGUF file of a language model, hf:ORG/NAME[/FOLDER][@REVISION] of ` +
  "Hugging Face's hub, or PRESET=FILE with weights of an original repository, such as dit-xl-2=DiT-XL-2-256x256.pt";

/** The form of query, key and value, which decides what a method adds to them. */
export const qkvFlag = {
  qkv: choice({
    help:
      "Query, key and value as one linear layer or as three (default: as the model is published; fused for presets " +
      "of Depth Anything and DiT, as the paper counts them)",
    allowed: ["fused", "split"] as readonly Qkv[],
  }),
};

/** The engine. */
export const backendFlag = {
  backend: choice({
    help: "Engine; auto takes the first that works",
    allowed: ["auto", ...backendNames] as readonly ("auto" | BackendName)[],
    default: "auto",
  }),
  threads: integer({
    help: "Threads of the wasm engine, same bytes whatever their number (default: all cores)",
    min: 1,
  }),
};

/** A model and an adapter folder on it. */
export const trainedFlags = {
  model: text({ help: `${modelHelp} (default: the one that the adapter was trained on)`, value: "NAME|DIR" }),
  adapter: list({
    help:
      "Folder of an adapter for it: a run's, or one of Hugging Face PEFT; of several (DIR,DIR) the sum of their updates",
    value: "DIR",
  }),
};

/** Weights in fewer bits. */
export const quantiseFlag = {
  quantise: choice({
    help: "Keep weights of a language model's linear layers, heads excepted, in 8 or 4 bits, as bitsandbytes does",
    allowed: quantisations,
  }),
};

/** What the tasks take where nothing is given. */
function defaults(of: (kind: TaskKind) => string): string {
  return Object.entries(taskKinds).map(([name, kind]) => `${name}: ${of(kind)}`).join(", ");
}

/** What `--data` takes, in words, task by task. */
export const taskDataHelp: string = `Data; ${
  Object.entries(taskKinds).map(([name, { dataForms }]) => `${name}: ${dataForms.join(", ")}`).join("; ")
}`;

/** Flags of settings that some tasks have: what each task says of its own. */
export function ownFlags(of: (kind: TaskKind) => Settings = ownSettings): Flags {
  const flags: Record<string, Flag<unknown>> = {};
  for (const [task, kind] of Object.entries(taskKinds)) {
    for (const [name, setting] of Object.entries(of(kind))) {
      const before = flags[name];
      const help = `${task}: ${setting.help}`;
      flags[name] = { ...setting, ...before, help: before === undefined ? help : `${before.help}; ${help}` };
    }
  }
  return flags;
}

/**
 * The values of a task's own flags that were given.
 *
 * @param kind The task
 * @param options Values by flag
 * @param given The flags that were given
 * @param of Which of the task's settings
 * @throws OneloraError (exit code 2) for a flag of another task that says something
 */
export function ownOptions(
  kind: TaskKind,
  options: Readonly<Record<string, unknown>>,
  given: ReadonlySet<string | number | symbol>,
  of: (kind: TaskKind) => Settings = ownSettings,
): Readonly<Record<string, unknown>> {
  const all = ownFlags(of);
  const spoken = Object.entries(options).filter(([name]) => given.has(name) && Object.hasOwn(all, name));
  const foreign = spoken.find(([name, value]) => !Object.hasOwn(of(kind), name) && value !== all[name].default);
  if (foreign !== undefined) {
    const allowed = Object.keys(of(kind)).map((name) => `--${kebab(name)}`).join(", ") || "no flags of its own";
    const whose = ownSettings(kind)[foreign[0]]?.training ? "which acts in training alone" : "another task's";
    throw usage(`reading the flags of ${kind.name}`, `--${kebab(foreign[0])}, ${whose}`, allowed);
  }
  return Object.fromEntries(spoken.filter(([name]) => Object.hasOwn(of(kind), name)));
}

/** Everything that decides a run; its folder keeps the resolved values in `config.json`. */
export const trainFlags = {
  task: choice({ help: "Task to train (default: that of the data and the model)", allowed: taskNames }),
  model: text({ help: `${modelHelp} (default: ${defaults((kind) => kind.model)})`, value: "NAME|DIR" }),
  ...methodSettings,
  data: text({ help: `${taskDataHelp} (default: ${defaults((kind) => kind.data)})`, value: "DATA" }),
  ...runSettings,
  ...backendFlag,
  ...ownFlags(),
  log: list({
    help: "Services that the run's numbers go to, beside TensorBoard's file in its folder: " +
      `${loggerForms().join(", ")}; keys come from the environment (docs/loggers.md)`,
    value: "SERVICE",
  }),
  resume: text({ help: "Continue the run in this folder, with its own settings", value: "DIR" }),
  out: text({ help: "The run's folder (default: a new one under runs/)", value: "DIR" }),
};

/** A wrong-usage error (exit code 2). */
export function usage(attempted: string, found: string, allowed: string): OneloraError {
  return new OneloraError({ attempted, found, allowed }, { exitCode: 2 });
}
