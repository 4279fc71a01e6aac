/**
 * A functional tensor language on tfjs: layers as data, parameter trees, keyed random numbers, operations with written
 * gradients, optimisers as pure functions, safetensors. A layer holds no tensors: `init` makes its parameters, a tree of
 * tensors by path, and `apply` computes with them.
 *
 * @example A layer, its gradient, a step
 * ```ts
 * import { adamw, apply, init, key, linear, mse, serial, useBackend, valueAndGradients } from "@onelora/onelora/dsl";
 * import { assert, assertEquals } from "@std/assert";
 * import * as tf from "@tensorflow/tfjs-core";
 *
 * await useBackend("cpu");
 * const model = serial({ up: linear(2, 4), down: linear(4, 1) });
 * const params = init(model, key(0));
 * assertEquals(Object.keys(params), ["up.weight", "up.bias", "down.weight", "down.bias"]);
 *
 * const [x, y] = [tf.tensor2d([[1, 2], [3, 4]]), tf.tensor2d([[1], [0]])];
 * const loss = valueAndGradients((params) => ({ loss: mse(apply(model, params)(x), y) as tf.Scalar }));
 * const optimiser = adamw();
 * const before = loss(params);
 * const { params: next } = optimiser.update(before.gradients, optimiser.init(params), params, tf.scalar(0.01));
 * assert(loss(next).loss.dataSync()[0] < before.loss.dataSync()[0]);
 * ```
 *
 * @module
 */
export type { DataType, NamedAttrMap, Scalar, Tensor, Tensor1D, Tensor2D, TypedArray } from "@tensorflow/tfjs-core";
export { apply, type ApplyOptions, init } from "./apply.ts";
export { compile, type Compiled } from "./compile/compile.ts";
export type { Pass } from "./compile/passes.ts";
export { type PeakBytes, type PlanOptions, planStep, type StepPlan, type StepTypes } from "./compile/plan.ts";
export type { Call, Constant, MemoryPlan, Program, ValueId, ValueType } from "./compile/program.ts";
export type { Replayer, ReplayOptions } from "./compile/replay.ts";
export { startResident } from "./compile/resident.ts";
export { registerRule, type Rule, type RuleArguments } from "./compile/shapes.ts";
export type { NextBatch, PureStep, Resident, ResidentOptions, StepState } from "./compile/step.ts";
export { type Differentiated, type Objective, valueAndGradients } from "./differentiate.ts";
export { type Draw, drawing, drawWords } from "./draw.ts";
export { type BackendReport, type BackendTrial, inspectBackends, useBackend } from "./engine/engine.ts";
export type { BackendName, Device, Engine, EngineKind, OpenOptions, Running } from "./engine/interface.ts";
export { backendNames } from "./engine/kinds.ts";
export type { Precision } from "./engine/precision.ts";
export { OneloraError, type Problem } from "./error.ts";
export { memoryFiles } from "./files/store.ts";
export { between, constant, derived, gaussian, type Initialiser, ones, zeros } from "./initialise.ts";
export { residual, sequence, serial, stack } from "./compose.ts";
export {
  type AnyLayer,
  defineLayer,
  isTrainable,
  type Layer,
  type LayerDeclaration,
  type NamesIn,
  parameter,
  type ParamSpec,
  type Self,
  specs,
  transform,
  unfreeze,
} from "./layer.ts";
export {
  activationLayer,
  convLayer,
  type ConvLayerOptions,
  convTransposeLayer,
  embeddingLayer,
  groupNormLayer,
  layerNormLayer,
  patchEmbedLayer,
  rmsNormLayer,
  selfAttention,
  type SelfAttentionOptions,
} from "./layers.ts";
export {
  adaptLinear,
  type Fitted,
  isLinear,
  linear,
  type LinearLayer,
  type LinearOptions,
  type LinearShape,
} from "./linear.ts";
export {
  addBias,
  addLowRank,
  addOperator,
  type BiasStep,
  type DroppedGain,
  type LinearBase,
  type LinearChange,
  type Reform,
  type RowGain,
  type RowOperator,
  scaleInput,
  scaleOutput,
  scaleRows,
} from "./linear_change.ts";
export { evaluate, formOf, type LinearForm, merge, type Merged, unmerge } from "./linear_form.ts";
export { type Activation, activation, gelu, relu, silu, swiglu } from "./ops/activation.ts";
export { attention, type AttentionOptions, causalMask, mergeHeads, paddingMask, splitHeads } from "./ops/attention.ts";
export { lookUpBytes } from "./ops/bytes.ts";
export {
  conv2d,
  type ConvOptions,
  convTranspose2d,
  type ConvTransposeOptions,
  type ImageLayout,
  type Padding,
  patchEmbed,
  patchify,
} from "./ops/conv.ts";
export type { Sides } from "./ops/correlate.ts";
export type { Dropout } from "./ops/dropout.ts";
export { embedding } from "./ops/embedding.ts";
export { withGradient } from "./ops/gradient.ts";
export { interpolate, type InterpolateOptions, type InterpolationMode, type Target } from "./ops/interpolate.ts";
export { binaryCrossEntropy, crossEntropy, type CrossEntropyOptions, mse } from "./ops/loss.ts";
export { type Evaluation, type LowRank, lowRankProduct } from "./ops/low_rank.ts";
export { type Affine, groupNorm, layerNorm, rmsNorm } from "./ops/norm.ts";
export { rotary, rotaryFrequencies, type RotaryTable, rotaryTable, type RotaryWaves } from "./ops/rotary.ts";
export { gridEmbedding, timestepEmbedding } from "./ops/sinusoidal.ts";
export { accumulate } from "./optimise/accumulate.ts";
export { adamw, type AdamwOptions } from "./optimise/adamw.ts";
export { clipByGlobalNorm } from "./optimise/clip.ts";
export { type Average, averaging, ema } from "./optimise/ema.ts";
export {
  chain,
  type GradientPart,
  type Optimiser,
  type Transform,
  type Transformed,
  type Update,
} from "./optimise/optimiser.ts";
export {
  constantRate,
  cosineDecay,
  linearDecay,
  oneCycle,
  oneCycleMomentum,
  type OneCycleOptions,
  parseSchedule,
  type Schedule,
  type Span,
  warmUp,
} from "./optimise/schedule.ts";
export { sgd, type SgdOptions } from "./optimise/sgd.ts";
export { fold, type Key, key, normal, permutation, uniform } from "./random.ts";
export { rematerialiseBlocks, rematerialised } from "./rematerialise.ts";
export { type DType, type HostArrays, type HostData, type HostTensor, toFloat32 } from "./safetensors/dtype.ts";
export { type Checkpoint, openSafetensors, type TensorInfo } from "./safetensors/reader.ts";
export { fromTensor, toTensor } from "./safetensors/tensors.ts";
export { type NamedSource, type TensorSource, type WriteOptions, writeSafetensors } from "./safetensors/writer.ts";
export {
  combine,
  count,
  type Flat,
  flatten,
  glob,
  mapTree,
  type Params,
  partition,
  type Parts,
  type Path,
  sizeOf,
  type Tree,
} from "./tree.ts";
