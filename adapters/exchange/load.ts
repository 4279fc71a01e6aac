/**
 * Reads adapter folders.
 *
 * @module
 */
import { dispose, type Tensor } from "@tensorflow/tfjs-core";
import { nearest, OneloraError } from "../../dsl/error.ts";
import type { AnyLayer } from "../../dsl/layer.ts";
import { openSafetensors, readAgreeing, toTensor } from "../../dsl/safetensors/mod.ts";
import type { Params, Path, Tree } from "../../dsl/tree.ts";
import { adapt } from "../spec.ts";
import { type AdapterConfig, readAdapterConfig, readLayout } from "./config.ts";
import { identify, type ModuleNames, slots, stored } from "./format.ts";

/** Element types that become float32. */
const FLOATS: readonly string[] = ["F64", "F32", "F16", "BF16"];

/**
 * Reads an adapter's tensors by parameter path. Every key must belong to the model, and every parameter of the adapter (and
 * of the base model, where it is trained) must be there; modules may go by any of their names in Python. Half precision
 * becomes float32. Needs `--allow-read`.
 *
 * @param folder The adapter's folder
 * @param layer The adapted model: `adapt(config.adapter, config)(model)`
 * @param names The model's names in Python
 * @returns What to lay over the model's parameters: `{ ...params, ...read }`
 * @throws OneloraError naming the tensor that is missing, unexpected or of another type or shape
 */
export async function readAdapterParams(folder: string, layer: AnyLayer, names: ModuleNames): Promise<Params> {
  const layout = await readLayout(folder);
  await using checkpoint = await openSafetensors(`${folder}/adapter_model.safetensors`);
  const attempted = `loading ${folder}`;
  const complain = (key: string, found: string, allowed: string) =>
    new OneloraError({ attempted: `${attempted}, tensor "${key}"`, found, allowed });

  const wanted = slots(layer).map((slot) => ({ slot, ...stored(slot, layout, names) }));
  const byId = new Map(wanted.map((each) => [each.id, each]));
  const found = new Map<string, string[]>();
  for (const key of checkpoint.names) {
    const id = identify(key, names);
    const slot = byId.get(id);
    if (slot === undefined) {
      const near = nearest(key, wanted.flatMap(({ keys }) => keys));
      throw complain(
        key,
        "an unexpected key",
        `keys of the adapted model${near === undefined ? "" : `, e.g. "${near}"`}`,
      );
    }
    const { dtype, shape } = checkpoint.info(key);
    if (!FLOATS.includes(dtype) || `${shape}` !== `${slot.shape}`) {
      throw complain(key, `${dtype} of shape [${shape}]`, `${FLOATS.join(", ")} of shape [${slot.shape}]`);
    }
    found.set(id, [...found.get(id) ?? [], key]);
  }
  const missing = wanted.find(({ id }) => !found.has(id));
  if (missing !== undefined) throw complain(missing.keys[0], "no such key", `a tensor of shape [${missing.shape}]`);

  const read: Record<Path, Tensor> = {};
  try {
    for (const { slot, id } of wanted) {
      const host = await readAgreeing(checkpoint, found.get(id)!, attempted);
      read[slot.path] = toTensor({ ...host, shape: slot.spec.shape });
    }
  } catch (error) {
    dispose(read);
    throw error;
  }
  return read;
}

/** What an adapter's file says before any tensor is read. */
export interface AdapterHeader {
  /** Dimensions of every tensor by the path of its parameter, as far as names alone tell it. */
  readonly shapes: Tree<readonly number[]>;
  /** Names of the classes that the adapter's head is for, if its writer gave them. */
  readonly labels?: readonly string[];
}

/** The class names in a file's metadata; of text that is not this package's own, none. */
function labelsIn(metadata: string | undefined): readonly string[] | undefined {
  try {
    const { labels } = JSON.parse(metadata ?? "{}");
    return Array.isArray(labels) && labels.every((label) => typeof label === "string") ? labels : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Reads the header of an adapter's tensors: enough to open its model with a head of the right size. Needs `--allow-read`.
 *
 * @param folder The adapter's folder
 * @param names The model's names in Python
 */
export async function readAdapterHeader(folder: string, names: ModuleNames): Promise<AdapterHeader> {
  await using checkpoint = await openSafetensors(`${folder}/adapter_model.safetensors`);
  return {
    shapes: Object.fromEntries(checkpoint.names.map((key) => [identify(key, names), checkpoint.info(key).shape])),
    labels: labelsIn(checkpoint.metadata.onelora),
  };
}

/** An adapter, read. */
export interface LoadedAdapter<Model extends AnyLayer> {
  /** What it is. */
  readonly config: AdapterConfig;
  /** The adapted model. */
  readonly layer: Model;
  /** The adapter's tensors by path, to be laid over the base model's. */
  readonly params: Params;
}

/**
 * Reads an adapter folder and places the adapter on a model. What can be computed from the base weights (DoRA's norms) is
 * not in `params`: `init(layer, key, { ...base, ...params })` completes it.
 *
 * @param folder The adapter's folder, written by {@linkcode saveAdapter} or by PEFT
 * @param model The model before it is adapted
 * @param names The model's names in Python
 * @throws OneloraError as {@linkcode readAdapterConfig} and {@linkcode readAdapterParams} do
 */
export async function loadAdapter<Model extends AnyLayer>(
  folder: string,
  model: Model,
  names: ModuleNames,
): Promise<LoadedAdapter<Model>> {
  const config = await readAdapterConfig(folder, model, names);
  const layer = adapt(config.adapter, config)(model);
  return { config, layer, params: await readAdapterParams(folder, layer, names) };
}
