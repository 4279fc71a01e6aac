/**
 * Image classification data: opening data sets, augmenting, batching.
 *
 * @module
 */

export * from "./augment.ts";
export * from "./normalise.ts";
export * from "./prepare.ts";
export * from "./cifar.ts";
export * from "./classes.ts";
export type { ImageDataset, ImageExample, ImageSplits } from "./dataset.ts";
export * from "./food.ts";
export { openImageTree } from "./image_tree.ts";
export * from "./loader.ts";
export * from "./mnist.ts";
export * from "./open.ts";
export {
  type Examples,
  type ImageSource,
  type LabelledImage,
  type OwnDataOptions,
  ownImages,
  type PixelData,
  readColourImage,
  readImage,
} from "./own.ts";
export { type Origin, originOf, remake, withOrigin } from "./origin.ts";
export * from "./parquet_images.ts";
export * from "./resize.ts";
export * from "./stream.ts";
export { holdThreads } from "./threads.ts";
export type { DataFacts } from "./record.ts";
