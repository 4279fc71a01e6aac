/**
 * Image generation by diffusion (paper, section 4.3): noise schedules, the training loss, samplers, latents, distances
 * between sets of images, pictures.
 *
 * @module
 */
export * from "./autoencoder.ts";
export * from "./diffusion.ts";
export * from "./evaluate.ts";
export * from "./features.ts";
export * from "./fid.ts";
export * from "./latents.ts";
export * from "./objective.ts";
export * from "./pictures.ts";
export * from "./preprocess.ts";
export * from "./recipe.ts";
export * from "./sample.ts";
export * from "./sampler.ts";
export * from "./sampling.ts";
export * from "./schedule.ts";
export type { GenerationSettings } from "./settings.ts";
export * from "./source.ts";
export { generation } from "./task.ts";
