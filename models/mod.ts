/**
 * Declared models and their published checkpoints: {@linkcode openModel} describes one by preset, folder or `hf:ORG/NAME`,
 * {@linkcode loadParams} reads its parameters. Every family is a function from its configuration to a layer: {@linkcode vit},
 * {@linkcode depthAnything}, {@linkcode dit}, {@linkcode llama}, ...
 *
 * @module
 */
export type { Json } from "../dsl/files/json.ts";
export {
  asEncoder,
  autoencoderKl,
  type Decoder,
  decoding,
  type Encoder,
  sampleLatents,
} from "./autoencoder/autoencoder_kl.ts";
export { type AutoencoderConfig, type AutoencoderPreset, autoencoderPresets } from "./autoencoder/config.ts";
export { openCheckpoint } from "./checkpoint/checkpoint.ts";
export type { Fusion, KeyMap, Rename } from "./checkpoint/keys.ts";
export { type Loaded, loadParams } from "./checkpoint/load.ts";
export { type SavedType, saveModel, type SaveOptions } from "./checkpoint/save.ts";
export { openPytorch, type PytorchCheckpoint } from "./checkpoint/pytorch/reader.ts";
export { namedForward, type Port, type Signature } from "./checkpoint/signature.ts";
export type { Companions } from "./companions/open.ts";
export type { Settings, Treatment } from "./companions/settings.ts";
export { booleanField, choiceField, labelsField, numberField, objectField, wholeField } from "./config.ts";
export {
  type DepthAnythingConfig,
  type DepthAnythingPreset,
  depthAnythingPresets,
  type DepthAnythingSize,
} from "./depth_anything/config.ts";
export { depthAnything } from "./depth_anything/depth_anything.ts";
export { dinov2, type Dinov2Config } from "./dinov2/backbone.ts";
export type { DiffusionProcess } from "./diffusion_process.ts";
export { type DitConfig, type DitPreset, ditPresets } from "./dit/config.ts";
export { asConditionalDiffusion, type ConditionalDiffusion, dit } from "./dit/dit.ts";
export {
  type Architecture,
  type Classes,
  type ClassPart,
  type Description,
  type DescriptionOptions,
  type Family,
  family,
  type Qkv,
  type Tied,
  type TiedLayers,
} from "./family.ts";
export { type FetchedModel, fetchModel, type FetchOptions } from "./hub/fetch.ts";
export { type HubName, parseHubName } from "./hub/name.ts";
export type { HubOptions, Transfer } from "./hub/settings.ts";
export type { ImageInput, ImagePreparation, Resampling, ResizeRule, Size } from "./image_input.ts";
export { type InceptionConfig, inceptionV3 } from "./inception/inception_v3.ts";
export { type ChatMessage, type ChatOptions, type ChatTemplate, openChatTemplate } from "./llama/chat.ts";
export { type LlamaConfig, type LlamaPreset, llamaPresets } from "./llama/config.ts";
export {
  generate,
  generateAll,
  type GenerationOptions,
  type SamplingOptions,
  tokenDistribution,
} from "./llama/generate.ts";
export { asLanguageModel, type CausalLanguageModel, type Decoding } from "./llama/language_model.ts";
export { llama } from "./llama/llama.ts";
export type { DynamicRope, LinearRope, Llama3Rope, Rope, RopeScaling, YarnRope } from "./llama/rope.ts";
export type { SpecialTokens, TextTokenizer } from "./llama/text_tokenizer.ts";
export { openTokenizer } from "./llama/tokenizer.ts";
export { type Model, modelOf, type ModelRepository } from "./model.ts";
export { families, openModel, type OpenModelOptions, presetNames } from "./open.ts";
export { vit, type VitConfig } from "./vit/vit.ts";
