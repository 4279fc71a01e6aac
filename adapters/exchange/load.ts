/**
 * Reads adapter folders.
 *
 * @module
 */
import { dispose, type Tensor } from "@tensorflow/tfjs-core";
import { nearest, OneloraError } from "../../dsl/error.ts";
import type { AnyLayer } from "../../dsl/layer.ts";
import { agree, type HostTensor, readAgreeing, toTensor } from "../../dsl/safetensors/mod.ts";
import type { ModuleNames, Params, Path, Tree } from "../../dsl/tree.ts";
import { adapt } from "../spec.ts";
import { type BaseSample, readSample } from "./base.ts";
import { type AdapterConfig, readAdapterConfig, readLayout } from "./config.ts";
import { type Fields, readFields } from "./fields.ts";
import { baseParameter, identify, OWN_LAYOUT, type Slot, slots, stored, tiedWeights } from "./format.ts";
import { savedPaths } from "./modules.ts";
import { veraProjections } from "./projections.ts";
import { compareBase, FLOATS, openTensors, type ReadAdapterOptions } from "./tensors.ts";

/** VeRA's projections that a file leaves out. */
function madeProjections(fields: Fields, wanted: readonly Slot[]): ReadonlyMap<Path, () => HostTensor> {
  if (fields.json.peft_type !== "VERA" || fields.json.save_projection !== false) return new Map();
  const seed = fields.number("projection_prng_key") ?? 0;
  if (!Number.isSafeInteger(seed) || seed < 0) throw fields.wrong("projection_prng_key", "a whole number, 0 or more");
  const slotOf = (name: string) => wanted.find((slot) => slot.name === `vera.${name}`);
  const [down, up] = [slotOf("A"), slotOf("B")];
  if (down === undefined || up === undefined) return new Map();
  const [A, B] = veraProjections(seed, [down.spec.shape, up.spec.shape]);
  return new Map([[down.path, () => A], [up.path, () => B]]);
}

/**
 * Reads an adapter's tensors by parameter path. Every key must belong to the model, and every parameter of the adapter (and
 * of the base model, where it is trained) must be there; modules may go by any of their names in Python, wrappers' names
 * (`module.`, `_orig_mod.`) are overlooked, and the model's own weights must be equal to `base`. Half precision becomes
 * float32. Needs `--allow-read`.
 *
 * @param folder The adapter's folder
 * @param layer The adapted model: `adapt(config.adapter, config)(model)`
 * @param names The model's names in Python
 * @param options See {@linkcode ReadAdapterOptions}
 * @returns What to lay over the model's parameters: `{ ...params, ...read }`
 * @throws OneloraError naming the tensor that is missing, unexpected or of another type, shape or value
 */
