/**
 * A functional tensor language on tfjs: layers as data, parameter trees, keyed random numbers, operations with written
 * gradients, optimisers as pure functions, safetensors.
 *
 * @module
 */
export type {
  DataType,
  NamedAttrMap,
  Scalar,
  Tensor,
  Tensor1D,
  Tensor2D,
  Tensor3D,
  Tensor4D,
  TypedArray,
} from "@tensorflow/tfjs-core";
export * from "./compile/mod.ts";
export * from "./differentiate.ts";
export * from "./engine/mod.ts";
export { commandLine } from "./command_line.ts";
export * from "./error.ts";
export { type Claim, claimFolder } from "./files/claim.ts";
export type { Bounds } from "./files/write.ts";
export * from "./initialise.ts";
export * from "./layer.ts";
export * from "./layers.ts";
export * from "./linear.ts";
export * from "./linear_form.ts";
export * from "./ops/mod.ts";
export * from "./optimise/mod.ts";
export { fold, type Key, key, normal, permutation, uniform } from "./random.ts";
export * from "./rematerialise.ts";
export * from "./safetensors/mod.ts";
export * from "./tree.ts";
