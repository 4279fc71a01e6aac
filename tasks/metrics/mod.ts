/**
 * Measures of tasks, gathered batch by batch.
 *
 * @module
 */

export * from "./classification.ts";
