/**
 * ViT, the vision transformer (Dosovitskiy et al. 2020), as published under `google/vit-base-patch16-224-in21k`.
 * Parameter paths are the checkpoint's keys without the `vit.` prefix.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { gaussian, zeros } from "../../dsl/initialise.ts";
import { residual, sequence, serial, stack } from "../../dsl/compose.ts";
import { defineLayer, type Layer, parameter } from "../../dsl/layer.ts";
import { activationLayer, firstTokens, layerNormLayer, patchEmbedLayer, selfAttention } from "../../dsl/layers.ts";
import { linear } from "../../dsl/linear.ts";
import { activations } from "../../dsl/ops/activation.ts";
import { forEach } from "../../dsl/ops/repeat.ts";
import {
  booleanField,
  choiceField,
  headsField,
  type Json,
  labelNames,
  labelsField,
  numberField,
  sideField,
  wholeField,
} from "../config.ts";
import type { KeyMap } from "../checkpoint/keys.ts";
import { type Family, family } from "../family.ts";
import { vitSettings } from "./settings.ts";

/** Sizes of a ViT. */
export interface VitConfig {
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
  /** One qkv projection of 3 D outputs instead of three (the paper's ViT-L counts use it). */
  readonly fusedQkv: boolean;
}

/**
 * Class token, patches, positions: pixels [B, C, H, W] -> tokens [B, 1 + N, D], or [B, 2 + N, D] with the token of distillation
 * after the class token.
 *
 * @param config Sizes
 * @param distilled Whether there is such a token
 */
export function vitEmbeddings(config: VitConfig, distilled: boolean = false): Layer {
  // Rows and columns that no whole patch reaches are not seen, as in the reference's convolution.
  const [rows, columns] = config.image.map((side, axis) => Math.floor(side / config.patch[axis]));
  const seen = [rows * config.patch[0], columns * config.patch[1]];
  const patches = rows * columns;
  return defineLayer({
    kind: "embeddings",
    params: {
      cls_token: parameter([1, 1, config.hidden], zeros),
      ...(distilled ? { distillation_token: parameter([1, 1, config.hidden], zeros) } : {}),
      position_embeddings: parameter([1, patches + (distilled ? 2 : 1), config.hidden], gaussian(0.02)),
    },
    parts: { "patch_embeddings.projection": patchEmbedLayer(config.channels, config.patch, config.hidden) },
    forward: (self, pixels) => {
      const [batch, channels] = pixels.shape;
      const whole = `${seen}` === `${config.image}`;
      const read = whole ? pixels : tf.slice(pixels, [0, 0, 0, 0], [batch, channels!, ...seen]);
      const tokens = self.call("patch_embeddings.projection", read);
      const own = (["cls_token", ...(distilled ? ["distillation_token"] as const : [])] as const)
        .map((name) => forEach(self.param(name), pixels.shape[0]));
      return tf.add(tf.concat([...own, tokens], 1), self.param("position_embeddings"));
    },
  });
}

/**
 * Pre-norm transformer block, [B, N, D] -> [B, N, D]: x += attention(norm x); x += mlp(norm x).
 *
 * @param config Sizes
 * @param wanted Tokens of its result that are read, if not all ({@linkcode firstTokens})
 */
function vitBlock(config: VitConfig, wanted?: number): Layer {
  const { hidden, intermediate, eps } = config;
  const separate = ["attention.query", "attention.key", "attention.value"] as const;
  return sequence(
    residual(
      serial({
        layernorm_before: layerNormLayer(hidden, eps),
        attention: selfAttention({
          dim: hidden,
          heads: config.heads,
          qkvBias: config.qkvBias,
          names: { qkv: config.fusedQkv ? "attention.qkv" : separate, output: "output.dense" },
          wanted,
        }),
      }),
      (x) => firstTokens(x, wanted),
    ),
    residual(serial({
      layernorm_after: layerNormLayer(hidden, eps),
      "intermediate.dense": linear(hidden, intermediate, { weight: gaussian(0.02) }),
      activation: activationLayer(config.activation),
      "output.dense": linear(intermediate, hidden, { weight: gaussian(0.02) }),
    })),
  );
}

/**
 * The blocks of a ViT whose heads read its first tokens alone.
 *
 * @param config Sizes
 * @param read How many tokens they read
 */
export function vitBlocks(config: VitConfig, read: number): Layer<readonly [tf.Tensor, ...unknown[]]> {
  return stack(config.layers, (i) => vitBlock(config, i === config.layers - 1 ? read : undefined));
}

/**
 * ViT classifier: pixels [B, C, H, W] -> logits [B, classes] = classifier(layernorm(x)[:, 0]).
 *
 * @param config Sizes
 */
export function vit(config: VitConfig): Layer {
  return defineLayer({
    kind: "vit",
    params: {},
    parts: {
      embeddings: vitEmbeddings(config),
      "encoder.layer": vitBlocks(config, 1),
      layernorm: layerNormLayer(config.hidden, config.eps),
      classifier: linear(config.hidden, config.labels.length, { role: "head", weight: gaussian(0.02) }),
    },
    forward: (self, pixels) => {
      const tokens = self.call("encoder.layer", self.call("embeddings", pixels));
      // Layer norm acts on each token alone, so only the class token needs it.
      const first = tf.reshape(tf.slice(tokens, [0, 0, 0], [-1, 1, -1]), [pixels.shape[0], config.hidden]);
      return self.call("classifier", self.call("layernorm", first));
    },
  });
}

