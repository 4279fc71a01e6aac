/**
 * Adapters of folders made into one: weighted, or in another method's form.
 *
 * @module
 */
import { dispose, type Tensor } from "@tensorflow/tfjs-core";
import { saveAdapter } from "../adapters/mod.ts";
import type { CombinedAdapter } from "../adapters/combine/combined.ts";
import { asLoraAdapter, asMiss } from "../adapters/combine/convert.ts";
import { type UpdateSize, updateSizes } from "../adapters/combine/factors.ts";
import { combineAdapters, type CombineOptions } from "../adapters/combine/weighted.ts";
import { sampleBase } from "../adapters/exchange/base.ts";
import { type Layer, specs } from "../dsl/layer.ts";
import { init } from "../dsl/apply.ts";
import { key } from "../dsl/random.ts";
import { type Params, type Path, sizeOf } from "../dsl/tree.ts";
import { loadParams, type Model } from "../models/mod.ts";
import { requireRoomToUse } from "./trainer/room.ts";
import { adaptedBy, type PlacedFolder } from "./place.ts";
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
  /** Bytes of the adapter that is made of others. */
  readonly bytes: (adapted: readonly Layer[]) => number;
  /** Numbers on the way that are not yet collected (default none). */
  readonly left?: number;
  /** Whether it is merged when they are gone (default no). */
  readonly isMerged?: boolean;
}

/** What singular values are computed of, in doubles, stays until JavaScript looks for it. As it was measured. */
const SVD_LEFT = 60e6;

/** Bytes of what an adapter adds to a model. */
function addedBytes(layer: Layer): number {
  return Object.values(specs(layer)).reduce(
    (sum, { adapter, shape }) => sum + (adapter === undefined ? 0 : 4 * sizeOf(shape)),
    0,
  );
}

/** Bytes of adapters as LoRA, side by side or in a rank. */
function loraBytes(adapted: readonly Layer[], rank?: number): number {
  const sums = new Map<Path, UpdateSize>();
  for (const [path, { shape, rank }] of adapted.flatMap((layer) => [...updateSizes(layer)])) {
    sums.set(path, { shape, rank: rank + (sums.get(path)?.rank ?? 0) });
  }
  const all = [...sums.values()];
  const even = rank ?? Math.max(0, ...all.map((each) => each.rank));
  return all.reduce((sum, { shape: [d, k] }) => sum + 4 * even * (d + k), 0);
}

async function made(
  published: Model,
  folders: readonly string[],
  make: (model: Model, placed: readonly PlacedFolder[]) => Promise<CombinedAdapter>,
  { attempted, bytes, left = 0, isMerged = false }: Plan,
): Promise<CombinedModel> {
  const { model, folders: found } = await fittedTo(published, folders);
  const holding = { reading: "passes" } as const;
  const adapted = await Promise.all(found.map((folder) => adaptedBy(folder, model)));
  const own = adapted.map(addedBytes);
  const made = bytes(adapted);
  await requireRoomToUse(model, () => adapted[0], holding, {
    attempted,
    needs: () => (layer, kept) => {
      const alone = planLoading(model.layer, kept) + own.reduce((sum, each) => sum + each, 0) + made + left;
      // The others are gone by then.
      return isMerged ? Math.max(alone, planRewriting(layer, kept) - own[0] + made) : alone;
    },
  });
  const base = await loadParams(model, key(0), model.layer, holding);
  const read: Params[] = [];
  try {
    const placed = await placeFolders(found, model, base.params);
    read.push(...placed.map(({ params }) => params));
    const baseModel = placed[0].spec.baseModel ?? model.name;
    const { spec, layer, params: added } = await make(model, placed);
    const combined = layer as Layer;
    for (const path of Object.keys(added)) base.params[path]?.dispose();
    const params = init(combined, key(0), { ...base.params, ...added });
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
    dispose(read as Record<Path, Tensor>[]);
  }
}

/**
 * Opens a model with one adapter made of several, each with a weight, as PEFT's `add_weighted_adapter` makes it.
 *
 * @param model The model
 * @param adapters Folders of adapters for it
 * @param options Weights, and how they are combined
 * @param isMerged Whether it is merged into the model then, for which there must be room (default yes)
 * @throws OneloraError for adapters that cannot be combined so
 */
export function openCombined(
  model: Model,
  adapters: readonly string[],
  options: CombineOptions,
  isMerged: boolean = true,
): Promise<CombinedModel> {
  const { combination = options.rank === undefined ? "linear" : "svd" } = options;
  return made(model, adapters, ({ layer }, placed) => combineAdapters(layer, placed, options), {
    attempted: `combining adapters of ${model.name}`,
    bytes: (adapted) =>
      combination === "linear" ? Math.max(...adapted.map(addedBytes)) : loraBytes(adapted, options.rank),
    left: combination === "svd" ? SVD_LEFT : 0,
    isMerged,
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
    bytes: (adapted) => loraBytes(adapted),
  });
}
