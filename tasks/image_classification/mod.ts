/**
 * Image classification (paper, section 4.4).
 *
 * @module
 */
export * from "./evaluate.ts";
export * from "./feed.ts";
export * from "./labels.ts";
export * from "./objective.ts";
export { type ClassProbability, predictClasses } from "./predict.ts";
export * from "./recipe.ts";
export { imageClassification } from "./task.ts";
export type { ClassificationSettings } from "./settings.ts";
export type { AdaptedModel } from "./task.ts";
export { openAdapted } from "./task.ts";
export * from "./training.ts";
