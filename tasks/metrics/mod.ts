/**
 * Measures of tasks, gathered batch by batch.
 *
 * @module
 */

export * from "./classification.ts";
export * from "./multi_label.ts";
