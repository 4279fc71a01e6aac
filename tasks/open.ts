/**
 * Models with their adapter's folder laid over them, and merged.
 *
 * @module
 */
import { dispose, type Tensor, type Tensor2D, tidy } from "@tensorflow/tfjs-core";
import { mergeParams } from "../adapters/mod.ts";
import { stackAdapters } from "../adapters/combine/stack.ts";
import { isHalfForm, storedForm } from "../dsl/engine/stored.ts";
import { OneloraError } from "../dsl/error.ts";
import { collectingGarbage } from "../dsl/garbage.ts";
import { held } from "../dsl/hold.ts";
import { type Layer, specs, walk } from "../dsl/layer.ts";
import { init } from "../dsl/apply.ts";
import { type Key, key } from "../dsl/random.ts";
import { release } from "../dsl/release.ts";
import type { Params, Path } from "../dsl/tree.ts";
import { type HubOptions, loadParams, type Model, openModel } from "../models/mod.ts";
import type { Holding } from "../models/checkpoint/forms.ts";
import { adaptedBy, fitted, type PlacedFolder, placeFolder, requireAdapterFolder } from "./place.ts";
import { requireRoomToUse, type Use } from "./trainer/room.ts";

/** Options of {@linkcode openTrained}. */
export interface OpenOptions {
  /** Folder of an adapter to place on the model, an adapter's or a run's; of several, the sum of their updates. */
  readonly adapter?: string | readonly string[];
  /** First values of what no file holds. */
  readonly key: Key;
  /**
   * What weights are kept as in the engine.
   *
   * @internal
   */
  readonly holding?: Holding;
  /**
   * What is done with the model, which is refused before anything of it is read where it does not fit into memory.
   *
   * @internal
   */
  readonly use?: Use;
  /** Where models of Hugging Face's hub come from and go. */
  readonly hub?: HubOptions;
}

/** A model ready to run. */
export interface OpenedModel {
  /** Its description. */
  readonly model: Model;
  /** Its layer, adapted if an adapter was given. */
  readonly layer: Layer;
  /** All of its parameters; the caller's to dispose. */
  readonly params: Params;
  /** Paths that no file held and that start from the key. */
  readonly initialised: readonly Path[];
  /** The entry that was taken of a file of PyTorch's that holds several, e.g. `ema`. */
  readonly part?: string;
  /** What of its files is not used although some would expect it, in words. */
  readonly unused?: string;
}

/** Replaces tensors of a tree, disposing those that give way. */
function overlay(base: Params, above: Params): Params {
  for (const path of Object.keys(above)) base[path]?.dispose();
  return { ...base, ...above };
}

/** Adapters from their folders on one model; on an error nothing of them is left. */
export async function placeFolders(
  folders: readonly string[],
  model: Model,
  base: Params,
  holding: Holding = {},
): Promise<readonly PlacedFolder[]> {
  const placed: PlacedFolder[] = [];
  try {
    for (const folder of folders) placed.push(await placeFolder(folder, model, base, { holding }));
    return placed;
  } catch (error) {
    dispose(placed.map(({ params }) => params as Record<Path, Tensor>));
    throw error;
  }
}

/** The model that adapters go on, and their folders. */
export async function fittedTo(
  published: Model,
  adapter: OpenOptions["adapter"],
): Promise<{ readonly model: Model; readonly folders: readonly string[] }> {
  const folders = await Promise.all([adapter ?? []].flat().map(requireAdapterFolder));
  let model = published;
  for (const folder of folders) model = await fitted(folder, model);
  return { model, folders };
}

/**
 * Opens a model by preset name or folder with all its parameters, and adapter folders on it. The head gets the adapter's
 * classes, whatever the model's own were.
 *
 * @param name What `openModel` takes: preset name, Hugging Face folder, `hf:ORG/NAME`, PRESET=FILE; or an opened model
 * @param options See {@linkcode OpenOptions}
 * @throws OneloraError for a model or adapter that cannot be read, an adapter of another model, and what does not fit into
 *   memory
 *
 * @example
 * ```ts
 * import { key, useBackend } from "@onelora/onelora/dsl";
 * import { openTrained } from "@onelora/onelora/tasks";
 * import { assertEquals } from "@std/assert";
 * await useBackend("cpu");
 * const { model, params } = await openTrained("vit-micro", { key: key(0) });
 * assertEquals(params["classifier.weight"].shape, [model.labels?.length, 128]);
 * ```
 */
