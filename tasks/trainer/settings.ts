/**
 * The settings that every run has, and a run's settings complete: what was given, then the task's recipe, then defaults.
 *
 * @module
 */
import { methodForms, methodsWith } from "../../adapters/spec.ts";
import { precisions } from "../../dsl/engine/mod.ts";
import { OneloraError, unknownName } from "../../dsl/error.ts";
import { quantisations } from "../../dsl/quantise.ts";
import { schedules } from "../../dsl/optimise/mod.ts";
import { readLrFactors } from "./lr_factor.ts";
import {
  boolean,
  checkSetting,
  choice,
  duration,
  fromRecipe,
  integer,
  interval,
  list,
  number,
  type Settings,
  type SettingsOf,
  text,
} from "./setting.ts";
import type { TaskKind } from "./task.ts";
import type { MethodSettings, Run, RunSettings } from "./run_settings.ts";

/** The method and where it goes. */
export const methodSettings: SettingsOf<MethodSettings> = {
  adapter: text({
    help: `Method, or methods joined by +: ${methodForms().join(", ")}`,
    value: "SPEC",
    default: "1lora",
  }),
  rank: integer({ help: `Rank of ${methodsWith("rank").join(", ")} (default 1)`, min: 1 }),
  alpha: number({ help: `Alpha of ${methodsWith("alpha").join(", ")} (default: the rank)`, above: 0 }),
  dropout: number({
    help: `Share of their inputs that ${methodsWith("dropout").join(", ")} drop out in training steps (default 0)`,
    min: 0,
    below: 1,
  }),
  target: text({
    help: "Which linear layers: all-linear (heads and embedders excepted), qkv, or a path pattern",
    value: "PATTERN",
    default: "all-linear",
  }),
};

/** The settings of every run. */
export const runSettings: SettingsOf<RunSettings> = {
  ...methodSettings,
  from: text({
    help: "Start from the parameters of this adapter, or run, whose method is taken where none is given",
    value: "DIR",
  }),
  epochs: number({ aside: true, help: "Passes over the training data", above: 0 }),
  steps: integer({ aside: true, help: "Steps, instead of epochs", min: 1 }),
  batchSize: fromRecipe(integer({ help: "Examples a step", min: 1 })),
  accumulate: integer({ help: "Parts that a step's examples are split into, to save memory (default 1)", min: 1 }),
  batchInvariant: choice({
    help:
      "on: come to the same bytes in any number of processes, on any engine, by computing a batch in 4 parts, or in " +
      "those of `accumulate`, in any case (default off: slower in one process for a small model)",
    allowed: ["on", "off"] as readonly ("on" | "off")[],
  }),
  lr: fromRecipe(number({ help: "Peak learning rate", above: 0 })),
  weightDecay: fromRecipe(number({ help: "AdamW's decoupled weight decay", min: 0 })),
  schedule: fromRecipe(choice({ help: "Learning rate over the run", allowed: Object.keys(schedules) })),
  warmup: number({ help: "Warm-up: a share of all steps if below 1, else steps", min: 0, default: 0 }),
  clip: number({ help: "Largest global gradient norm; 0 for no clipping", min: 0, default: 0 }),
  ema: number({ help: "Decay of the average of parameters that is the result; 0 for none", min: 0, below: 1 }),
  seed: integer({ help: "Seed of everything random", min: 0, default: 0 }),
  precision: choice({
    help:
      "float32; bf16 for frozen weights and matrix products (tensorflow backend): half the memory, faster; f16 for " +
      "frozen weights (webgpu backend): half the memory",
    allowed: precisions,
    default: "float32",
  }),
  quantise: choice({
    help:
      "Keep frozen weights of linear layers, heads excepted, in 8 or 4 bits, as bitsandbytes does (language models)",
    allowed: quantisations,
  }),
  gradientCheckpointing: boolean({
    help:
      "Keep only the inputs of a model's blocks and compute the rest again for the gradient: less memory, more time",
  }),
  shuffle: boolean({ help: "A new order of the data every epoch", default: true }),
  limit: integer({ help: "Use only so many training and test examples", min: 1 }),
  strict: boolean({ help: "Fail at an unreadable example instead of leaving it out" }),
  evalEvery: interval({
    aside: true,
    help: "Evaluate every so many steps, or below 1 every such share of all steps; 0 only at the end",
    default: 0,
  }),
  checkpointEvery: integer({
    aside: true,
    help: "Checkpoint every so many steps; 0 only at the end",
    min: 0,
    default: 100,
  }),
  patience: integer({
    aside: true,
    help: "Stop after so many evaluations without a better one (default: never)",
    min: 0,
  }),
  timeLimit: duration({
    aside: true,
    help: "End the run after that time, evaluations included, with the parameters of its best evaluation",
    above: 0,
  }),
  keep: choice({
    aside: true,
    help: "Result: the parameters after the last step, or those of the best evaluation (default last)",
    allowed: ["last", "best"] as readonly ("last" | "best")[],
  }),
  workers: integer({ aside: true, help: "Threads that prepare examples (default: as the data is worth)", min: 0 }),
  dataOnDevice: choice({
    aside: true,
    help:
      "Keep training examples in the device's memory: auto (default) on a card where they fit and come again; yes; no",
    allowed: ["auto", "yes", "no"] as readonly ("auto" | "yes" | "no")[],
  }),
  validation: integer({
    help:
      "Training examples held out, the same for every method and seed, that decide what is best and when to stop; " +
      "test data are then read once, at the end (default: none; test data are evaluated on the way)",
    min: 1,
  }),
  testing: boolean({
    aside: true,
    help: "Evaluate the test data at the end; without, only what is held out",
    default: true,
  }),
  evalBatch: integer({ aside: true, help: "Examples at a time in evaluations (default: the task's)", min: 1 }),
  lrFactor: list({
    help: "Factors of the learning rate for parts of the model, by patterns of parameter paths, the first that matches",
    value: "PATTERN=X,...",
  }),
};

