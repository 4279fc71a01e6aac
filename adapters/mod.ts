/**
 * Very-low-rank adapters as pure functions: 1LoRA, LoRA, DoRA, VeRA, MoRA, BitFit, DiffFit, their parts and any
 * combination, placed on a model by path.
 *
 * @module
 */
export * from "./adapter.ts";
export * from "./count.ts";
export * from "./exchange/mod.ts";
export * from "./merge.ts";
export * from "./method.ts";
export * from "./methods.ts";
export * from "./spec.ts";
export type { WeightUpdate } from "./weight_update.ts";
