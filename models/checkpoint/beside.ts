/**
 * What a checkpoint holds besides a model's parameters: constants, which must be the model's, and what it does not use.
 *
 * @module
 */
import type { Tensor } from "@tensorflow/tfjs-core";
import { type Checkpoint, toFloat32 } from "../../dsl/safetensors/mod.ts";
import type { Model } from "../model.ts";
import { bareName, isUnused } from "./keys.ts";
import { FLOATS, mismatch } from "./mismatch.ts";

type Named = Pick<Model, "name" | "keys">;

/**
 * What of a checkpoint is not used, where that is to be said.
 *
 * @param model The model
 * @param checkpoint The checkpoint
 */
export function unusedOf({ keys }: Named, { names }: Checkpoint): string | undefined {
  const unused = names.filter((key) => isUnused(keys, key));
  return unused.length === 0
    ? undefined
    : `${unused.length} tensors are not used, ${unused[0]}, ...: ${keys.unused!.why}`;
}

/** Largest difference of a constant in a file from the one that is computed here: that of bfloat16 numbers up to 1. */
const CONSTANT = 2 ** -8;

/**
 * Checks that the constants of a checkpoint are those of the model.
 *
 * @param model The model
 * @param checkpoint The checkpoint
 * @throws OneloraError for one of another shape or other values
 */
export async function checkConstants(model: Named, checkpoint: Checkpoint): Promise<void> {
  for (const [key, make] of constantsIn(model, checkpoint)) {
    const constant = make();
    const expected = await constant.data();
    constant.dispose();
    const found = toFloat32(await checkpoint.read(key));
    if (found.every((value, i) => Math.abs(value - expected[i]) <= CONSTANT)) continue;
    throw mismatch(model, key, "other values than are computed here", "those of the published models");
  }
}

/**
 * Constants that a checkpoint holds, by key.
 *
 * @param model The model
 * @param checkpoint The checkpoint
 * @throws OneloraError for one of another shape
 */
export function constantsIn(
  model: Named,
  checkpoint: Checkpoint,
): readonly (readonly [key: string, make: () => Tensor])[] {
  const { constants = {} } = model.keys;
  return checkpoint.names.flatMap((key) => {
    const name = bareName(model.keys, key);
    if (!Object.hasOwn(constants, name)) return [];
    const constant = constants[name]();
    const wanted = [1, ...constant.shape];
    constant.dispose();
    const { dtype, shape } = checkpoint.info(key);
    if (`${shape}` === `${wanted}` && FLOATS.includes(dtype)) return [[key, constants[name]] as const];
    throw mismatch(model, key, `${dtype} of shape [${shape}]`, `${FLOATS.join(", ")} of shape [${wanted}]`);
  });
}
