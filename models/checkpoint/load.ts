/**
 * A model's parameters from its checkpoint.
 *
 * @module
 */
import { dispose, type Tensor } from "@tensorflow/tfjs-core";
import { engineInUse, type Precision } from "../../dsl/engine/mod.ts";
import { collectGarbage } from "../../dsl/garbage.ts";
import { type Layer, specs } from "../../dsl/layer.ts";
import { init } from "../../dsl/apply.ts";
import type { Key } from "../../dsl/random.ts";
import type { Params, Path } from "../../dsl/tree.ts";
import { fetchModel } from "../hub/fetch.ts";
import type { Model } from "../model.ts";
import { checkConstants, unusedOf } from "./beside.ts";
import { openWeights } from "./checkpoint.ts";
import { formsOf, refuseTwice, stayingForms } from "./forms.ts";
import { readRows } from "./read_rows.ts";
import { placeOf, resolve, sourcesOf } from "./sources.ts";

/** What was found in a checkpoint. */
export interface Loaded {
  /** The complete parameters. */
  readonly params: Params;
  /** Paths that the checkpoint did not hold and that got their first value from the key (head and adapters only). */
  readonly initialised: readonly Path[];
  /** The entry that was taken of a file of PyTorch's that holds several, e.g. `ema`. */
  readonly part?: string;
  /** What of the checkpoint the model does not use although some would expect it, in words. */
  readonly unused?: string;
}

/**
 * Reads a model's parameters shard by shard, tensor by tensor (peak memory: the model plus one tensor).
 *
 * What is sized by classes other than the checkpoint's, or a head of classes that the checkpoint lacks, starts from the key;
 * anything else that is missing, unexpected or of another shape is an error naming it. Without a folder everything starts
 * from the key.
 *
 * @param model The model
 * @param key The run's key
 * @param layer The layer to fill, if adapters were placed on the model's own
 * @param holding See {@linkcode Holding}
 * @param known Parameters that are there already: they are not read, and stay the caller's
 */
export async function loadParams(
  model: Model,
  key: Key,
  layer: Layer = model.layer,
  holding: {
    readonly precision?: Precision;
    readonly quantise?: "int8" | "nf4";
    readonly reading?: "steps" | "passes" | "decoding";
  } = {},
  known: Params = {},
): Promise<Loaded> {
  const wanted = specs(layer);
  const given: Record<Path, Tensor> = {};
  const forms = formsOf(layer, holding);
  const { staysAsRead, copies, narrowed } = engineInUse();
  let part: string | undefined;
  let unused: string | undefined;
  const place = placeOf(model);
  if (place !== undefined) {
    const { repository } = model;
    if (repository !== undefined) await fetchModel(repository.name, repository.options);
    await using checkpoint = await openWeights(place);
    refuseTwice(model, checkpoint, holding);
    part = checkpoint.part;
    unused = unusedOf(model, checkpoint);
    const keys = resolve(model, checkpoint);
    const sources = sourcesOf(model, checkpoint, layer, keys);
    await checkConstants(model, checkpoint);
    // What tokenizers and plans left behind would stay beside the weights, where these are nothing to V8.
    if (copies === true) collectGarbage();
    try {
      for (const [path, rows] of sources) {
        if (path in known) continue;
        const stays = stayingForms(wanted[path], holding, staysAsRead);
        given[path] = await readRows(model, checkpoint, keys, rows, forms.get(path), stays);
      }
    } catch (error) {
      dispose(given);
      throw error;
    }
  }
  return {
    params: init(layer, key, { ...known, ...given }, (drawn, path) => {
      if (forms.get(path) !== "bf16" || narrowed === undefined) return drawn;
      const kept = narrowed(drawn);
      drawn.dispose();
      return kept;
    }),
    initialised: Object.keys(wanted).filter((path) => given[path] === undefined && known[path] === undefined),
    part,
    unused,
  };
}