/**
 * A task's own settings by name.
 *
 * @param kind The task
 */
export function ownSettings(kind: TaskKind): Settings {
  return kind.settings as Settings;
}

/**
 * A task's own settings that an evaluation acts on.
 *
 * @param kind The task
 */
export function evaluationSettings(kind: TaskKind): Settings {
  return Object.fromEntries(Object.entries(ownSettings(kind)).filter(([, { training }]) => !training));
}

/** Values that were given, by the names of settings. */
export type GivenSettings = Readonly<Record<string, unknown>>;

/** A wrong-usage error (exit code 2) for a name that no setting of the task has. */
function checkNames(kind: TaskKind, given: GivenSettings): void {
  const names = [...Object.keys(runSettings), ...Object.keys(ownSettings(kind))];
  const unknown = Object.keys(given).find((name) => !names.includes(name));
  if (unknown !== undefined) throw unknownName(`a setting of ${kind.name}`, unknown, names);
}

/**
 * A run's settings: those given, checked; the recipe of the task for model and data; defaults.
 *
 * @param kind The task
 * @param model Preset name or folder
 * @param data What it learns from
 * @param given Settings by name, the task's own among them; undefined for not given
 * @throws OneloraError (exit code 2) for an unknown setting, a value out of bounds, and both steps and epochs
 *
 * @example
 * ```ts
 * import { taskKind } from "@onelora/onelora/tasks";
 * import { resolveRun } from "./settings.ts";
 * import { assertEquals } from "@std/assert";
 * const run = resolveRun(taskKind("image-classification"), "vit-micro", "mnist", { steps: 10, lr: 0.1 });
 * assertEquals([run.steps, run.lr, run.batchSize, run.own], [10, 0.1, 64, { augment: false }]);
 * ```
 */
export function resolveRun<Own extends object>(
  kind: TaskKind<Own>,
  model: string,
  data: string,
  given: GivenSettings = {},
): Run<Own> {
  const any = kind as unknown as TaskKind;
  const spoken = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  checkNames(any, spoken);
  const declared: Settings = { ...runSettings, ...ownSettings(any) };
  for (const [name, value] of Object.entries(spoken)) {
    // What only code can give, such as an augmentation of one's own, is for the task to judge.
    if (typeof value !== "object") checkSetting(name, declared[name], value);
  }
  if (typeof spoken.lrFactor === "string") readLrFactors(spoken.lrFactor);
  if (spoken.steps !== undefined && spoken.epochs !== undefined) {
    const problem = {
      attempted: "choosing a run's length",
      found: "both `epochs` and `steps`",
      allowed: "one of them",
    };
    throw new OneloraError(problem, { exitCode: 2 });
  }
  const { own: recipeOwn = {}, epochs, steps, ...recipe } = any.recipe(model, data);
  const length = spoken.epochs === undefined && spoken.steps === undefined ? { epochs, steps } : {};
  const complete = (settings: Settings, recipe: object) =>
    Object.fromEntries(
      Object.entries(settings).map(([name, setting]) => [
        name,
        spoken[name] ?? (recipe as GivenSettings)[name] ?? setting.default,
      ]).filter(([, value]) => value !== undefined),
    );
  return {
    ...complete(runSettings as Settings, { ...recipe, ...length }),
    model,
    data,
    own: complete(ownSettings(any), recipeOwn),
  } as unknown as Run<Own>;
}
