/**
 * Models with their adapter's folder laid over them, and merged.
 *
 * @module
 */
import { dispose, type Tensor, tidy } from "@tensorflow/tfjs-core";
import { adapt, mergeParams, readAdapterConfig } from "../adapters/mod.ts";
import { readAdapterHeader, readAdapterParams, untiesWeights } from "../adapters/exchange/load.ts";
import { OneloraError } from "../dsl/error.ts";
import { init, type Layer, specs } from "../dsl/layer.ts";
import { type Key, key } from "../dsl/random.ts";
import type { Params, Path } from "../dsl/tree.ts";
import {
  type DescriptionOptions,
  type HubOptions,
  loadParams,
  type Model,
  openCheckpoint,
  openModel,
} from "../models/mod.ts";
import type { Holding } from "../models/checkpoint/load.ts";
import { labelNames } from "../models/config.ts";

/** Options of {@linkcode openTrained}. */
export interface OpenOptions {
  /** Folder of an adapter to place on the model. */
  readonly adapter?: string;
  /** First values of what no file holds. */
  readonly key: Key;
  /**
   * What weights are kept as in the engine.
   *
   * @internal
   */
  readonly holding?: Holding;
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
}

/** What an adapter's head is for, where it is not what the model's own is for. */
type HeadOptions = Pick<DescriptionOptions, "labels" | "problem">;

/** The classes that an adapter's head is for: by name if its folder has names, else as many as the head has. */
async function classesOf(adapter: string, model: Model): Promise<HeadOptions> {
  if (model.labels === undefined || model.classPart === undefined) return {};
  const { shapes, labels, problem } = await readAdapterHeader(adapter, model.modules, { open: openCheckpoint });
  const rows = shapes[`${model.classPart.path}.weight`]?.[0];
  if (rows === undefined) return {};
  const count = rows - model.classPart.extraRows;
  const named = labels?.length === count ? labels : count === model.labels.length ? undefined : labelNames(count);
  return { ...(named && { labels: named }), ...(problem && { problem }) };
}

/** The model that an adapter goes on: with its classes, and with the head untied where the adapter has it apart. */
async function fitted(adapter: string, model: Model): Promise<Model> {
  const sized = model.with(await classesOf(adapter, model));
  const isUntied = await untiesWeights(adapter, sized.layer, sized.modules, { open: openCheckpoint });
  return isUntied ? sized.with({ untied: true }) : sized;
}

/** Replaces tensors of a tree, disposing those that give way. */
function overlay(base: Params, above: Params): Params {
  for (const path of Object.keys(above)) base[path]?.dispose();
  return { ...base, ...above };
}

/**
 * Opens a model by preset name or folder with all its parameters, and an adapter folder on it. The head gets the adapter's
 * classes, whatever the model's own were.
 *
 * @param name What `openModel` takes: preset name, Hugging Face folder, `hf:ORG/NAME`, PRESET=FILE; or an opened model
 * @param options See {@linkcode OpenOptions}
 * @throws OneloraError for a model or adapter that cannot be read, and an adapter of another model
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
  const { adapter, hub } = options;
  const published = typeof name === "string" ? await openModel(name, { hub }) : name;
  const model = adapter === undefined ? published : await fitted(adapter, published);
  const base = await loadParams(model, options.key, model.layer, options.holding);
  if (adapter === undefined) return { model, layer: model.layer, ...base };
  try {
    const config = await readAdapterConfig(adapter, model.layer, model.modules);
    const layer = adapt(config.adapter, config)(model.layer);
    const read = await readAdapterParams(adapter, layer, model.modules, { open: openCheckpoint, base: base.params });
    // What an adapter computes from the base weights (DoRA's norms) is in no file.
    const params = init(layer, options.key, overlay(base.params, read));
    return {
      model,
      layer,
      params,
      initialised: base.initialised.filter((path) => read[path] === undefined),
      part: base.part,
    };
  } catch (error) {
    dispose(base.params as Record<Path, Tensor>);
    throw error;
  }
}

/** A model without adapters, and its parameters. */
export type PlainModel = Pick<OpenedModel, "model" | "params">;

/**
 * Folds a model's adapters into its weights. Where they give biases to layers without, the model becomes its architecture's
 * variant with biases in all; where they change a head that is the table, or the table, the two become separate.
 *
 * @param opened An adapted model; its parameters that nothing changed are shared with the result
 * @throws OneloraError if the architecture has no such variant
 */
export function mergeOpened(opened: OpenedModel): Promise<PlainModel> {
  return Promise.resolve(opened).then(folded);
}

function folded({ model, layer, params }: OpenedModel): PlainModel {
  // What merging keeps for its undoing goes with the tidy.
  const merged: Params = tidy(() => ({ ...mergeParams(layer, params).params }));
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
