/**
 * Tensor operations with written gradients that keep only what the backward pass needs.
 *
 * @module
 */
export * from "./activation.ts";
export * from "./attention.ts";
export * from "./bytes.ts";
export * from "./conv.ts";
export * from "./correlate.ts";
export * from "./dropout.ts";
export * from "./embedding.ts";
export * from "./gradient.ts";
export * from "./interpolate.ts";
export * from "./loss.ts";
export * from "./low_rank.ts";
export * from "./norm.ts";
export * from "./rotary.ts";
export * from "./sinusoidal.ts";
