/**
 * Image classification (paper, section 4.4).
 *
 * @module
 */
export * from "./classifier.ts";
export * from "./recipe.ts";
export * from "./run.ts";
