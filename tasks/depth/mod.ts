/**
 * Monocular depth: data sets, augmentation, loss, metrics, pictures.
 *
 * @module
 */

export * from "./augment.ts";
export {
  type DepthCrop,
  type DepthDataset,
  type DepthExample,
  type DepthProtocol,
  depthProtocols,
  type DepthSplits,
} from "./dataset.ts";
export * from "./diode.ts";
export * from "./encode.ts";
export * from "./estimator.ts";
export * from "./kitti.ts";
export * from "./loader.ts";
export * from "./metrics.ts";
export * from "./nyu.ts";
export * from "./open.ts";
export { colourOf, type ColourScale, depthPanels, depthPicture, spectral } from "./pictures.ts";
export { type DepthMap, type DepthPair, ownDepth } from "./own.ts";
export * from "./predict.ts";
export * from "./recipe.ts";
export type { SceneDomain } from "./scene.ts";
export * from "./scenes.ts";
export type { DepthSettings } from "./settings.ts";
export * from "./silog.ts";
export * from "./task.ts";
export * from "./training.ts";
