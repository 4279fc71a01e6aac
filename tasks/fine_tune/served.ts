/**
 * Several adapters on one base model: the base is loaded once, and each use of it takes the adapters that it names.
 *
 * @module
 */
import { dispose, type Tensor } from "@tensorflow/tfjs-core";
import { type PlacedAdapter, stackAdapters } from "../../adapters/combine/stack.ts";
import { OneloraError, unknownName } from "../../dsl/error.ts";
import { type Layer, specs } from "../../dsl/layer.ts";
import { init } from "../../dsl/apply.ts";
import { key } from "../../dsl/random.ts";
import type { Params, Path } from "../../dsl/tree.ts";
import { type HubOptions, loadParams, type Model, openModel } from "../../models/mod.ts";
import { substituteOf } from "../../models/checkpoint/keys.ts";
import { requireTask, taskKind, type TaskName } from "../kinds.ts";
import { requireRoomToUse } from "../trainer/room.ts";
import { adapterFolder, fitted, placeFolder } from "../place.ts";
import type { TaskKind } from "../trainer/task.ts";
import type { TrainedModel } from "../trainer/prediction.ts";
import { notesOf, settingsIn } from "./notes.ts";
import type { InputOf, OutputOf } from "./options.ts";

/** A base model with some of the adapters, or none. It owns no tensors: it is good as long as those adapters are there. */
export interface Used<Name extends TaskName> extends TrainedModel {
  /** What it makes of an input. */
  readonly predict: (input: InputOf<Name>) => Promise<OutputOf<Name>>;
}

/** A base model and adapters for it, by name. Disposing it frees them all. */
export interface Served<Name extends TaskName> extends Disposable {
  /** The task. */
  readonly task: string;
  /** The base model. */
  readonly model: Model;
  /** The base model's parameters, which no adapter changes. */
  readonly params: Params;
  /** Names of the adapters. */
  readonly names: () => readonly string[];
  /**
   * The model with an adapter, with several (the sum of their updates), or with none. What other uses compute is not changed
   * by it: requests for different adapters may be answered side by side.
   */
  readonly use: (...names: readonly string[]) => Promise<Used<Name>>;
  /** Reads one more adapter. */
  readonly add: (name: string, folder: string) => Promise<void>;
  /** Gives an adapter another name. */
  readonly rename: (from: string, to: string) => void;
  /** Frees an adapter. */
  readonly remove: (name: string) => void;
}

/** Options of {@linkcode serve}. */
export interface ServeOptions<Name extends TaskName> {
  /** Folders of adapters by name. */
  readonly adapters?: Readonly<Record<string, string>>;
  /** The task (default: the one that trains such models). */
  readonly task?: Name;
  /** Where models of Hugging Face's hub come from and go. */
  readonly hub?: HubOptions;
}

/** An adapter in use. */
interface Held extends PlacedAdapter {
  /** The base's description with the adapter's classes. */
  readonly model: Model;
  readonly layer: Layer;
  /** Tensors that are the adapter's alone, what it computes from the base's among them. */
  readonly params: Params;
  /** The task's own settings that it was trained with. */
  readonly own: object;
}

/** The base's tensors that a description with other classes, or an untied head, has too. */
function sharedWith(model: Model, base: Params, read: Params, attempted: string): Params {
  const shared: Record<Path, Tensor> = {};
  for (const [path, { shape }] of Object.entries(specs(model.layer))) {
    if (read[path] !== undefined) continue;
    const own = [base[path], base[substituteOf(model.keys, path) ?? path]].find((each) =>
      `${each?.shape}` === `${shape}`
    );
    if (own === undefined) {
      const found = `no "${path}" of shape [${shape}] in it`;
      throw new OneloraError({ attempted, found, allowed: "an adapter with all that the base model lacks" });
    }
    shared[path] = own;
  }
  return shared;
}

async function hold(name: string, given: string, published: Model, base: Params, kind: TaskKind): Promise<Held> {
  const folder = await adapterFolder(given);
  const model = await fitted(folder, published);
  const { layer, params: read } = await placeFolder(folder, model, base, { name });
  try {
    const shared = sharedWith(model, base, read, `loading ${folder}`);
    const all = init(layer, key(0), { ...shared, ...read });
    const params = Object.fromEntries(Object.entries(all).filter(([path]) => shared[path] === undefined));
    const own = { ...kind.recipe(published.name, "").own, ...settingsIn(kind, (await notesOf(folder))?.settings) };
    return { name, model, layer, params, own };
  } catch (error) {
    dispose(read as Record<Path, Tensor>);
    throw error;
  }
}

/**
 * Loads a base model once, and adapters for it by name.
 *
 * @param base What `openModel` takes, or an opened model
 * @param options See {@linkcode ServeOptions}
 * @throws OneloraError for adapters of another model, and two of one name
 */
export async function serve<Name extends TaskName>(
  base: string | Model,
  { adapters = {}, task, hub }: ServeOptions<Name>,
): Promise<Served<Name>> {
  const published = typeof base === "string" ? await openModel(base, { hub }) : base;
  const kind = task === undefined ? requireTask(published, `serving ${published.name}`) : taskKind(task);
  await requireRoomToUse(published, () => published.layer, {});
  const { params } = await loadParams(published, key(0));
  const held = new Map<string, Held>();
  const the = (name: string): Held => {
    const found = held.get(name);
    if (found === undefined) throw unknownName("adapter", name, [...held.keys()]);
    return found;
  };
  const refuseTaken = (name: string) => {
    if (!held.has(name) && name !== "") return;
    const found = name === "" ? "an empty name" : `"${name}", which there is`;
    throw new OneloraError({ attempted: "naming an adapter", found, allowed: "a new name" }, { exitCode: 2 });
  };
  const free = (each: Held) => dispose(each.params as Record<Path, Tensor>);
  const add = async (name: string, folder: string) => {
    refuseTaken(name);
    const one = await hold(name, folder, published, params, kind);
    held.set(name, one);
  };
  const used = (trained: TrainedModel, own: object): Used<Name> => ({
    ...trained,
    predict: (input) => kind.predict(trained, input, { own }) as Promise<OutputOf<Name>>,
  });
  const use = async (...names: readonly string[]): Promise<Used<Name>> => {
    const chosen = names.map(the);
    if (chosen.length === 0) {
      return used({ model: published, layer: published.layer, params }, kind.recipe(published.name, "").own ?? {});
    }
    // Of several, one at most brings classes of its own.
    const { model, own } = chosen.find((each) => `${each.model.labels}` !== `${published.labels}`) ?? chosen[0];
    const { layer, params: above } = chosen.length === 1 ? chosen[0] : await stackAdapters(model.layer, chosen);
    const below = sharedWith(model, params, above, `using ${names.join(" and ")}`);
    return used({ model, layer, params: { ...below, ...above } }, own);
  };
  const served: Served<Name> = {
    task: kind.name,
    model: published,
    params,
    names: () => [...held.keys()],
    use,
    add,
    rename: (from, to) => {
      const one = the(from);
      refuseTaken(to);
      held.delete(from);
      held.set(to, { ...one, name: to });
    },
    remove: (name) => {
      free(the(name));
      held.delete(name);
    },
    [Symbol.dispose]: () => {
      held.forEach(free);
      held.clear();
      dispose(params as Record<Path, Tensor>);
    },
  };
  try {
    for (const [name, folder] of Object.entries(adapters)) await add(name, folder);
    return served;
  } catch (error) {
    served[Symbol.dispose]();
    throw error;
  }
}
