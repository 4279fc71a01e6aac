/**
 * Image generation by diffusion (paper, section 4.3): noise schedules, the training loss, samplers, latents, distances
 * between sets of images, pictures.
 *
 * @module
 */
export * from "./diffusion.ts";
export * from "./fid.ts";
export * from "./latents.ts";
export * from "./pictures.ts";
export * from "./preprocess.ts";
export * from "./sampling.ts";
export * from "./schedule.ts";
