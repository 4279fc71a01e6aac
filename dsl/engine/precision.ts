/**
 * Precisions to compute in.
 *
 * @module
 */
import { OneloraError } from "../error.ts";

/**
 * `bf16` keeps frozen weights in bfloat16 and multiplies matrices in it. `f16` keeps frozen weights in float16, which products
 * read as it is; activations and gradients, which float16's range does not hold, and sums stay float32. The rest is float32 in
 * both.
 */
export type Precision = "float32" | "bf16" | "f16";

/** All precisions. */
export const precisions: readonly Precision[] = ["float32", "bf16", "f16"];

/** Where each is computed, in words. */
export const precisionPlaces: Readonly<Record<Precision, string>> = {
  float32: "any backend",
  bf16: "the tensorflow backend",
  f16: "the webgpu backend with an adapter that has shader-f16",
};

/**
 * The refusal of a precision by an engine.
 *
 * @param precision What was asked for
 * @param found The engine, and what it lacks
 */
export function lacksPrecision(precision: Precision, found: string): OneloraError {
  return new OneloraError({
    attempted: `computing in ${precision}`,
    found,
    allowed: `${precisionPlaces[precision]}, or \`precision: float32\``,
  });
}
