/**
 * Sizes of Depth Anything models, and their `config.json`.
 *
 * @module
 */
import {
  booleanField,
  choiceField,
  type Json,
  numberField,
  numbersField,
  objectField,
  wholeField,
  wrongField,
} from "../config.ts";
import type { Dinov2Config } from "../dinov2/backbone.ts";
import { readDinov2, writeDinov2 } from "../dinov2/config.ts";

/** Sizes of a Depth Anything model. */
export interface DepthAnythingConfig {
  /** The encoder. */
  readonly backbone: Dinov2Config;
  /** Channels of each reassembled feature map, finest first. */
  readonly neck: readonly number[];
  /** Scale of each reassembled feature map over the grid of patches. */
  readonly factors: readonly number[];
  /** Channels of the fused maps. */
  readonly fusion: number;
  /** Which fused map the head reads, coarsest first; negative counts from the end. */
  readonly headIndex: number;
  /** Channels before the head's last convolution. */
  readonly headHidden: number;
  /** Whether depth is metric, maxDepth * sigmoid(y), or relative, maxDepth * relu(y). */
  readonly metric: boolean;
  /** See `metric`; metres. 1 for relative models. */
  readonly maxDepth: number;
}

/** Sizes of the published backbones. */
export type DepthAnythingSize = "small" | "base" | "large";

const last4 = (layers: number): readonly number[] => [layers - 3, layers - 2, layers - 1, layers];

const backbone: Dinov2Config = {
  hidden: 384,
  layers: 12,
  heads: 6,
  mlpRatio: 4,
  image: 518,
  patch: 14,
  channels: 3,
  eps: 1e-6,
  activation: "gelu",
  qkvBias: true,
  fusedQkv: true,
  maskToken: true,
  outputs: last4(12),
  normalised: true,
};

const small: DepthAnythingConfig = {
  backbone,
  neck: [48, 96, 192, 384],
  factors: [4, 2, 1, 0.5],
  fusion: 64,
  headIndex: -1,
  headHidden: 32,
  metric: false,
  maxDepth: 1,
};

const sizes: Readonly<Record<DepthAnythingSize, DepthAnythingConfig>> = {
  small,
  base: { ...small, backbone: { ...backbone, hidden: 768, heads: 12 }, neck: [96, 192, 384, 768], fusion: 128 },
  large: {
    ...small,
    backbone: { ...backbone, hidden: 1024, layers: 24, heads: 16, outputs: last4(24) },
    neck: [256, 512, 1024, 1024],
    fusion: 256,
  },
};

/** Names of presets: relative depth, metric depth indoors (to 20 m) and outdoors (to 80 m), and one for tests. */
export type DepthAnythingPreset = `depth-anything-${DepthAnythingSize}${"" | "-indoor" | "-outdoor"}` | "dpt-micro";

/** Configurations by preset name; query, key and value are fused as in the original code and the paper's counts. */
export const depthAnythingPresets: Readonly<Record<DepthAnythingPreset, DepthAnythingConfig>> = {
  "dpt-micro": {
    ...small,
    backbone: { ...backbone, hidden: 64, layers: 4, heads: 4, image: 56, outputs: last4(4) },
    neck: [16, 32, 64, 64],
    fusion: 24,
    headHidden: 16,
    metric: true,
    maxDepth: 80,
  },
  "depth-anything-small": sizes.small,
  "depth-anything-base": sizes.base,
  "depth-anything-large": sizes.large,
  "depth-anything-small-indoor": { ...sizes.small, metric: true, maxDepth: 20 },
  "depth-anything-base-indoor": { ...sizes.base, metric: true, maxDepth: 20 },
  "depth-anything-large-indoor": { ...sizes.large, metric: true, maxDepth: 20 },
  "depth-anything-small-outdoor": { ...sizes.small, metric: true, maxDepth: 80 },
  "depth-anything-base-outdoor": { ...sizes.base, metric: true, maxDepth: 80 },
  "depth-anything-large-outdoor": { ...sizes.large, metric: true, maxDepth: 80 },
};

/** Whole numbers between two bounds, e.g. indices that may count from the end. */
function indicesField(json: Json, name: string, fallback: readonly number[], least: number, most: number) {
  const value = json[name] ?? fallback;
  const valid = Array.isArray(value) && value.length > 0 &&
    value.every((index) => Number.isInteger(index) && index >= least && index <= most);
  if (!valid) throw wrongField(name, value, `a list of whole numbers from ${least} to ${most}`);
  return value as readonly number[];
}