/** A square's side, or both sides, as `config.json` has it. */
function sides([height, width]: readonly [number, number]): number | readonly number[] {
  return height === width ? height : [height, width];
}

const base: VitConfig = {
  hidden: 768,
  layers: 12,
  heads: 12,
  intermediate: 3072,
  image: [224, 224],
  patch: [16, 16],
  channels: 3,
  labels: labelNames(10),
  eps: 1e-12,
  activation: "gelu",
  qkvBias: true,
  fusedQkv: false,
};

/**
 * Sizes by `config.json`.
 *
 * @param json The file
 */
export function readVit(json: Json): VitConfig {
  return {
    ...headsField(json, { hidden: 768, heads: 12 }),
    layers: wholeField(json, "num_hidden_layers", 12),
    intermediate: wholeField(json, "intermediate_size", 3072),
    image: sideField(json, "image_size", 224),
    patch: sideField(json, "patch_size", 16),
    channels: wholeField(json, "num_channels", 3),
    labels: labelsField(json),
    eps: numberField(json, "layer_norm_eps", 1e-12),
    activation: choiceField(json, "hidden_act", Object.keys(activations), "gelu"),
    qkvBias: booleanField(json, "qkv_bias", true),
    fusedQkv: false,
  };
}

/**
 * Names of classes as `config.json` has them.
 *
 * @param labels The names
 */
export function writeLabels(labels: readonly string[]): Json {
  return {
    id2label: Object.fromEntries(labels.map((label, i) => [`${i}`, label])),
    label2id: Object.fromEntries(labels.map((label, i) => [label, i])),
  };
}

/**
 * `config.json` of sizes.
 *
 * @param config The sizes
 */
export function writeVit(config: VitConfig): Json {
  return {
    architectures: ["ViTForImageClassification"],
    model_type: "vit",
    hidden_size: config.hidden,
    num_hidden_layers: config.layers,
    num_attention_heads: config.heads,
    intermediate_size: config.intermediate,
    image_size: sides(config.image),
    patch_size: sides(config.patch),
    num_channels: config.channels,
    layer_norm_eps: config.eps,
    hidden_act: config.activation,
    qkv_bias: config.qkvBias,
    ...writeLabels(config.labels),
  };
}

/** How checkpoints call a ViT's parameters, and transformers >= 5.1 its modules. */
export const vitKeys: KeyMap = {
  prefix: "vit.",
  unprefixed: ["classifier.**"],
  // The pooler and the token of masked training are no part of the classifier.
  ignored: ["pooler.**", "embeddings.mask_token"],
  // transformers >= 5.1
  modules: [
    ["encoder.layer.*.attention.attention.query", "layers.*.attention.q_proj"],
    ["encoder.layer.*.attention.attention.key", "layers.*.attention.k_proj"],
    ["encoder.layer.*.attention.attention.value", "layers.*.attention.v_proj"],
    ["encoder.layer.*.attention.output.dense", "layers.*.attention.o_proj"],
    ["encoder.layer.*.intermediate.dense", "layers.*.mlp.fc1"],
    ["encoder.layer.*.output.dense", "layers.*.mlp.fc2"],
    ["encoder.layer.*", "layers.*"],
  ],
  fusions: [{
    whole: "encoder.layer.*.attention.attention.qkv",
    parts: ["query", "key", "value"].map((name) => `encoder.layer.*.attention.attention.${name}`),
    published: "parts",
  }],
};

/** ViT as a family of checkpoints. */
export const vitFamily: Family = family<VitConfig>({
  name: "vit",
  presets: {
    "vit-micro": {
      ...base,
      hidden: 128,
      layers: 4,
      heads: 4,
      intermediate: 512,
      image: [28, 28],
      patch: [7, 7],
      channels: 1,
    },
    "vit-base": base,
    "vit-large": { ...base, hidden: 1024, layers: 24, heads: 16, intermediate: 4096 },
  },
  build: vit,
  readConfig: readVit,
  settings: vitSettings,
  writeConfig: writeVit,
  keys: () => vitKeys,
  headPath: "classifier",
  signature: ({ image, channels }) => ({
    inputs: [{ name: "pixel_values", kind: "float", shape: ["batch", channels, ...image] }],
    outputs: ["logits"],
  }),
  withBiases: (config) => ({ ...config, qkvBias: true }),
  image: ({ image: [height, width], channels }) => {
    const half = Array(channels).fill(0.5);
    return { height, width, channels, mean: half, std: half };
  },
  withQkv: (config, qkv) => ({ ...config, fusedQkv: qkv === "fused" }),
  classes: {
    labels: ({ labels }) => labels,
    withLabels: (config, labels) => ({ ...config, labels }),
    part: { path: "classifier", extraRows: 0 },
  },
});
