/**
 * A ViT's weights in plain memory, for the peers that have no checkpoints of their own.
 *
 * @module
 */
import { type Checkpoint, fold, key, normal, openSafetensors, sizeOf, specs, toFloat32 } from "../../../dsl/mod.ts";
import { keyOf } from "../../../models/checkpoint/keys.ts";
import { vitFamily } from "../../../models/vit/vit.ts";
import type { StepJob } from "./job.ts";

/** A weight. */
export interface Weight {
  /** Dimensions. */
  readonly shape: readonly number[];
  /** Its numbers. */
  readonly values: Float32Array;
}

/** Random weights in place of a checkpoint's. */
function random(path: string, shape: readonly number[]): Float32Array {
  return normal(fold(key(0), path), sizeOf(shape)).map((value) => 0.02 * value);
}

/**
 * All weights by path, as `models/vit/vit.ts` names them.
 *
 * @param job Folder, or configuration for random weights
 */
export async function weightsOf({ config, folder }: StepJob): Promise<ReadonlyMap<string, Weight>> {
  const { layer, keys } = vitFamily.read(config, {});
  await using checkpoint: Checkpoint | undefined = folder === undefined ? undefined : await openSafetensors(folder);
  const weights = new Map<string, Weight>();
  for (const [path, { shape }] of Object.entries(specs(layer))) {
    const values = checkpoint === undefined ? random(path, shape) : toFloat32(await checkpoint.read(keyOf(keys, path)));
    weights.set(path, { shape, values });
  }
  return weights;
}
