/**
 * A fine-tuned model in hand: it predicts, is saved and loaded again, and merged.
 *
 * @module
 */
import { dispose, type Tensor } from "@tensorflow/tfjs-core";
import { readAdapterConfig, saveAdapter } from "../../adapters/mod.ts";
import { OneloraError } from "../../dsl/error.ts";
import { guarded } from "../../dsl/files/file.ts";
import { isObject, parseSettings } from "../../dsl/files/json.ts";
import { readText, SETTINGS_BYTES } from "../../dsl/files/read.ts";
import { writeJson } from "../../dsl/files/write.ts";
import { key } from "../../dsl/random.ts";
import { mapTree, type Params } from "../../dsl/tree.ts";
import { type HubOptions, type Model, saveModel } from "../../models/mod.ts";
import { copyCompanions } from "../../models/companions/files.ts";
import { requireTask, taskKind, type TaskName } from "../kinds.ts";
import { mergeOpened, openTrained } from "../open.ts";
import { NO_METHOD } from "../trainer/method.ts";
import { ownSettings } from "../trainer/settings.ts";
import type { MethodSettings, TaskKind } from "../trainer/task.ts";
import type { TrainedModel } from "../trainer/prediction.ts";
import type { InputOf, OutputOf } from "./options.ts";

/** A model that predicts and is saved; disposing it frees its tensors. */
export interface Predictor<Name extends TaskName> extends TrainedModel, Disposable {
  /** The task. */
  readonly task: string;
  /** What the model makes of an input: likely classes of a picture, depth of a picture, an answer, a picture of a class. */
  readonly predict: (input: InputOf<Name>) => Promise<OutputOf<Name>>;
  /** Writes it into a folder, which is made if needed. */
  readonly save: (folder: string) => Promise<void>;
}

/** An adapted model. What `save` writes is an adapter, without the base model. */
export interface Tuned<Name extends TaskName> extends Predictor<Name> {
  /** The model with the adapter in its own weights, on its own: both are to be disposed. `save` writes a whole model. */
  readonly merge: () => Promise<Predictor<Name>>;
}

/** What this package adds to an adapter's folder. */
const NOTES = "onelora.json";

/** What there is to know of a trained model besides its tensors. */
export interface TunedFacts {
  /** The task. */
  readonly kind: TaskKind;
  /** The method. */
  readonly method: MethodSettings;
  /** The task's own settings. */
  readonly own: object;
}

function freed(params: Params): () => void {
  return () => dispose(params as Record<string, Tensor>);
}

async function merged<Name extends TaskName>(
  trained: TrainedModel,
  { kind, own }: TunedFacts,
): Promise<Predictor<Name>> {
  const { model, params: shared } = await mergeOpened({ ...trained, initialised: [] });
  const params = mapTree((tensor: Tensor, path) => tensor === trained.params[path] ? tensor.clone() : tensor)(shared);
  const whole: TrainedModel = { model, layer: model.layer, params };
  return {
    ...whole,
    task: kind.name,
    predict: (input) => kind.predict(whole, input, { own }) as Promise<OutputOf<Name>>,
    save: async (folder) => {
      await saveModel(model, params, folder);
      if (model.folder !== undefined) await copyCompanions(model.folder, folder);
    },
    [Symbol.dispose]: freed(params),
  };
}

/** Settings that JSON keeps. */
function plain(own: object): object {
  return Object.fromEntries(Object.entries(own).filter(([, value]) => typeof value !== "object"));
}

/**
 * A trained model in hand.
 *
 * @param trained The model; its parameters belong to the result
 * @param facts How it was trained
 */
