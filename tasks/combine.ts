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
import { type Layer, specs } from "../dsl/layer.ts";
import { init } from "../dsl/apply.ts";
import { key } from "../dsl/random.ts";
import { type Params, type Path, sizeOf } from "../dsl/tree.ts";
import { loadParams, type Model } from "../models/mod.ts";
import { requireRoomToUse } from "./trainer/room.ts";
import { adaptedBy, type PlacedFolder } from "./place.ts";
import type { Needs } from "./trainer/needs.ts";
import { planLoading, planRewriting } from "./trainer/plan.ts";
import { fittedTo, type OpenedModel, placeFolders } from "./open.ts";

/** What becomes of an adapter. */
export type Conversion = "peft-lora" | "peft-miss";

/** A model with an adapter that was made of others. */
export interface CombinedModel extends OpenedModel {
  /** Writes the adapter alone. */
  readonly save: (folder: string) => Promise<void>;
}

/** What is done with a model and adapters that become one. */
interface Plan {
  /** In words. */
  readonly attempted: string;
  /** What it takes besides adapters. */
  readonly needs: Needs;
}

/**
 * Copies of adapters, in float32's bytes: their numbers, in doubles as factors, as these weighted, what is made of them, and what of
 * it is not yet collected. As it was measured.
 */
const COPIES = 10;

/** Bytes of what an adapter adds to a model. */
function addedBytes(layer: Layer): number {
  return Object.values(specs(layer)).reduce(
    (sum, { adapter, shape }) => sum + (adapter === undefined ? 0 : 4 * sizeOf(shape)),
    0,
  );
}

async function made(
  published: Model,
  folders: readonly string[],
  make: (model: Model, placed: readonly PlacedFolder[]) => Promise<CombinedAdapter>,
  { attempted, needs: planUse }: Plan,
): Promise<CombinedModel> {
  const { model, folders: found } = await fittedTo(published, folders);
  const holding = { reading: "passes" } as const;
  // They stay while the one that is made of them is merged.
  const adapted = await Promise.all(found.map((folder) => adaptedBy(folder, model)));
  await requireRoomToUse(model, () => adapted[0], holding, {
    attempted,
    needs: () => (layer, kept) =>
      planUse(layer, kept) + COPIES * adapted.reduce((sum, each) => sum + addedBytes(each), 0),
  });
  const base = await loadParams(model, key(0), model.layer, holding);
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
  return made(model, adapters, ({ layer }, placed) => combineAdapters(layer, placed, options), {
    attempted: `combining adapters of ${model.name}`,
    needs: planRewriting,
  });
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
  return made(model, [adapter], ({ layer }, [placed]) => convert(layer, placed), {
    attempted: `writing an adapter of ${model.name} as ${to}`,
    needs: planLoading,
  });
}
