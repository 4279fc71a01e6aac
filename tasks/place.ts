/**
 * Adapters from folders, placed on a model whose parameters are there.
 *
 * @module
 */
import type { Tensor } from "@tensorflow/tfjs-core";
import { adapt, type AdapterConfig, readAdapterConfig } from "../adapters/mod.ts";
import type { PlacedAdapter } from "../adapters/combine/stack.ts";
import { checkBase } from "../adapters/exchange/base.ts";
import { readAdapterHeader, readAdapterParams, untiesWeights } from "../adapters/exchange/load.ts";
import { OneloraError } from "../dsl/error.ts";
import { objectIfThere } from "../dsl/files/if_there.ts";
import { isFileAt } from "../dsl/files/store.ts";
import type { Layer } from "../dsl/layer.ts";
import { glob, type Params } from "../dsl/tree.ts";
import { type DescriptionOptions, type Model, openCheckpoint } from "../models/mod.ts";
import { type Holding, quantisedPaths } from "../models/checkpoint/forms.ts";
import { labelNames } from "../models/config.ts";
import { placeAt } from "./data/files.ts";

/** What an adapter's head is for, where it is not what the model's own is for. */
type HeadOptions = Pick<DescriptionOptions, "labels" | "problem">;

/** The classes that an adapter's head is for: by name if its folder has names, else as many as the head has. */
async function classesOf(adapter: string, model: Model): Promise<HeadOptions> {
  if (model.labels === undefined || model.classPart === undefined) return {};
  const { shapes, labels, problem } = await readAdapterHeader(adapter, model.modules, { open: openCheckpoint });
  // A model with two heads has as many rows in each.
  const isRows = glob(`${model.classPart.path}.weight`);
  const [rows] = Object.entries(shapes).find(([path]) => isRows(path))?.[1] ?? [];
  if (rows === undefined) return {};
  const count = rows - model.classPart.extraRows;
  const named = labels?.length === count ? labels : count === model.labels.length ? undefined : labelNames(count);
  return { ...(named && { labels: named }), ...(problem && { problem }) };
}

/**
 * The model that an adapter goes on: with its classes, and with the head untied where the adapter has it apart.
 *
 * @param adapter The adapter's folder
 * @param model The model as it is published
 */
export async function fitted(adapter: string, model: Model): Promise<Model> {
  const sized = model.with(await classesOf(adapter, model));
  const isUntied = await untiesWeights(adapter, sized.layer, sized.modules, { open: openCheckpoint });
  return isUntied ? sized.with({ untied: true }) : sized;
}

/**
 * The folder of an adapter: what is named, or `adapter/` in it, as a run's folder has it.
 *
 * @param folder An adapter's or a run's folder
 */
export async function adapterFolder(folder: string): Promise<string> {
  return !await isAdapter(folder) && await isAdapter(`${folder}/adapter`) ? `${folder}/adapter` : folder;
}

/**
 * The folder of an adapter as {@linkcode adapterFolder} has it, which is there.
 *
 * @param folder An adapter's or a run's folder
 * @throws OneloraError for anything else, saying what of adapters lies there
 */
export async function requireAdapterFolder(folder: string): Promise<string> {
  const found = await adapterFolder(folder);
  if (await isAdapter(found)) return found;
  throw new OneloraError({
    attempted: `opening the adapter ${folder}`,
    found: `no adapter_config.json there${await adaptersIn(folder)}`,
    allowed: "the folder of one adapter, a run's or one of PEFT's: adapter_config.json and its weights",
  });
}

/** Whether a folder is an adapter's. */
const isAdapter = async (path: string): Promise<boolean> => await isFileAt(`${path}/adapter_config.json`);

/** What else of adapters lies at a place: folders of several, or weights as kohya's scripts and diffusers write them. */
async function adaptersIn(place: string): Promise<string> {
  if (await isFileAt(place)) return ": it is a file";
  const entries = await Array.fromAsync(Deno.readDir(place)).catch(() => []);
  const names = entries.map(({ name }) => name).sort();
  const inner = await Promise.all(names.map(async (name) => await isAdapter(`${place}/${name}`) ? [name] : []));
  if (inner.flat().length > 0) return `, but adapters in its folders ${inner.flat().slice(0, 10).join(", ")}`;
  const weights = names.filter((name) => /\.(?:safetensors|bin|pt)$/.test(name));
  return weights.length === 0 ? "" : `, but ${weights.slice(0, 3).join(", ")}, weights that do not say what they adapt`;
}

/**
 * The base model that an `adapter_config.json` names. PEFT's `ORG/NAME`, which is no folder here, is the hub's.
 *
 * @param config The file's fields
 */
export async function baseNamed(config: Readonly<Record<string, unknown>>): Promise<unknown> {
  const { base_model_name_or_path: name, revision } = config;
  if (typeof name !== "string" || !/^\w[\w.-]*\/\w[\w.-]*$/.test(name)) return name;
  if (await placeAt(name) !== undefined) return name;
  return `hf:${name}${typeof revision === "string" && revision !== "" ? `@${revision}` : ""}`;
}

/**
 * The model that an adapter's folder names, if it names one.
 *
 * @param folder The adapter's folder, or its run's
 * @throws OneloraError for what is no adapter's folder
 */
export async function baseOfAdapter(folder: string): Promise<string | undefined> {
  const inside = await requireAdapterFolder(folder);
  const base = await baseNamed(await objectIfThere(`${inside}/adapter_config.json`) ?? {});
  return typeof base === "string" && base !== "" ? base : undefined;
}

/** An adapter of a folder on a model. */
export interface PlacedFolder extends PlacedAdapter {
  /** What it is. */
  readonly spec: AdapterConfig;
  /** The adapted model. */
  readonly layer: Layer;
}

/**
 * A model's layer with an adapter on it, whose parameters are not read.
 *
 * @param folder The adapter's folder
 * @param model The model that it goes on
 */
export async function adaptedBy(folder: string, { layer, modules }: Pick<Model, "layer" | "modules">): Promise<Layer> {
  const spec = await readAdapterConfig(folder, layer, modules);
  return adapt(spec.adapter, spec)(layer);
}

/**
 * Reads an adapter for a model.
 *
 * @param folder The adapter's folder
 * @param model The model that it goes on
 * @param base The model's own parameters, with which what the folder knows of them is compared
 * @param options What messages call it (default: its folder), and what the model's weights are kept as
 * @throws OneloraError for an adapter of another model
 */
export async function placeFolder(
  folder: string,
  model: Model,
  base: Params,
  { name = folder, holding = {} }: { readonly name?: string; readonly holding?: Holding } = {},
): Promise<PlacedFolder> {
  const { base: sample = {} } = await readAdapterHeader(folder, model.modules, { open: openCheckpoint });
  const spec = await readAdapterConfig(folder, model.layer, model.modules);
  const layer = adapt(spec.adapter, spec)(model.layer);
  const params = await readAdapterParams(folder, layer, model.modules, { open: openCheckpoint, base });
  try {
    await checkBase(folder, sample, base, await quantisedPaths(model, holding));
  } catch (error) {
    Object.values<Tensor>(params).forEach((tensor) => tensor.dispose());
    throw error;
  }
  return { name, spec, layer, params };
}
