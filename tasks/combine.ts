/**
 * Adapters of folders made into one: weighted, or in another method's form.
 *
 * @module
 */
import { dispose, type Tensor } from "@tensorflow/tfjs-core";
import { saveAdapter } from "../adapters/mod.ts";
import { asLoraAdapter, asMiss } from "../adapters/combine/convert.ts";
import { combineAdapters, type CombinedAdapter, type CombineOptions } from "../adapters/combine/weighted.ts";
import { sampleBase } from "../adapters/exchange/base.ts";
import { init, type Layer } from "../dsl/layer.ts";
import { key } from "../dsl/random.ts";
import type { Params, Path } from "../dsl/tree.ts";
import { loadParams, type Model } from "../models/mod.ts";
import { requireRoomToUse } from "./trainer/room.ts";
import type { PlacedFolder } from "./place.ts";
import { fittedTo, type OpenedModel, placeFolders } from "./open.ts";

/** What becomes of an adapter. */
export type Conversion = "peft-lora" | "peft-miss";

/** A model with an adapter that was made of others. */
export interface CombinedModel extends OpenedModel {
  /** Writes the adapter alone. */
  readonly save: (folder: string) => Promise<void>;
}

async function made(
  published: Model,
  folders: readonly string[],
  make: (model: Model, placed: readonly PlacedFolder[]) => Promise<CombinedAdapter>,
): Promise<CombinedModel> {
  const { model, folders: found } = await fittedTo(published, folders);
  await requireRoomToUse(model, () => model.layer, {});
  const base = await loadParams(model, key(0));
  const own: Params[] = [];
  try {
    const placed = await placeFolders(found, model, base.params);
    own.push(...placed.map(({ params }) => params));
    const baseModel = placed[0].spec.baseModel ?? model.name;
    const { spec, layer, params: read } = await make(model, placed);
    const combined = layer as Layer;
    for (const path of Object.keys(read)) base.params[path]?.dispose();
    const params = init(combined, key(0), { ...base.params, ...read });
    const save = async (folder: string) => {
      const { modules: names, labels, problem } = model;
      const facts = { names, labels, problem, baseModel, base: await sampleBase(combined, params) };
      await saveAdapter(folder, { layer: combined, params, spec, ...facts });
    };
    return { model, layer: combined, params, initialised: [], part: base.part, unused: base.unused, save };
  } catch (error) {
    dispose(base.params as Record<Path, Tensor>);
    throw error;
  } finally {
    dispose(own as Record<Path, Tensor>[]);
  }
}

/**
 * Opens a model with one adapter made of several, each with a weight, as PEFT's `add_weighted_adapter` makes it.
 *
 * @param model The model
 * @param adapters Folders of adapters for it
 * @param options Weights, and how they are combined
 * @throws OneloraError for adapters that cannot be combined so
 */
export function openCombined(
  model: Model,
  adapters: readonly string[],
  options: CombineOptions,
): Promise<CombinedModel> {
  return made(model, adapters, ({ layer }, placed) => combineAdapters(layer, placed, options));
}

/**
 * Opens a model with an adapter in the form of another method of PEFT: LoRA, which every loader takes, or MiSS.
 *
 * @param model The model
 * @param adapter An adapter's folder
 * @param to The method
 * @throws OneloraError for an adapter that has no such form
 */
export function openConverted(model: Model, adapter: string, to: Conversion): Promise<CombinedModel> {
  const convert = to === "peft-lora" ? asLoraAdapter : asMiss;
  return made(model, [adapter], ({ layer }, [placed]) => convert(layer, placed));
}
