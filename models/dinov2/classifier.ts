/**
 * DINOv2 as a classifier, without and with registers (Oquab et al. 2023; Darcet et al. 2023), as published under
 * `facebook/dinov2-base-imagenet1k-1-layer`. Parameter paths are the checkpoint's keys without their prefix.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { meanAlong } from "../../dsl/ops/along.ts";
import { gaussian } from "../../dsl/initialise.ts";
import { stack } from "../../dsl/compose.ts";
import { defineLayer, type Layer } from "../../dsl/layer.ts";
import { layerNormLayer } from "../../dsl/layers.ts";
import { linear } from "../../dsl/linear.ts";
import { type Json, labelNames, labelsField, wholeField } from "../config.ts";
import { type Architecture, type Family, family } from "../family.ts";
import { writeLabels } from "../vit/vit.ts";
import { dinov2Block, type Dinov2Config, dinov2Embeddings } from "./backbone.ts";
import { readDinov2, writeDinov2 } from "./config.ts";
import { dinov2Fusion, dinov2Modules, dinov2Originals } from "./keys.ts";
import { dinov2ClassifierSettings } from "./settings.ts";

/** Sizes of a DINOv2 classifier. */
export interface Dinov2ClassifierConfig extends Dinov2Config {
  /** Names of the head's classes. */
  readonly labels: readonly string[];
}

/**
 * DINOv2 classifier: pixels [B, C, H, W] of any size -> logits [B, classes]: with x the normed tokens, classifier([class token,
 * mean of patches]); registers are left out of the mean.
 *
 * @param config Sizes
 */
export function dinov2Classifier(config: Dinov2ClassifierConfig): Layer {
  const { hidden, registers = 0 } = config;
  return defineLayer({
    kind: "dinov2 classifier",
    params: {},
    parts: {
      embeddings: dinov2Embeddings(config),
      "encoder.layer": stack(config.layers, () => dinov2Block(config)),
      layernorm: layerNormLayer(hidden, config.eps),
      classifier: linear(2 * hidden, config.labels.length, { role: "head", weight: gaussian(0.02) }),
    },
    forward: (self, pixels) => {
      const tokens = self.call<tf.Tensor>("encoder.layer", self.call("embeddings", pixels));
      const normed = self.call<tf.Tensor>("layernorm", tokens);
      const first = tf.reshape(tf.slice(normed, [0, 0, 0], [-1, 1, -1]), [-1, hidden]);
      const patches = meanAlong(tf.slice(normed, [0, 1 + registers, 0], [-1, -1, -1]), 1);
      return self.call("classifier", tf.concat([first, patches], 1));
    },
  });
}

/** Side of the pictures that published models are evaluated on; others have positions for larger ones. */
const SIDE = 224;

type Described = Pick<Architecture<Dinov2ClassifierConfig>, "name" | "presets" | "readConfig" | "writeConfig">;

function classifierFamily(described: Described): Family {
  return family<Dinov2ClassifierConfig>({
    ...described,
    build: dinov2Classifier,
    settings: dinov2ClassifierSettings,
    keys: () => ({
      prefix: `${described.name}.`,
      unprefixed: ["classifier.**"],
      ignored: [],
      modules: dinov2Modules(""),
      // Its files have no head, and registers by the same name.
      originals: [["embeddings.register_tokens", "register_tokens"], ...dinov2Originals("", "")],
      fusions: [dinov2Fusion("")],
    }),
    headPath: "classifier",
    signature: ({ channels }) => ({
      inputs: [{ name: "pixel_values", kind: "float", shape: ["batch", channels, "height", "width"] }],
      outputs: ["logits"],
    }),
    withBiases: (config) => ({ ...config, qkvBias: true }),
    withQkv: (config, qkv) => ({ ...config, fusedQkv: qkv === "fused" }),
    image: ({ image, patch, channels }) => {
      const side = Math.floor(Math.min(image, SIDE) / patch) * patch;
      const isColour = channels === 3;
      return {
        height: side,
        width: side,
        multipleOf: patch,
        channels,
        // ImageNet's
        mean: isColour ? [0.485, 0.456, 0.406] : Array(channels).fill(0.5),
        std: isColour ? [0.229, 0.224, 0.225] : Array(channels).fill(0.5),
        preparation: {
          resize: { kind: "shortest", side: Math.round(side * 256 / 224) },
          resample: "bicubic",
          crop: { height: side, width: side },
          rescale: 1 / 255,
        },
      };
    },
    classes: {
      labels: ({ labels }) => labels,
      withLabels: (config, labels) => ({ ...config, labels }),
      part: { path: "classifier", extraRows: 0 },
    },
  });
}

const base: Dinov2ClassifierConfig = { ...readDinov2({ image_size: 518 }), labels: labelNames(1000) };
const sizes = {
  small: { ...base, hidden: 384, heads: 6 },
  base,
  large: { ...base, hidden: 1024, layers: 24, heads: 16, outputs: [24] },
};

/** DINOv2 as a family of checkpoints. */
export const dinov2Family: Family = classifierFamily({
  name: "dinov2",
  presets: { "dinov2-small": sizes.small, "dinov2-base": sizes.base, "dinov2-large": sizes.large },
  readConfig: (json: Json) => ({ ...readDinov2(json), labels: labelsField(json) }),
  writeConfig: (config) => ({
    architectures: ["Dinov2ForImageClassification"],
    ...writeDinov2(config),
    ...writeLabels(config.labels),
  }),
});

const registered = (config: Dinov2ClassifierConfig): Dinov2ClassifierConfig => ({
  ...config,
  registers: 4,
  antialias: true,
});

/** DINOv2 with registers as a family of checkpoints. */
export const dinov2WithRegistersFamily: Family = classifierFamily({
  name: "dinov2_with_registers",
  presets: {
    "dinov2-small-registers": registered(sizes.small),
    "dinov2-base-registers": registered(sizes.base),
    "dinov2-large-registers": registered(sizes.large),
  },
  readConfig: (json: Json) => ({
    ...readDinov2(json, { patch_size: 16 }),
    // Its class has no such field, and always a mask token.
    maskToken: true,
    antialias: true,
    registers: wholeField(json, "num_register_tokens", 4),
    labels: labelsField(json),
  }),
  writeConfig: (config) => {
    const { use_mask_token: _, ...sizes } = writeDinov2(config);
    return {
      architectures: ["Dinov2WithRegistersForImageClassification"],
      ...sizes,
      model_type: "dinov2_with_registers",
      num_register_tokens: config.registers,
      ...writeLabels(config.labels),
    };
  },
});
