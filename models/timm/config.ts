/**
 * Sizes of timm's ViTs in its `config.json`: the arguments of its class `VisionTransformer`, which are `model_args`, else the
 * architecture's, else `pretrained_cfg`'s, else the class's.
 *
 * @module
 */
import { isEqual } from "../../dsl/equal.ts";
import { isObject } from "../../dsl/files/json.ts";
import type { activations } from "../../dsl/ops/activation.ts";
import {
  booleanField,
  choiceField,
  type Json,
  labelNames,
  numberField,
  objectField,
  sideField,
  wholeField,
  wrongField,
} from "../config.ts";
import { timmArguments } from "./architectures.ts";
import { argumentSettings } from "./settings.ts";

/** Sizes of a ViT of timm. */
export interface TimmConfig {
  /** Width D. */
  readonly hidden: number;
  /** Transformer blocks. */
  readonly layers: number;
  /** Attention heads. */
  readonly heads: number;
  /** Width of the MLP. */
  readonly intermediate: number;
  /** Image height and width in pixels. */
  readonly image: readonly [height: number, width: number];
  /** Patch height and width in pixels. */
  readonly patch: readonly [height: number, width: number];
  /** Image channels. */
  readonly channels: number;
  /** Names of the head's classes. */
  readonly labels: readonly string[];
  /** Added to the variance in layer norms. */
  readonly eps: number;
  /** MLP activation. */
  readonly activation: string;
  /** Whether query, key, value have biases. */
  readonly qkvBias: boolean;
  /** Whether the other linear layers of blocks have biases. */
  readonly projBias: boolean;
  /** Query, key and value as one linear layer, as timm's files have them, or as three. */
  readonly fusedQkv: boolean;
  /** Whether there is a class token. */
  readonly classToken: boolean;
  /** Tokens behind it that stand for nothing of the picture. */
  readonly registers: number;
  /** Whether class token and registers have positions, too. */
  readonly placesAll: boolean;
  /** Whether a norm comes before the blocks; patches are embedded without a bias then. */
  readonly preNorm: boolean;
  /** Where the last norm is, if there is one: on all tokens, or on what the head reads of them. */
  readonly norm: "tokens" | "pooled" | undefined;
  /** What the head reads: the class token, or the mean of the patches. */
  readonly pool: "token" | "avg";
  /** Whether what blocks add is multiplied by a factor for each feature. */
  readonly layerScale: boolean;
  /** The file. */
  readonly json: Json;
}

/** `pretrained_cfg`; older files are one themselves. */
export function pretrainedOf(json: Json): Json {
  return json.pretrained_cfg === undefined ? json : objectField(json, "pretrained_cfg");
}

/** timm's names of activations, and the names here. */
const ACTIVATIONS: Readonly<Record<string, keyof typeof activations>> = {
  gelu: "gelu",
  gelu_tanh: "gelu_pytorch_tanh",
  quick_gelu: "quick_gelu",
  relu: "relu",
  silu: "silu",
  swish: "silu",
};

/** How many classes a head has in a file without one, as transformers takes it. */
const NO_HEAD = 2;

/**
 * `config.json` of a model without a head, given one: its weights are in no file.
 *
 * @param json The file
 */
export function withHead(json: Json): Json {
  const { num_classes: count = pretrainedOf(json).num_classes } = { ...json, ...objectField(json, "model_args") };
  return count === 0 ? withClasses(json, labelNames(NO_HEAD)) : json;
}

/** How many classes the head has. */
function countOf(json: Json): number {
  const trained = json.num_classes ?? pretrainedOf(json).num_classes ?? 1000;
  const { num_classes: built = trained } = objectField(json, "model_args");
  // timm leaves out the file's head then.
  if (built !== trained) throw wrongField("num_classes", built, `${trained}, the classes of the file's head`);
  return wholeField({ num_classes: built }, "num_classes", 1000);
}

/** Names of the classes. */
function labelsOf(json: Json): readonly string[] {
  const count = countOf(json);
  const pretrained = pretrainedOf(json);
  const named = json.label_names ?? pretrained.label_names ?? pretrained.labels ?? undefined;
  if (named === undefined) return labelNames(count);
  const names = Array.isArray(named) ? named : isObject(named) ? Object.keys(named).map((_, i) => named[`${i}`]) : [];
  if (names.length !== count || !names.every((name) => typeof name === "string")) {
    throw wrongField("label_names", named, `a name for each of ${count} classes`);
  }
  return names;
}

/** The same classes by other names: where the file has any, or at its head. */
function withClasses(json: Json, labels: readonly string[]): Json {
  const { labels: _, label_descriptions: __, label_names: ___, ...whole } = json;
  const counted = (part: Json): Json => ({ ...part, num_classes: labels.length });
  const { pretrained_cfg: pretrained, model_args: args } = whole;
  const { label_names: _own, labels: _old, label_descriptions: _words, ...rest } = isObject(pretrained)
    ? pretrained
    : {};
  const isNamed = !isEqual(labels, labelNames(labels.length));
  return {
    ...counted(whole),
    ...(isNamed ? { label_names: labels } : {}),
    ...(isObject(args) && "num_classes" in args ? { model_args: counted(args) } : {}),
    ...(isObject(pretrained) ? { pretrained_cfg: counted(rest) } : {}),
  };
}

