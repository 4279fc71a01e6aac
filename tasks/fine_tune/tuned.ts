/**
 * A fine-tuned model in hand: it predicts, is saved and loaded again, and merged.
 *
 * @module
 */
import { dispose, type Tensor } from "@tensorflow/tfjs-core";
import { type AdapterSpec, readAdapterConfig, saveAdapter } from "../../adapters/mod.ts";
import { sampleBase } from "../../adapters/exchange/base.ts";
import { OneloraError } from "../../dsl/error.ts";
import { key } from "../../dsl/random.ts";
import { mapTree, type Params } from "../../dsl/tree.ts";
import { type HubOptions, type Model, saveModel } from "../../models/mod.ts";
import { copyCompanions } from "../../models/companions/files.ts";
import { requireTask, taskKind, type TaskName } from "../kinds.ts";
import { mergeOpened, openTrained } from "../open.ts";
import { adapterFolder, baseNamed } from "../place.ts";
import { NO_METHOD } from "../trainer/method.ts";
import type { TaskKind } from "../trainer/task.ts";
import type { MethodSettings } from "../trainer/run_settings.ts";
import type { TrainedModel } from "../trainer/prediction.ts";
import { objectIfThere } from "../../dsl/files/if_there.ts";
import { notesOf, settingsIn, writeNotes } from "./notes.ts";
import type { InputOf, OutputOf } from "./options.ts";
import { serve, type Served, type ServeOptions } from "./served.ts";

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

/** What there is to know of a trained model besides its tensors. */
export interface TunedFacts {
  /** The task. */
  readonly kind: TaskKind;
  /** The method. */
  readonly method: MethodSettings & AdapterSpec;
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
      const base = await sampleBase(layer, params);
      await saveAdapter(folder, { layer, params, spec: method, names, labels, problem, base, baseModel });
      await writeNotes(folder, kind, own);
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

/**
 * Opens a fine-tuned model again: what `save` of a fine-tuned model wrote, a run's folder, or an adapter of Hugging Face
 * PEFT. It predicts as it did. With `adapters`, a base model is loaded once, and `use` takes adapters by name.
 *
 * @param folder The folder
 * @param options See {@linkcode LoadOptions}
 * @throws OneloraError for a folder without an adapter, an adapter that names no model, and one of another model
 */
export function load<Name extends TaskName = "image-classification">(
  folder: string,
  options?: LoadOptions<Name> & { readonly adapters?: undefined },
): Promise<Tuned<Name>>;
/** Loads a base model once, and adapters for it by name. */
export function load<Name extends TaskName = "image-classification">(
  base: string | Model,
  options: ServeOptions<Name> & { readonly adapters: Readonly<Record<string, string>> },
): Promise<Served<Name>>;
export function load<Name extends TaskName>(
  given: string | Model,
  options: LoadOptions<Name> | ServeOptions<Name> = {},
): Promise<Tuned<Name> | Served<Name>> {
  if ("adapters" in options && options.adapters !== undefined) return serve(given, options);
  return opened(given as string, options);
}

async function opened<Name extends TaskName>(folder: string, options: LoadOptions<Name>): Promise<Tuned<Name>> {
  const inside = await adapterFolder(folder);
  const config = await objectIfThere(`${inside}/adapter_config.json`);
  if (config === undefined) {
    throw new OneloraError({
      attempted: `loading ${folder}`,
      found: "no adapter_config.json",
      allowed: "what `save` wrote, a run's folder, an adapter of PEFT, or a base model and `adapters`",
    });
  }
  const notes = await notesOf(inside);
  const base = options.model ?? await baseNamed(config);
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
  const { target = "all-linear", ...spec } = await readAdapterConfig(inside, model.layer, model.modules);
  const method = { ...spec, target };
  const own = { ...kind.recipe(model.name, "").own, ...settingsIn(kind, notes?.settings) };
  return tuned({ model, layer, params }, { kind, method, own });
}
