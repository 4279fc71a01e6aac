/**
 * Where a checkpoint holds a model's parameters: by which keys, whole or as rows of others.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import { type Layer, specs } from "../../dsl/layer.ts";
import type { Checkpoint } from "../../dsl/safetensors/mod.ts";
import { glob, type Path } from "../../dsl/tree.ts";
import { divisions, type Rows } from "../fusion.ts";
import type { Model } from "../model.ts";
import { constantsIn } from "./beside.ts";
import { keyOf, pathOf, substituteOf } from "./keys.ts";
import { FLOATS, mismatch } from "./mismatch.ts";

/** Whether a key is what bitsandbytes, GPTQ, AWQ, HQQ, compressed-tensors or fp8 keep beside quantised weights. */
function isOfQuantised(key: string): boolean {
  return /\.(SCB|weight_format|(weight\.)?(nested_)?(absmax|quant_map)|weight\.quant_state\..*|qweight|qzeros|q?scales?|g_idx|(weight|input|output|activation)_(scale|scale_inv|zero_point|packed|shape|g_idx|global_scale))$/
    .test(key);
}

/** Checkpoint keys by the path they fill, more than one where the file repeats a tensor. */
export type Keys = ReadonlyMap<Path, readonly string[]>;

/**
 * The keys of a checkpoint; unexpected ones are an error.
 *
 * @param model The model
 * @param checkpoint The checkpoint
 */
export function resolve(model: Model, checkpoint: Checkpoint): Keys {
  const paths = Object.keys(specs(model.layer));
  const expected = new Set(paths.flatMap((path) => divisions(model.keys, path)).flat().map(({ path }) => path));
  const found = new Map<Path, readonly string[]>();
  for (const key of checkpoint.names) {
    const path = pathOf(model.keys, key);
    if (path === undefined) continue;
    if (!expected.has(path)) {
      const found = isOfQuantised(key) ? "a tensor of quantised weights" : "an unexpected key";
      throw mismatch(model, key, found, `the keys of ${model.family}`);
    }
    found.set(path, [...found.get(path) ?? [], key]);
  }
  return found;
}

/** Where a checkpoint holds a parameter, if it does; a tensor of another shape is an error. */
function locate(
  model: Model,
  checkpoint: Checkpoint,
  keys: Keys,
  path: Path,
  shape: readonly number[],
): readonly Rows[] | undefined {
  const rows = divisions(model.keys, path).find((each) => each.every(({ path }) => keys.has(path)));
  for (const { path: held, share } of rows ?? []) {
    const whole = held === path;
    const wanted = whole ? shape : [shape[0] * (share?.[1] ?? 1) / rows!.length, ...shape.slice(1)];
    for (const key of keys.get(held)!) {
      const { dtype, shape: found } = checkpoint.info(key);
      // Of another shape, it is first of all that.
      if (`${found}` === `${wanted}` && !FLOATS.includes(dtype)) {
        throw mismatch(model, key, `${dtype}, as quantised checkpoints have`, `weights of ${FLOATS.join(", ")}`);
      }
      if (`${found}` !== `${wanted}`) throw mismatch(model, key, `shape [${found}]`, `shape [${wanted}]`);
    }
  }
  return rows;
}

/**
 * Where a model's weights are: beside its other files, or elsewhere.
 *
 * @param model The model
 */
export function placeOf({ weights, folder }: Pick<Model, "folder" | "weights">): string | undefined {
  return folder === undefined ? undefined : weights ?? folder;
}

/**
 * Where a checkpoint holds what a layer needs; what it may lack is left out.
 *
 * @param model The model
 * @param checkpoint The checkpoint
 * @param layer The layer, adapted or not
 * @param keys See {@linkcode resolve}
 */
export function sourcesOf(
  model: Model,
  checkpoint: Checkpoint,
  layer: Layer,
  keys: Keys,
): readonly (readonly [Path, readonly Rows[]])[] {
  const within = (path?: Path) => path === undefined ? () => false : glob(`${path}.**`);
  const [isHead, isSized] = [within(model.headPath), within(model.classPart?.path)];
  return Object.entries(specs(layer)).flatMap(([path, { shape, adapter }]) => {
    if (adapter !== undefined || (model.freshClasses && isSized(path))) return [];
    const substitute = substituteOf(model.keys, path);
    const rows = locate(model, checkpoint, keys, path, shape) ??
      (substitute === undefined ? undefined : locate(model, checkpoint, keys, substitute, shape));
    if (rows !== undefined) return [[path, rows] as const];
    if (model.labels !== undefined && isHead(path)) return [];
    throw mismatch(model, keyOf(model.keys, path), "no such key", `shape [${shape}]`);
  });
}

/**
 * Whether a checkpoint holds a model's parameters, by their names and shapes.
 *
 * @param model The model
 * @param checkpoint The checkpoint
 */
export function fits(model: Model, checkpoint: Checkpoint): boolean {
  try {
    constantsIn(model, checkpoint);
    return sourcesOf(model, checkpoint, model.layer, resolve(model, checkpoint)).length > 0;
  } catch (error) {
    if (error instanceof OneloraError) return false;
    throw error;
  }
}
