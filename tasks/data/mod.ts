/**
 * Image classification data: opening data sets, augmenting, batching.
 *
 * @module
 */

export * from "./augment.ts";
export * from "./cifar.ts";
export * from "./dataset.ts";
export * from "./idx.ts";
export * from "./image_tree.ts";
export * from "./loader.ts";
export * from "./mnist.ts";
export * from "./open.ts";
export * from "./resize.ts";
