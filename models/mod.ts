/**
 * Declared models and their published checkpoints.
 *
 * @module
 */
export * from "./checkpoint/checkpoint.ts";
export * from "./autoencoder/config.ts";
export * from "./autoencoder/autoencoder_kl.ts";
export * from "./config.ts";
export * from "./depth_anything/depth_anything.ts";
export * from "./depth_anything/config.ts";
export * from "./depth_anything/dinov2.ts";
export * from "./diffusion_process.ts";
export * from "./dit/dit.ts";
export * from "./dit/config.ts";
export * from "./family.ts";
export * from "./image_input.ts";
export * from "./companions/mod.ts";
export * from "./llama/chat.ts";
export * from "./llama/generate.ts";
export * from "./hub/mod.ts";
export * from "./checkpoint/keys.ts";
export * from "./inception/inception_v3.ts";
export * from "./llama/llama.ts";
export * from "./llama/config.ts";
export type { DynamicRope, LinearRope, Llama3Rope, Rope, RopeScaling, YarnRope } from "./llama/rope.ts";
export * from "./checkpoint/load.ts";
export * from "./model.ts";
export * from "./open.ts";
export * from "./checkpoint/pytorch/reader.ts";
export * from "./checkpoint/signature.ts";
export * from "./llama/text_tokenizer.ts";
export * from "./llama/tokenizer.ts";
export * from "./vit/vit.ts";
