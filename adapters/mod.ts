/**
 * Very-low-rank adapters as pure functions: 1LoRA, LoRA, DoRA, VeRA, MoRA, BitFit, DiffFit, their parts and any
 * combination, placed on a model by path.
 *
 * @module
 */
export type { ModuleNames } from "../dsl/tree.ts";
export {
  adapted,
  type AdaptedParams,
  type Adapter,
  at,
  everyLinear,
  type Placement,
  placement,
  queryKeyValue,
  stage,
  trainable,
} from "./adapter.ts";
export { type PlacedAdapter, type Stack, stackAdapters } from "./combine/stack.ts";
export type { CombinedAdapter } from "./combine/combined.ts";
export { type Combination, combineAdapters, type CombineOptions, type DescribedAdapter } from "./combine/weighted.ts";
export { type ParameterCounts, parameterCounts } from "./count.ts";
export type { BaseSample } from "./exchange/base.ts";
export { type AdapterConfig, type AdapterSpec, readAdapterConfig } from "./exchange/config.ts";
export type { Fields } from "./exchange/fields.ts";
export type { AdapterLayout } from "./exchange/format.ts";
export { loadAdapter, type LoadedAdapter } from "./exchange/load.ts";
export { saveAdapter, type SaveAdapterOptions } from "./exchange/save.ts";
export type { AdapterTensors, ReadAdapterOptions } from "./exchange/tensors.ts";
export type { Ia3Options } from "./ia3.ts";
export * from "./functions.ts";
export type { LoraOptions } from "./lora.ts";
export { type MergedParams, mergeParams } from "./merge.ts";
export {
  flag,
  type Method,
  method,
  type MethodDescription,
  type ModelChange,
  oneOf,
  pattern,
  type PeftFormat,
  type PeftModules,
  type PeftTarget,
  type PeftTensor,
  positiveNumber,
  type Setting,
  type Settings,
  type SettingValue,
  type SettingValues,
  share,
  type ValuesOf,
  wholeNumber,
} from "./method.ts";
export type { MissOptions } from "./miss.ts";
export type { MoraOptions } from "./mora.ts";
export type { OneLoraOptions } from "./one_lora.ts";
export { adapt, type ChosenMethod, type LayerGroup, methodNames, type MethodOptions, parseMethods } from "./spec.ts";
export type { VeraOptions } from "./vera.ts";
export type { WeightUpdate } from "./weight_update.ts";
