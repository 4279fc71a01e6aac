/**
 * The error for a tensor that is not what a model needs.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import type { DType } from "../../dsl/safetensors/mod.ts";
import type { Model } from "../model.ts";

/** Element types of weights. */
export const FLOATS: readonly DType[] = ["F32", "F16", "BF16", "F64"];

/**
 * The error for a tensor of a checkpoint.
 *
 * @param model The model
 * @param key The tensor's name
 * @param found What was found
 * @param allowed What is allowed
 */
export function mismatch({ name }: Pick<Model, "name">, key: string, found: string, allowed: string): OneloraError {
  return new OneloraError({ attempted: `loading ${name}, tensor "${key}"`, found, allowed });
}
