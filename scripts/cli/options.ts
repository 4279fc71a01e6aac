/**
 * Flags that several commands share, and the settings that a run's folder keeps.
 *
 * @module
 */
import { isLeft } from "fp-ts/Either";
import { methodForms, methodsWith } from "../../adapters/mod.ts";
import { refuseLinks } from "../../dsl/files/write.ts";
import { OneloraError } from "../../dsl/error.ts";
import { type BackendName, backendNames, precisions, schedules } from "../../dsl/mod.ts";
import { presetNames, type Qkv } from "../../models/mod.ts";
import { type TaskKind, taskKinds, taskNames } from "../../tasks/mod.ts";
import { boolean, choice, integer, number, type Options, readConfig, readOptions, text } from "./mod.ts";

/** What `--model` takes, in words. */
export const modelHelp: string =
  `Preset (${presetNames.join(", ")}), Hugging Face folder, hf:ORG/NAME[/FOLDER][@REVISION] of ` +
  "Hugging Face's hub, or PRESET=FILE with weights of an original repository, such as dit-xl-2=DiT-XL-2-256x256.pt";

/** The method and where it goes. */
export const methodFlags = {
  adapter: text({
    help: `Method, or methods joined by +: ${methodForms().join(", ")}`,
    value: "SPEC",
    default: "1lora",
  }),
  rank: integer({ help: `Rank of ${methodsWith("rank").join(", ")} (default 1)`, min: 1 }),
  alpha: number({ help: `Alpha of ${methodsWith("alpha").join(", ")} (default: the rank)`, above: 0 }),
  target: text({
    help: "Which linear layers: all-linear (heads and embedders excepted), qkv, or a path pattern",
    value: "PATTERN",
    default: "all-linear",
  }),
};

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
};

/** A model and an adapter folder on it. */
export const trainedFlags = {
  model: text({ help: modelHelp, value: "NAME|DIR" }),
  adapter: text({ help: "Folder of an adapter for it: a run's adapter/, or one of Hugging Face PEFT", value: "DIR" }),
};

/** What the tasks take where nothing is given. */
function defaults(of: (kind: TaskKind) => string): string {
  return Object.entries(taskKinds).map(([name, kind]) => `${name}: ${of(kind)}`).join(", ");
}

/** What `--data` takes, in words, task by task. */
export const taskDataHelp: string = `Data; ${
  Object.entries(taskKinds).map(([name, { dataForms }]) => `${name}: ${dataForms.join(", ")}`).join("; ")
}`;

/** Settings of one task alone. */
export const taskFlags = {
  flip: boolean({ help: "Depth: evaluate the mean of a picture's and its mirror image's predictions" }),
  length: integer({ help: "Reasoning: tokens of an example at most", min: 1 }),
  ema: number({ help: "Generation: decay of the average of parameters that is the result; 0 for none", min: 0 }),
  samplingSteps: integer({ help: "Generation: steps of a sample", min: 1 }),
  guidance: number({ help: "Generation: scale of classifier-free guidance; 1 for none", min: 0 }),
  features: text({
    help:
      "Generation: vit or inception_v3 whose features samples are measured in (default for grey pictures: vit-micro)",
    value: "NAME|DIR",
  }),
  vae: text({
    help: "Generation: autoencoder of a model of latents (default: vae/ in the model's folder or beside it)",
    value: "NAME|DIR",
  }),
  samples: integer({ help: "Questions answered, pictures sampled or shown in an evaluation", min: 1 }),
};

/** Everything that decides a run; its folder keeps the resolved values in `config.json`. */
export const trainFlags = {
  task: choice({ help: "What to learn", allowed: taskNames, default: "image-classification" }),
  model: text({ help: `${modelHelp} (default: ${defaults((kind) => kind.model)})`, value: "NAME|DIR" }),
  ...methodFlags,
  data: text({ help: `${taskDataHelp} (default: ${defaults((kind) => kind.data)})`, value: "DATA" }),
  epochs: number({ help: "Passes over the training data", above: 0 }),
  steps: integer({ help: "Steps, instead of epochs", min: 1 }),
  batchSize: integer({ help: "Examples a step", min: 1 }),
  accumulate: integer({ help: "Parts that a step's examples are split into, to save memory (default 1)", min: 1 }),
  lr: number({ help: "Peak learning rate", above: 0 }),
  weightDecay: number({ help: "AdamW's decoupled weight decay", min: 0 }),
  schedule: choice({ help: "Learning rate over the run", allowed: Object.keys(schedules) }),
  warmup: number({ help: "Warm-up: a share of all steps if below 1, else steps", min: 0, default: 0 }),
  clip: number({ help: "Largest global gradient norm; 0 for no clipping", min: 0, default: 0 }),
  seed: integer({ help: "Seed of everything random", min: 0, default: 0 }),
  ...backendFlag,
  precision: choice({
    help: "float32, or bf16 for frozen weights and matrix products (tensorflow backend): half the memory, faster",
    allowed: precisions,
    default: "float32",
  }),
  gradientCheckpointing: boolean({
    help:
      "Keep only the inputs of a model's blocks and compute the rest again for the gradient: less memory, more time",
  }),
  shuffle: boolean({ help: "A new order of the data every epoch", default: true }),
  augment: text({ help: "The task's augmentation: true, false (default: true except for digits)", value: "BOOL" }),
  limit: integer({ help: "Use only so many training and test examples", min: 1 }),
  strict: boolean({ help: "Fail at an unreadable image instead of leaving it out" }),
  evalEvery: integer({ help: "Evaluate every so many steps; 0 only at the end", min: 0, default: 0 }),
  checkpointEvery: integer({ help: "Checkpoint every so many steps; 0 only at the end", min: 0, default: 100 }),
  patience: integer({ help: "Stop after so many evaluations without a better one (default: never)", min: 0 }),
  keep: choice({
    help: "Result: the parameters after the last step, or those of the best evaluation (default last)",
    allowed: ["last", "best"] as readonly ("last" | "best")[],
  }),
  workers: integer({ help: "Threads that prepare examples (default: as the data is worth)", min: 0 }),
  ...taskFlags,
  resume: text({ help: "Continue the run in this folder, with its own settings", value: "DIR" }),
  out: text({ help: "The run's folder (default: a new one under runs/)", value: "DIR" }),
};

/** A run's settings. */
export type TrainOptions = Options<typeof trainFlags>;

/** A wrong-usage error (exit code 2). */
export function usage(attempted: string, found: string, allowed: string): OneloraError {
  return new OneloraError({ attempted, found, allowed }, { exitCode: 2 });
}

/**
 * The settings of an earlier run, from its `config.json`.
 *
 * @param folder The run's folder
 */
export async function readRun(
  folder: string,
): Promise<TrainOptions & { readonly model: string; readonly data: string }> {
  refuseLinks(`reading ${folder}`, `${folder}/config.json`, { within: folder });
  const written = await readConfig(trainFlags, `${folder}/config.json`)();
  if (isLeft(written)) throw written.left;
  const saved = readOptions(trainFlags, [written.right]);
  if (isLeft(saved)) throw saved.left;
  const { options } = saved.right;
  const { model, data } = options;
  if (model !== undefined && data !== undefined) return { ...options, model, data };
  throw new OneloraError({
    attempted: `reading ${folder}/config.json`,
    found: `no ${model === undefined ? "model" : "data"}`,
    allowed: "a run's settings",
  });
}