/** [channels, height, width] of `pretrained_cfg`. */
export function inputSize(json: Json): readonly [channels: number, height: number, width: number] {
  const size = pretrainedOf(json).input_size ?? [3, 224, 224];
  if (!Array.isArray(size) || size.length !== 3) throw wrongField("input_size", size, "[channels, height, width]");
  const [channels, ...sides] = size;
  return [
    wholeField({ input_size: channels }, "input_size", 3),
    ...sideField({ input_size: sides }, "input_size", 224),
  ];
}

/**
 * Sizes by timm's `config.json`.
 *
 * @param json The file
 * @throws OneloraError for an architecture or a setting that is not read here
 */
export function readTimm(json: Json): TimmConfig {
  const { architecture } = json;
  if (typeof architecture !== "string") throw wrongField("architecture", architecture, "the name of a model of timm");
  if (json.pretrained_cfg === undefined && json.model_args !== undefined) {
    throw wrongField("model_args", json.model_args, "none in a file without pretrained_cfg, as in timm");
  }
  const own = Object.entries(objectField(json, "model_args")).filter(([, value]) => value !== null);
  const strange = own.find(([name]) => !Object.hasOwn(argumentSettings, name));
  // timm fails with it.
  if (strange !== undefined) throw wrongField(`model_args.${strange[0]}`, strange[1], "an argument of timm's ViT");
  // timm knows the epsilon of its own norm alone, whatever the architecture's was.
  const norm = own.some(([name]) => name === "norm_layer") ? { norm_eps: 1e-6 } : {};
  const args: Json = { ...timmArguments(architecture), ...norm, ...Object.fromEntries(own) };
  choiceField(args, "norm_layer", ["layernorm"], "layernorm");
  const { fixed_input_size: isFixed, global_pool: usualPool } = pretrainedOf(json);
  const [channels, ...sides] = inputSize(json);
  const hidden = wholeField(args, "embed_dim", 768);
  const heads = wholeField(args, "num_heads", 12);
  if (hidden % heads !== 0) throw wrongField("embed_dim", hidden, `a multiple of ${heads} heads`);
  const image = sideField(
    args.img_size === undefined && isFixed === true ? { img_size: sides } : args,
    "img_size",
    224,
  );
  const patch = sideField(args, "patch_size", 16);
  if (image.some((side, axis) => side < patch[axis])) {
    throw wrongField("img_size", image, `at least the patch size ${patch.join("x")}`);
  }
  const pool = choiceField(args, "global_pool", ["token", "avg"], usualPool as "token" | undefined ?? "token");
  choiceField({ global_pool: pool }, "global_pool", ["token", "avg"], "token");
  const classToken = booleanField(args, "class_token", true);
  if (!classToken && pool === "token") throw wrongField("global_pool", pool, '"avg" where there is no class token');
  return {
    hidden,
    heads,
    layers: wholeField(args, "depth", 12),
    intermediate: Math.trunc(hidden * numberField(args, "mlp_ratio", 4)),
    image,
    patch,
    channels: wholeField(args, "in_chans", channels),
    labels: labelsOf(json),
    eps: numberField(args, "norm_eps", 1e-6),
    activation: ACTIVATIONS[choiceField(args, "act_layer", Object.keys(ACTIVATIONS), "gelu")],
    qkvBias: booleanField(args, "qkv_bias", true),
    projBias: booleanField(args, "proj_bias", true),
    fusedQkv: true,
    classToken,
    registers: args.reg_tokens === 0 ? 0 : args.reg_tokens === undefined ? 0 : wholeField(args, "reg_tokens", 0),
    placesAll: !booleanField(args, "no_embed_class", false),
    preNorm: booleanField(args, "pre_norm", false),
    norm: !booleanField(args, "final_norm", true)
      ? undefined
      : booleanField(args, "fc_norm", pool === "avg")
      ? "pooled"
      : "tokens",
    pool,
    layerScale: args.init_values !== undefined && args.init_values !== 0 && numberField(args, "init_values", 1) > 0,
    json,
  };
}

/**
 * timm's `config.json` of sizes: as it was read, but for other classes and for biases that merging gave.
 *
 * @param config The sizes
 */
export function writeTimm({ json, labels, qkvBias, projBias }: TimmConfig): Json {
  const read = readTimm(json);
  const named = isEqual(labels, read.labels) ? json : withClasses(json, labels);
  const biases = {
    ...(qkvBias === read.qkvBias ? {} : { qkv_bias: qkvBias }),
    ...(projBias === read.projBias ? {} : { proj_bias: projBias }),
  };
  if (Object.keys(biases).length === 0) return named;
  return { ...named, model_args: { ...objectField(named, "model_args"), ...biases } };
}
