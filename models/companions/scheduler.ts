/**
 * `scheduler_config.json` and `model_index.json` of a diffusers pipeline: the noise that a diffusion model was trained under,
 * what it predicts, and the names of its classes.
 *
 * @module
 */
import { isObject } from "../../dsl/files/json.ts";
import { join } from "../../dsl/files/path.ts";
import { readJsonIfThere } from "../../dsl/files/python_json.ts";
import type { Json } from "../config.ts";
import type { DiffusionProcess } from "../diffusion_process.ts";
import { pipelineOf, placesOf } from "./files.ts";
import { wrongSetting } from "./read.ts";
import { checkSettings, honoured, noEffect, refused, type Settings } from "./settings.ts";

/** The file, beside the weights or in a pipeline's folder of that name. */
export const SCHEDULER = "scheduler_config.json";
/** What a pipeline is of. */
const INDEX = "model_index.json";

const COMMON: Settings = {
  ...honoured(
    "_class_name",
    "num_train_timesteps",
    "beta_start",
    "beta_end",
    "beta_schedule",
    "trained_betas",
    "clip_sample",
    "clip_sample_range",
    "prediction_type",
    "timestep_spacing",
    "steps_offset",
  ),
  ...noEffect("says where the file comes from", "_diffusers_version", "_name_or_path"),
  ...refused("another way to clip samples", [false], "thresholding"),
  ...noEffect("belongs to thresholding", "dynamic_thresholding_ratio", "sample_max_value"),
  ...refused("noise without any signal at its end", [false], "rescale_betas_zero_snr"),
};

/** Settings by scheduler. */
export const schedulerSettings: Readonly<Record<string, Settings>> = {
  DDPMScheduler: {
    ...COMMON,
    ...honoured("variance_type"),
    // Written by older versions, and by those that change a DDIM's class name.
    ...noEffect("a DDPM's last step ends without noise", "set_alpha_to_one", "skip_prk_steps"),
  },
  DDIMScheduler: {
    ...COMMON,
    ...honoured("set_alpha_to_one"),
    ...noEffect("a DDIM's variance is eta's", "variance_type", "skip_prk_steps"),
  },
};

/** Entries of `model_index.json`. */
export const pipelineSettings: Settings = {
  ...honoured("scheduler", "id2label"),
  ...noEffect("says where the file comes from", "_diffusers_version", "_name_or_path", "_commit_hash"),
  ...noEffect("the part's own config.json says what it is", "_class_name", "transformer", "vae"),
  ...refused(
    "a part that a DiT has not",
    [[null, null]],
    "text_encoder",
    "tokenizer",
    "unet",
    "image_encoder",
    "refiner",
  ),
};

/** The scheduler's settings as diffusers takes them: by the class that the pipeline names, whatever the file says. */
async function withPipelineClass(
  folder: string,
  json: Json,
): Promise<{ readonly json: Json; readonly notes: readonly string[] }> {
  const pipeline = pipelineOf(folder);
  const index = pipeline === undefined ? {} : (await readJsonIfThere(join(pipeline, INDEX)))?.json ?? {};
  const notes = checkSettings(index, pipelineSettings, INDEX, "a DiT's pipeline");
  const entry = index.scheduler ?? undefined;
  if (entry === undefined) return { json, notes };
  const name = Array.isArray(entry) ? entry[1] : undefined;
  if (typeof name !== "string") throw wrongSetting(INDEX, "scheduler", entry, '["diffusers", CLASS]');
  return { json: { ...json, _class_name: name }, notes };
}

function numberOf(
  json: Json,
  name: string,
  fallback: number,
  valid: (value: number) => boolean,
  allowed: string,
): number {
  const value = json[name] ?? fallback;
  if (typeof value === "number" && valid(value)) return value;
  throw wrongSetting(SCHEDULER, name, value, allowed);
}

function choiceOf<Name extends string>(json: Json, name: string, allowed: readonly Name[], fallback: Name): Name {
  const value = json[name] ?? fallback;
  const found = allowed.find((each) => each === value);
  if (found === undefined) throw wrongSetting(SCHEDULER, name, value, allowed.join(", "));
  return found;
}

function flag(json: Json, name: string, fallback: boolean): boolean {
  const value = json[name] ?? fallback;
  if (typeof value !== "boolean") throw wrongSetting(SCHEDULER, name, value, "true or false");
  return value;
}

/** `count` numbers from `first` to `last`. */
function line(first: number, last: number, count: number): readonly number[] {
  return Array.from({ length: count }, (_, i) => count === 1 ? first : first + (last - first) * i / (count - 1));
}

/** Schedules by their names in diffusers; the last is DDPM's alone. */
const SCHEDULES = ["linear", "scaled_linear", "squaredcos_cap_v2", "sigmoid"] as const;

