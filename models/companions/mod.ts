/**
 * The files beside a checkpoint's weights.
 *
 * @module
 */
export * from "./files.ts";
export * from "./generation.ts";
export type { Companions } from "./open.ts";
export * from "./preprocessor.ts";
export { preprocessorSettings } from "./processor_classes.ts";
export * from "./scheduler.ts";
export * from "./settings.ts";