export async function readAdapterParams(
  folder: string,
  layer: AnyLayer,
  names: ModuleNames,
  { open, base }: ReadAdapterOptions = {},
): Promise<Params> {
  const fields = await readFields(folder);
  const layout = await readLayout(folder);
  await using checkpoint = await openTensors(folder, open);
  const attempted = `loading ${folder}`;
  const complain = (key: string, found: string, allowed: string) =>
    new OneloraError({ attempted: `${attempted}, tensor "${key}"`, found, allowed });

  const held = slots(layer);
  const made = madeProjections(fields, held);
  const wanted = held.map((slot) => ({ slot, ...stored(slot, layout, names) }));
  const byId = new Map(wanted.flatMap((each) => each.ids.map((id) => [id, each] as const)));
  const found = new Map<string, string[]>();
  for (const key of checkpoint.names) {
    const id = identify(key, names);
    const slot = byId.get(id);
    if (slot === undefined) {
      const path = layout === OWN_LAYOUT ? undefined : baseParameter(id, layer);
      if (path !== undefined) {
        await compareBase(checkpoint, key, path, base, complain);
        continue;
      }
      const near = nearest(key, wanted.flatMap(({ keys }) => keys));
      throw complain(
        key,
        "an unexpected key",
        `keys of the adapted model${near === undefined ? "" : `, e.g. "${near}"`}`,
      );
    }
    const { dtype, shape } = checkpoint.info(key);
    if (!Object.hasOwn(FLOATS, dtype) || `${shape}` !== `${slot.shape}`) {
      throw complain(
        key,
        `${dtype} of shape [${shape}]`,
        `${Object.keys(FLOATS).join(", ")} of shape [${slot.shape}]`,
      );
    }
    found.set(id, [...found.get(id) ?? [], key]);
  }
  // This package's own layout writes what several layers share once.
  const needed = ({ ids }: { readonly ids: readonly string[] }) => layout === OWN_LAYOUT ? ids.slice(0, 1) : ids;
  for (const each of wanted) {
    if (made.has(each.slot.path)) continue;
    const missing = needed(each).find((id) => !found.has(id));
    if (missing === undefined) continue;
    const [key] = each.keys.filter((key) => identify(key, names) === missing);
    throw complain(key, "no such key", `a tensor of shape [${each.shape}]`);
  }

  const read: Record<Path, Tensor> = {};
  try {
    for (const { slot, ids } of wanted) {
      const keys = ids.flatMap((id) => found.get(id) ?? []);
      const host = made.get(slot.path)?.() ?? await readAgreeing(checkpoint, keys, attempted);
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
  /** What they are to an image, `problem_type` of the model's configuration, likewise. */
  readonly problem?: string;
  /** Some of the base model's weights, likewise. */
  readonly base?: BaseSample;
}

/** What a file's metadata say of classes and base; of text that is not this package's own, nothing. */
function notesIn(metadata: string | undefined): Omit<AdapterHeader, "shapes"> {
  try {
    const { labels, problem, base } = JSON.parse(metadata ?? "{}");
    return {
      labels: Array.isArray(labels) && labels.every((label) => typeof label === "string") ? labels : undefined,
      problem: typeof problem === "string" ? problem : undefined,
      base: readSample(base),
    };
  } catch {
    return {};
  }
}

/**
 * Reads the header of an adapter's tensors: enough to open its model with a head of the right size. Needs `--allow-read`.
 *
 * @param folder The adapter's folder
 * @param names The model's names in Python
 * @param options See {@linkcode ReadAdapterOptions}
 */
export async function readAdapterHeader(
  folder: string,
  names: ModuleNames,
  { open }: ReadAdapterOptions = {},
): Promise<AdapterHeader> {
  await using checkpoint = await openTensors(folder, open);
  return {
    shapes: Object.fromEntries(checkpoint.names.map((key) => [identify(key, names), checkpoint.info(key).shape])),
    ...notesIn(checkpoint.metadata.onelora),
  };
}

/**
 * Whether an adapter holds weights of its own for only some of the layers that share one in a model, or different ones (PEFT
 * trains a head that is the table apart from the table): such an adapter goes on the model with the head untied. Needs
 * `--allow-read`.
 *
 * @param folder The adapter's folder
 * @param model The model before it is adapted
 * @param names The model's names in Python
 * @param options See {@linkcode ReadAdapterOptions}
 */
export async function untiesWeights(
  folder: string,
  model: AnyLayer,
  names: ModuleNames,
  { open }: ReadAdapterOptions = {},
): Promise<boolean> {
  const groups = tiedWeights(model);
  if (groups.length === 0 || await readLayout(folder) === OWN_LAYOUT) return false;
  // Weights of the model itself, written beside an adapter that does not save them, are compared and then ignored.
  const saved = savedPaths(await readFields(folder), model, names);
  await using checkpoint = await openTensors(folder, open);
  for (const group of groups) {
    const whole = group.filter((path) => saved.has(path.slice(0, path.lastIndexOf("."))));
    if (whole.length > 0 && whole.length < group.length) return true;
    const present = whole.flatMap((path) => checkpoint.names.find((key) => identify(key, names) === path) ?? []);
    for (const key of present.slice(1)) if (!await agree(checkpoint, [present[0], key])) return true;
  }
  return false;
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
 * @param options See {@linkcode ReadAdapterOptions}
 * @throws OneloraError as {@linkcode readAdapterConfig} and {@linkcode readAdapterParams} do
 */
export async function loadAdapter<Model extends AnyLayer>(
  folder: string,
  model: Model,
  names: ModuleNames,
  options: ReadAdapterOptions = {},
): Promise<LoadedAdapter<Model>> {
  const config = await readAdapterConfig(folder, model, names);
  const layer = adapt(config.adapter, config)(model);
  return { config, layer, params: await readAdapterParams(folder, layer, names, options) };
}
