/**
 * Declared models and their published checkpoints.
 *
 * @module
 */
export * from "./checkpoint.ts";
export * from "./companions.ts";
export * from "./autoencoder_config.ts";
export * from "./autoencoder_kl.ts";
export * from "./config.ts";
export * from "./depth_anything.ts";
export * from "./depth_config.ts";
export * from "./dinov2.ts";
export * from "./dit.ts";
export * from "./dit_config.ts";
export * from "./family.ts";
export * from "./fusion.ts";
export * from "./generate.ts";
export * from "./hub/mod.ts";
export * from "./keys.ts";
export * from "./inception_v3.ts";
export * from "./llama.ts";
export * from "./llama_config.ts";
export * from "./load.ts";
export * from "./open.ts";
export * from "./pytorch/reader.ts";
export * from "./signature.ts";
export * from "./tokenizer.ts";
export * from "./vit.ts";
