/**
 * Why summation works: principal components of weight updates beside compression vectors (paper, Figure 9).
 *
 * @module
 */
export * from "./align.ts";
export * from "./chart.ts";
export { type Components, leadingDirection, principalComponents, type WeightUpdate } from "./components.ts";
export { type AdaptedRun, kindOfLayer, type LayerUpdate, layerUpdates } from "./updates.ts";
