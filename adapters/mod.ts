/**
 * Very-low-rank adapters as pure functions: 1LoRA, LoRA, DoRA, VeRA, MoRA, BitFit, DiffFit, their parts and any
 * combination, placed on a model by path.
 *
 * @module
 */
export * from "./adapter.ts";
export * from "./bitfit.ts";
export * from "./count.ts";
export * from "./difffit.ts";
export * from "./dora.ts";
export * from "./exchange/mod.ts";
export * from "./lora.ts";
export * from "./merge.ts";
export * from "./mora.ts";
export * from "./one_lora.ts";
export * from "./parts.ts";
export * from "./scale.ts";
export * from "./spec.ts";
export * from "./vera.ts";
