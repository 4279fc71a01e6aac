/**
 * What a model's parameters are kept as in the engine: as is asked for, or as its file has them.
 *
 * @module
 */
import { engineInUse, type Precision } from "../../dsl/engine/mod.ts";
import type { EngineKind, Reading } from "../../dsl/engine/interface.ts";
import type { StoredForm } from "../../dsl/engine/stored.ts";
import { OneloraError } from "../../dsl/error.ts";
import { halfFormOf } from "../../dsl/hold.ts";
import { type Layer, type ParamSpec, specs, walk } from "../../dsl/layer.ts";
import { isLinear } from "../../dsl/linear.ts";
import type { Quantisation } from "../../dsl/quantise.ts";
import { join, type Path } from "../../dsl/tree.ts";
import { isGguf } from "../gguf/checkpoint.ts";
import type { Model } from "../model.ts";
import { openWeights, type WeightsCheckpoint } from "./checkpoint.ts";
import { pathOf } from "./keys.ts";
import { placeOf } from "./sources.ts";

/** What weights are kept as in the engine. */
export interface Holding {
  /** bf16: frozen weights that are matrices or tables are kept in it (default float32). */
  readonly precision?: Precision;
  /** Frozen weights of linear layers other than heads are kept in this (default: as all others). */
  readonly quantise?: Quantisation;
  /** What for (default steps of training): frozen weights that the file has in halves stay so where the engine is the better for it. */
  readonly reading?: Reading;
}

/**
 * What each parameter is kept as.
 *
 * @param layer The layer, adapted or not
 * @param holding See {@linkcode Holding}
 */
export function formsOf(
  layer: Layer,
  { precision = "float32", quantise }: Holding,
): ReadonlyMap<Path, "bf16" | Quantisation> {
  const all = specs(layer);
  const kept = new Map<Path, "bf16" | Quantisation>();
  for (const [path, { shape, trainable }] of Object.entries(all)) {
    if (precision === "bf16" && shape.length > 1 && !trainable) kept.set(path, "bf16");
  }
  if (quantise === undefined) return kept;
  for (const [path, each] of walk(layer)) {
    const { shared, trainable } = each.params.weight ?? {};
    if (!isLinear(each) || each.role === "head" || trainable || shared !== undefined) continue;
    kept.set(join(path, "weight"), quantise);
  }
  return kept;
}

/**
 * Which parameters are rounded to a few bits, by request or in a GGUF file, whatever an engine keeps them as: their values are
 * not those of the model that it was made of. Reads headers only.
 *
 * @param model The model
 * @param holding See {@linkcode Holding}
 */
export async function quantisedPaths(model: Model, { quantise }: Holding): Promise<ReadonlySet<Path>> {
  const asked = quantise === undefined ? [] : formsOf(model.layer, { quantise }).keys();
  const place = model.repository === undefined ? placeOf(model) : undefined;
  if (place === undefined || !isGguf(place)) return new Set(asked);
  await using checkpoint = await openWeights(place);
  const stored = checkpoint.names.filter((key) => checkpoint.isPacked?.(key));
  return new Set([...asked, ...stored.flatMap((key) => pathOf(model.keys, key) ?? [])]);
}

/**
 * What each parameter of a model will be kept as: as is asked for, or where nothing is, as its file has it if the engine keeps
 * that. Reads headers only.
 *
 * @param model The model
 * @param layer Its layer, adapted or not
 * @param holding See {@linkcode Holding}
 * @param engine The engine
 */
export async function heldForms(
  model: Model,
  layer: Layer,
  holding: Holding,
  { forms: known, staysAsRead }: Pick<EngineKind, "forms" | "staysAsRead"> = engineInUse(),
): Promise<ReadonlyMap<Path, StoredForm>> {
  const forms = new Map<Path, StoredForm>(formsOf(layer, holding));
  const place = model.repository === undefined ? placeOf(model) : undefined;
  if (place === undefined || known === undefined || staysAsRead === undefined) return forms;
  const all = specs(layer);
  const opened = await openWeights(place).catch((error) => {
    // What has no weights yet can be planned, too.
    if (error instanceof OneloraError && !isGguf(place)) return undefined;
    throw error;
  });
  if (opened === undefined) return forms;
  await using checkpoint = opened;
  for (const key of checkpoint.names) {
    const path = pathOf(model.keys, key);
    if (path === undefined || all[path] === undefined) continue;
    const blocks = checkpoint.formOf?.(key);
    const form = blocks ?? halfFormOf(checkpoint.info(key).dtype);
    if (form === undefined || blocks === undefined && forms.has(path)) continue;
    if (stayingForms(all[path], holding, staysAsRead)(form)) forms.set(path, form);
  }
  return forms;
}

/**
 * Which forms a parameter stays in if its file has it so: where it is frozen, and no vector.
 *
 * @param spec The parameter
 * @param holding What it is read for
 * @param staysAsRead What the engine is the better for
 */
export function stayingForms(
  { trainable, shape }: ParamSpec,
  { reading = "steps" }: Holding,
  staysAsRead: EngineKind["staysAsRead"],
): (form: StoredForm) => boolean {
  return (form) => trainable !== true && shape.length > 1 && staysAsRead?.(form, shape, reading) === true;
}

/**
 * Refuses to quantise what is quantised.
 *
 * @param model The model
 * @param checkpoint Its checkpoint
 * @param holding What is asked for
 * @throws OneloraError (exit code 2) for weights in blocks
 */
export function refuseTwice({ name }: Model, { names, formOf }: WeightsCheckpoint, { quantise }: Holding): void {
  const form = quantise && names.map((each) => formOf?.(each)).find((each) => each !== undefined);
  if (form === undefined) return;
  throw new OneloraError({
    attempted: `loading ${name} in ${quantise}`,
    found: `weights in ${form.toUpperCase()} already`,
    allowed: "the weights as they are, or a file of floats",
  }, { exitCode: 2 });
}