/** beta_t of a schedule. */
function betasOf(json: Json, isDdpm: boolean): readonly number[] {
  const isBeta = (value: unknown) => typeof value === "number" && value > 0 && value < 1;
  const whole = (value: number) => Number.isInteger(value) && value >= 2;
  const steps = numberOf(json, "num_train_timesteps", 1000, whole, "a whole number from 2");
  const given = json.trained_betas ?? undefined;
  if (given !== undefined) {
    if (!Array.isArray(given) || given.length < 2 || !given.every(isBeta)) {
      throw wrongSetting(SCHEDULER, "trained_betas", given, "two or more numbers between 0 and 1");
    }
    if (given.length === steps) return given;
    throw wrongSetting(SCHEDULER, "num_train_timesteps", steps, `${given.length}, as there are trained_betas`);
  }
  const first = numberOf(json, "beta_start", 1e-4, isBeta, "a number between 0 and 1");
  const last = numberOf(json, "beta_end", 0.02, isBeta, "a number between 0 and 1");
  switch (choiceOf(json, "beta_schedule", isDdpm ? SCHEDULES : SCHEDULES.slice(0, -1), "linear")) {
    case "linear":
      return line(first, last, steps);
    case "scaled_linear":
      return line(Math.sqrt(first), Math.sqrt(last), steps).map((root) => root ** 2);
    case "sigmoid":
      return line(-6, 6, steps).map((x) => (last - first) / (1 + Math.exp(-x)) + first);
    case "squaredcos_cap_v2": {
      const kept = (t: number) => Math.cos((t + 0.008) / 1.008 * Math.PI / 2) ** 2;
      return Array.from({ length: steps }, (_, t) => Math.min(1 - kept((t + 1) / steps) / kept(t / steps), 0.999));
    }
  }
}

/**
 * The process of a scheduler's file.
 *
 * @param json `scheduler_config.json`
 * @returns The process, and notes of what is not acted on and might be meant
 * @throws OneloraError for another scheduler, and settings that are refused or out of range
 */
export function readScheduler(
  json: Json,
): { readonly process: DiffusionProcess; readonly notes: readonly string[] } {
  const name = choiceOf(json, "_class_name", ["DDIMScheduler", "DDPMScheduler"], "DDIMScheduler");
  const notes = checkSettings(json, schedulerSettings[name], SCHEDULER, `a ${name}`);
  const isDdpm = name === "DDPMScheduler";
  const betas = betasOf(json, isDdpm);
  const isCount = (value: number) => Number.isInteger(value) && value >= 0 && value < betas.length;
  return {
    notes,
    process: {
      method: isDdpm ? "ddpm" : "ddim",
      betas,
      prediction: choiceOf(json, "prediction_type", ["epsilon", "v_prediction", "sample"], "epsilon"),
      variance: isDdpm
        ? choiceOf(
          json,
          "variance_type",
          ["fixed_small", "fixed_small_log", "fixed_large", "learned_range"],
          "fixed_small",
        ).replace(/_log$/, "") as DiffusionProcess["variance"]
        : "fixed_small",
      clip: flag(json, "clip_sample", true)
        ? numberOf(json, "clip_sample_range", 1, (value) => value > 0, "a positive number")
        : false,
      spacing: choiceOf(json, "timestep_spacing", ["leading", "trailing", "linspace"], "leading"),
      offset: numberOf(json, "steps_offset", 0, isCount, `a whole number from 0 to ${betas.length - 1}`),
      lastSignal: isDdpm || flag(json, "set_alpha_to_one", true) ? "one" : "first",
    },
  };
}

/**
 * The process of a model's scheduler, if its files have one.
 *
 * @param folder The model's folder
 */
export async function openScheduler(folder: string): Promise<ReturnType<typeof readScheduler> | undefined> {
  for (const path of placesOf(folder, SCHEDULER)) {
    const found = await readJsonIfThere(path);
    if (found === undefined) continue;
    const { json, notes } = await withPipelineClass(folder, found.json);
    const read = readScheduler(json);
    return { ...read, notes: [...notes, ...read.notes] };
  }
  return undefined;
}

/**
 * `config.json` with the names of classes that a pipeline's `model_index.json` gives, where it has none itself.
 *
 * @param folder The model's folder
 * @param json Its `config.json`
 * @throws OneloraError for names of classes that the model has not
 */
export async function withPipelineLabels(folder: string, json: Json): Promise<Json> {
  const pipeline = pipelineOf(folder);
  if (pipeline === undefined || (json.id2label ?? undefined) !== undefined) return json;
  const file = INDEX;
  const labels = (await readJsonIfThere(join(pipeline, file)))?.json.id2label ?? undefined;
  if (labels === undefined) return json;
  const count = json.num_embeds_ada_norm ?? 1000;
  const known = typeof count === "number" ? count : 0;
  const names = isObject(labels) ? labels : {};
  const wrong = Object.entries(names).find(([id, name]) => !(Number(id) < known) || typeof name !== "string");
  if (!isObject(labels) || wrong !== undefined) {
    throw wrongSetting(file, "id2label", wrong ?? labels, `a name for ids from 0 to ${known - 1}`);
  }
  const all = Array.from({ length: known }, (_, id) => [`${id}`, names[id] ?? `LABEL_${id}`]);
  return { ...json, id2label: Object.fromEntries(all) };
}