export async function openTrained(name: string | Model, options: OpenOptions): Promise<OpenedModel> {
  const { adapter, hub, holding = {}, use } = options;
  const published = typeof name === "string" ? await openModel(name, { hub }) : name;
  const { model, folders } = await fittedTo(published, adapter);
  // Of several adapters on one another the first stands for all.
  await requireRoomToUse(model, () => folders.length === 0 ? model.layer : adaptedBy(folders[0], model), holding, use);
  const base = await loadParams(model, options.key, model.layer, holding);
  if (folders.length === 0) return { model, layer: model.layer, ...base };
  const placed: (readonly PlacedFolder[])[] = [];
  try {
    placed.push(await placeFolders(folders, model, base.params, holding));
    const [[first, ...others]] = placed;
    const { layer, params: read } = others.length === 0 ? first : await stackAdapters(model.layer, [first, ...others]);
    // What several trained whole alike is there several times.
    const unused = placed[0].flatMap(({ params }) =>
      Object.values<Tensor>(params).filter((tensor) => !Object.values(read).includes(tensor))
    );
    dispose(unused);
    // What an adapter computes from the base weights (DoRA's norms) is in no file.
    const params = init(layer, options.key, overlay(base.params, read));
    return {
      model,
      layer,
      params,
      initialised: base.initialised.filter((path) => read[path] === undefined),
      part: base.part,
      unused: base.unused,
    };
  } catch (error) {
    dispose([base.params, ...placed.flat().map(({ params }) => params)] as Record<Path, Tensor>[]);
    throw error;
  }
}

/** A model without adapters, and its parameters. */
export type PlainModel = Pick<OpenedModel, "model" | "params">;

/** Paths that several layers read. */
function sharedPaths(layer: Layer): ReadonlySet<Path> {
  return new Set(
    [...walk(layer)].flatMap(([, { params }]) => Object.values(params).flatMap(({ shared }) => shared ?? [])),
  );
}

/** A merged weight in the halves that the one before was kept in; in its place where it is kept in none. */
function inFormOf(before: Tensor | undefined, merged: Tensor2D): Tensor2D {
  const form = before && storedForm(before);
  if (form === undefined || !isHalfForm(form)) return merged;
  const data = merged.dataSync<"float32">();
  const kept = held({ dtype: "F32", shape: merged.shape, data }, form);
  merged.dispose();
  release(data);
  return kept as Tensor2D;
}

/**
 * Folds a model's adapters into its weights, whose tensors are freed as they give way: there is never more than the model
 * and one weight.
 *
 * @param opened An adapted model, all of whose parameters are the callee's
 * @param inHalves Whether weights that were kept in halves are again, rounded to the nearest (default no)
 * @returns The model, whose parameters are the caller's to dispose
 * @throws OneloraError if the architecture has no such variant
 */
export async function mergeAway(opened: OpenedModel, inHalves: boolean = false): Promise<PlainModel> {
  const shared = sharedPaths(opened.layer);
  const givesWay = collectingGarbage();
  try {
    const merged = await Promise.resolve(opened).then((each) =>
      folded(each, (path, merged) => {
        const before = each.params[path];
        const kept = inHalves ? inFormOf(before, merged) : merged;
        if (!shared.has(path)) before?.dispose();
        givesWay(4 * merged.size);
        return kept;
      })
    );
    const kept = new Set(Object.values<Tensor>(merged.params));
    dispose(Object.values<Tensor>(opened.params).filter((tensor) => !kept.has(tensor)));
    return merged;
  } catch (error) {
    dispose(opened.params as Record<Path, Tensor>);
    throw error;
  }
}

/**
 * Folds a model's adapters into its weights. Where they give biases to layers without, the model becomes its architecture's
 * variant with biases in all; where they change a head that is the table, or the table, the two become separate.
 *
 * @param opened An adapted model; its parameters that nothing changed are shared with the result
 * @throws OneloraError if the architecture has no such variant
 */
export function mergeOpened(opened: OpenedModel): Promise<PlainModel> {
  return Promise.resolve(opened).then((each) => folded(each));
}

function folded({ model, layer, params }: OpenedModel, onMerged?: Parameters<typeof mergeParams>[2]): PlainModel {
  // What merging keeps for its undoing goes with the tidy.
  const merged: Params = tidy(() => ({ ...mergeParams(layer, params, onMerged).params }));
  const added = Object.keys(merged).filter((path) => specs(model.layer)[path] === undefined);
  if (added.length === 0) return { model, params: merged };
  // What is the least of a change: biases, a head of its own, or both.
  const variants = [{ biases: true }, { untied: true }, { untied: true, biases: true }].map(model.with);
  const hasAll = ({ layer }: Model) => added.every((path) => specs(layer)[path] !== undefined);
  const whole = variants.find(hasAll) ?? variants[0];
  const missing = added.find((path) => specs(whole.layer)[path] === undefined);
  if (missing !== undefined) {
    dispose(Object.values(merged).filter((tensor) => !Object.values(params).includes(tensor)));
    throw new OneloraError({
      attempted: `merging an adapter into ${model.name}`,
      found: `a new parameter, "${missing}"`,
      allowed: `adapters that add no bias: ${model.family} has none there`,
    });
  }
  // The biases that no adapter gave are zeros; everything else is there already.
  return { model: whole, params: init(whole.layer, key(0), merged) };
}