/** After which blocks feature maps are taken: by index, or by the names stem, stage1, stage2, ... */
function outputsField(json: Json, layers: number, fallback: readonly number[]): readonly number[] {
  const names = ["stem", ...Array.from({ length: layers }, (_, i) => `stage${i + 1}`)];
  const { out_features: features } = json;
  if ((json.out_indices ?? undefined) !== undefined || (features ?? undefined) === undefined) {
    const indices = indicesField(json, "out_indices", fallback, -names.length, layers);
    return indices.map((index) => index < 0 ? names.length + index : index);
  }
  if (!Array.isArray(features) || features.length === 0 || !features.every((name) => names.includes(name))) {
    throw wrongField("out_features", features, `a list of ${names[0]}, ${names[1]}, ..., ${names.at(-1)}`);
  }
  return features.map((name) => names.indexOf(name));
}

function readBackbone(json: Json): Dinov2Config {
  // An absent backbone is the small one; one that is there has the defaults of its own class.
  const absent = Object.keys(json).length === 0;
  choiceField(json, "model_type", ["dinov2"], "dinov2");
  if (booleanField(json, "reshape_hidden_states", false)) throw wrongField("reshape_hidden_states", true, "false");
  const sizes = readDinov2(json, absent ? { hidden_size: 384, num_attention_heads: 6, image_size: 518 } : {});
  const { layers } = sizes;
  return {
    ...sizes,
    outputs: outputsField(json, layers, absent ? last4(layers) : [layers]),
    normalised: booleanField(json, "apply_layernorm", true),
    ...((json.interpolate_offset ?? undefined) === undefined
      ? {}
      : { interpolateOffset: numberField(json, "interpolate_offset", 0.1) }),
  };
}

/**
 * From `config.json`; absent fields have transformers' defaults. Two fields are this package's own: `fused_qkv`, and
 * `interpolate_offset`, named as in DINOv2's code (see {@linkcode Dinov2Config}).
 *
 * @param json The configuration
 */
export function readDepthAnything(json: Json): DepthAnythingConfig {
  const backbone = readBackbone(objectField(json, "backbone_config"));
  const { length } = backbone.outputs;
  const sameLength = (name: string, values: readonly number[]) => {
    if (values.length !== length) throw wrongField(name, values, `${length} numbers, one per feature map`);
    return values;
  };
  const agrees = (name: string, fallback: number, expected: number) => {
    const value = wholeField(json, name, fallback);
    if (value !== expected) throw wrongField(name, value, `the backbone's, ${expected}`);
  };
  agrees("reassemble_hidden_size", 384, backbone.hidden);
  agrees("patch_size", 14, backbone.patch);
  const metric = choiceField(json, "depth_estimation_type", ["relative", "metric"], "relative") === "metric";
  return {
    backbone,
    neck: sameLength("neck_hidden_sizes", numbersField(json, "neck_hidden_sizes", [48, 96, 192, 384])),
    factors: sameLength("reassemble_factors", numbersField(json, "reassemble_factors", [4, 2, 1, 0.5])),
    fusion: wholeField(json, "fusion_hidden_size", 64),
    headIndex: indicesField({ head_in_index: [json.head_in_index ?? -1] }, "head_in_index", [], -length, length - 1)[0],
    headHidden: wholeField(json, "head_hidden_size", 32),
    metric,
    maxDepth: numberField(json, "max_depth", 1),
  };
}

/**
 * To `config.json`.
 *
 * @param config The sizes
 */
export function writeDepthAnything(config: DepthAnythingConfig): Json {
  const { backbone } = config;
  return {
    architectures: ["DepthAnythingForDepthEstimation"],
    model_type: "depth_anything",
    backbone_config: {
      ...writeDinov2(backbone),
      out_indices: backbone.outputs,
      out_features: backbone.outputs.map((index) => index === 0 ? "stem" : `stage${index}`),
      apply_layernorm: backbone.normalised,
      reshape_hidden_states: false,
      ...(backbone.interpolateOffset === undefined ? {} : { interpolate_offset: backbone.interpolateOffset }),
    },
    patch_size: backbone.patch,
    reassemble_hidden_size: backbone.hidden,
    reassemble_factors: config.factors,
    neck_hidden_sizes: config.neck,
    fusion_hidden_size: config.fusion,
    head_in_index: config.headIndex,
    head_hidden_size: config.headHidden,
    depth_estimation_type: config.metric ? "metric" : "relative",
    max_depth: config.maxDepth,
  };
}
