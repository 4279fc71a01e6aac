/**
 * The paper's tasks: data, loss, metrics, and the trainer they share.
 *
 * @module
 */
export * from "./alignment/mod.ts";
export * from "./data/mod.ts";
export * from "./depth/mod.ts";
export * from "./fine_tune/mod.ts";
export * from "./generation/mod.ts";
export * from "./image_classification/mod.ts";
export * from "./kinds.ts";
export * from "./metrics/mod.ts";
export * from "./open.ts";
export * from "./reasoning/mod.ts";
export * from "./report/mod.ts";
export * from "./trainer/mod.ts";