export function tuned<Name extends TaskName>(trained: TrainedModel, facts: TunedFacts): Tuned<Name> {
  const { kind, method, own } = facts;
  const { model, layer, params } = trained;
  return {
    ...trained,
    task: kind.name,
    predict: (input) => kind.predict(trained, input, { own }) as Promise<OutputOf<Name>>,
    save: async (folder) => {
      if (method.adapter === NO_METHOD) {
        const allowed = "a method that trains some of the model";
        throw new OneloraError({ attempted: `saving into ${folder}`, found: `the adapter ${NO_METHOD}`, allowed });
      }
      const { modules: names, labels, problem, name: baseModel } = model;
      await saveAdapter(folder, { layer, params, spec: method, names, labels, problem, baseModel });
      await writeJson(`${folder}/${NOTES}`, { task: kind.name, settings: plain(own) }, { within: folder });
    },
    merge: () => merged(trained, facts),
    [Symbol.dispose]: freed(params),
  };
}

/** Options of {@linkcode load}. */
export interface LoadOptions<Name extends TaskName> {
  /** The base model (default: the one that the adapter's folder names). */
  readonly model?: string | Model;
  /** The task (default: what the folder says, else the one that trains such models). */
  readonly task?: Name;
  /** Where models of Hugging Face's hub come from and go. */
  readonly hub?: HubOptions;
}

async function json(path: string): Promise<Readonly<Record<string, unknown>> | undefined> {
  const text = await readText(path, SETTINGS_BYTES).catch((error) => {
    if (error.cause instanceof Deno.errors.NotFound) return undefined;
    throw error;
  });
  if (text === undefined) return undefined;
  const found = await guarded(`reading ${path}`, "a JSON object", () => parseSettings(text));
  if (isObject(found)) return found as Readonly<Record<string, unknown>>;
  throw new OneloraError({ attempted: `reading ${path}`, found: "no JSON object", allowed: "a JSON object" });
}

/** The settings of a task that a folder has. */
function settingsIn(kind: TaskKind, settings: unknown): object {
  const given = isObject(settings) ? settings as Readonly<Record<string, unknown>> : {};
  return Object.fromEntries(
    Object.keys(ownSettings(kind)).flatMap((name) => name in given ? [[name, given[name]]] : []),
  );
}

/**
 * Opens a fine-tuned model again: what `save` of a fine-tuned model wrote, a run's folder, or an adapter of Hugging Face
 * PEFT. It predicts as it did.
 *
 * @param folder The folder
 * @param options See {@linkcode LoadOptions}
 * @throws OneloraError for a folder without an adapter, an adapter that names no model, and one of another model
 */
export async function load<Name extends TaskName = "image-classification">(
  folder: string,
  options: LoadOptions<Name> = {},
): Promise<Tuned<Name>> {
  const inside = await json(`${folder}/adapter_config.json`) === undefined ? `${folder}/adapter` : folder;
  const config = await json(`${inside}/adapter_config.json`);
  if (config === undefined) {
    throw new OneloraError({
      attempted: `loading ${folder}`,
      found: "no adapter_config.json",
      allowed: "what `save` wrote, a run's folder, or an adapter of PEFT",
    });
  }
  const notes = await json(`${inside}/${NOTES}`);
  const base = options.model ?? config.base_model_name_or_path;
  if (typeof base !== "string" && typeof base !== "object") {
    throw new OneloraError({ attempted: `loading ${folder}`, found: "no base model", allowed: "`model`" });
  }
  const { model, layer, params } = await openTrained(base as string | Model, {
    adapter: inside,
    key: key(0),
    hub: options.hub,
  });
  const task = options.task ?? notes?.task;
  const kind = typeof task === "string" ? taskKind(task) : requireTask(model, `loading ${folder}`);
  const { adapter, rank, alpha, dropout, target = "all-linear" } = await readAdapterConfig(
    inside,
    model.layer,
    model.modules,
  );
  const method = { adapter, rank, alpha, dropout, target };
  const own = { ...kind.recipe(model.name, "").own, ...settingsIn(kind, notes?.settings) };
  return tuned({ model, layer, params }, { kind, method, own });
}
