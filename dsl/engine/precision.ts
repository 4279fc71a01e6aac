/**
 * Precisions to compute in.
 *
 * @module
 */

/** `bf16` keeps frozen weights in bfloat16 and multiplies matrices in it; the rest stays float32. */
export type Precision = "float32" | "bf16";

/** All precisions. */
export const precisions: readonly Precision[] = ["float32", "bf16"];
