/**
 * CLIP's vision model as a classifier (Radford et al. 2021), as transformers' `CLIPForImageClassification`; files of the whole
 * CLIP, such as `openai/clip-vit-base-patch32`, open with a head that starts anew. Parameter paths are the checkpoint's keys
 * without the `vision_model.` prefix.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { meanAlong } from "../../dsl/ops/along.ts";
import { gaussian } from "../../dsl/initialise.ts";
import { residual, sequence, serial, stack } from "../../dsl/compose.ts";
import { defineLayer, type Layer, parameter } from "../../dsl/layer.ts";
import { activationLayer, layerNormLayer, patchEmbedLayer, selfAttention } from "../../dsl/layers.ts";
import { linear } from "../../dsl/linear.ts";
import { activations } from "../../dsl/ops/activation.ts";
import { forEach } from "../../dsl/ops/repeat.ts";
import {
  choiceField,
  headsField,
  type Json,
  labelNames,
  labelsField,
  numberField,
  objectField,
  wholeField,
  wrongField,
} from "../config.ts";
import { type Family, family } from "../family.ts";
import { writeLabels } from "../vit/vit.ts";
import { clipSettings, clipVisionSettings } from "./settings.ts";

/** Sizes of a CLIP's vision model. */
export interface ClipConfig {
  /** Width D. */
  readonly hidden: number;
  /** Transformer blocks. */
  readonly layers: number;
  /** Attention heads. */
  readonly heads: number;
  /** Width of the MLP. */
  readonly intermediate: number;
  /** Side of the square images in pixels. */
  readonly image: number;
  /** Side of a patch in pixels. */
  readonly patch: number;
  /** Image channels. */
  readonly channels: number;
  /** Names of the head's classes. */
  readonly labels: readonly string[];
  /** Added to the variance in layer norms. */
  readonly eps: number;
  /** MLP activation. */
  readonly activation: string;
}

/** Class token, patches, positions: pixels [B, C, S, S] -> tokens [B, 1 + N, D]. */
function embeddings({ hidden, image, patch, channels }: ClipConfig): Layer {
  const side = Math.floor(image / patch);
  const seen = side * patch;
  return defineLayer({
    kind: "embeddings",
    params: {
      class_embedding: parameter([hidden], gaussian(0.02)),
      "position_embedding.weight": parameter([side * side + 1, hidden], gaussian(0.02)),
    },
    parts: { patch_embedding: patchEmbedLayer(channels, [patch, patch], hidden, false) },
    forward: (self, pixels) => {
      const [batch] = pixels.shape;
      // Rows and columns that no whole patch reaches are not seen, as in the reference's convolution.
      const read = seen === image ? pixels : tf.slice(pixels, [0, 0, 0, 0], [batch, channels, seen, seen]);
      const first = forEach(tf.reshape(self.param("class_embedding"), [1, 1, hidden]), batch);
      const tokens = tf.concat([first, self.call("patch_embedding", read)], 1);
      return tf.add(tokens, tf.expandDims(self.param("position_embedding.weight"), 0));
    },
  });
}

/** Pre-norm transformer block, [B, N, D] -> [B, N, D]: x += attention(norm1 x); x += mlp(norm2 x). */
function block({ hidden, heads, intermediate, eps, activation }: ClipConfig): Layer {
  return sequence(
    residual(serial({
      layer_norm1: layerNormLayer(hidden, eps),
      self_attn: selfAttention({
        dim: hidden,
        heads,
        names: { qkv: ["q_proj", "k_proj", "v_proj"], output: "out_proj" },
      }),
    })),
    residual(serial({
      layer_norm2: layerNormLayer(hidden, eps),
      "mlp.fc1": linear(hidden, intermediate, { weight: gaussian(0.02) }),
      activation: activationLayer(activation),
      "mlp.fc2": linear(intermediate, hidden, { weight: gaussian(0.02) }),
    })),
  );
}

/**
 * Classifier: pixels [B, C, S, S] -> logits [B, classes] = classifier(mean of the patches' tokens after the last block). The norm
 * after that, which only the comparison with texts uses, is kept for the files.
 *
 * @param config Sizes
 */
export function clip(config: ClipConfig): Layer {
  const { hidden, eps } = config;
  return defineLayer({
    kind: "clip",
    params: {},
    parts: {
      embeddings: embeddings(config),
      // The checkpoints' own spelling.
      pre_layrnorm: layerNormLayer(hidden, eps),
      "encoder.layers": stack(config.layers, () => block(config)),
      post_layernorm: layerNormLayer(hidden, eps),
      classifier: linear(hidden, config.labels.length, { role: "head", weight: gaussian(0.02) }),
    },
    forward: (self, pixels) => {
      const first = self.call<tf.Tensor>("pre_layrnorm", self.call("embeddings", pixels));
      const tokens = self.call<tf.Tensor>("encoder.layers", first);
      return self.call("classifier", meanAlong(tf.slice(tokens, [0, 1, 0], [-1, -1, -1]), 1));
    },
  });
}

/** Sizes by `config.json`. */
function readClip(json: Json): ClipConfig {
  const vision = objectField(json, "vision_config");
  const [image, patch] = [wholeField(vision, "image_size", 224), wholeField(vision, "patch_size", 32)];
  if (image < patch) throw wrongField("image_size", image, `at least the patch size ${patch}`);
  return {
    ...headsField(vision, { hidden: 768, heads: 12 }),
    layers: wholeField(vision, "num_hidden_layers", 12),
    intermediate: wholeField(vision, "intermediate_size", 3072),
    image,
    patch,
    channels: wholeField(vision, "num_channels", 3),
    labels: labelsField(json),
    eps: numberField(vision, "layer_norm_eps", 1e-5),
    activation: choiceField(vision, "hidden_act", Object.keys(activations), "quick_gelu"),
  };
}

const base: ClipConfig = { ...readClip({}), labels: labelNames(10) };

/** CLIP's vision model as a family of checkpoints. */
export const clipFamily: Family = family<ClipConfig>({
  name: "clip",
  presets: {
    "clip-vit-base-patch32": base,
    "clip-vit-base-patch16": { ...base, patch: 16 },
    "clip-vit-large-patch14": { ...base, hidden: 1024, layers: 24, heads: 16, intermediate: 4096, patch: 14 },
  },
  build: clip,
  readConfig: readClip,
  settings: clipSettings,
  nestedSettings: { vision_config: clipVisionSettings },
  writeConfig: (config) => ({
    architectures: ["CLIPForImageClassification"],
    model_type: "clip",
    vision_config: {
      model_type: "clip_vision_model",
      hidden_size: config.hidden,
      num_hidden_layers: config.layers,
      num_attention_heads: config.heads,
      intermediate_size: config.intermediate,
      image_size: config.image,
      patch_size: config.patch,
      num_channels: config.channels,
      layer_norm_eps: config.eps,
      hidden_act: config.activation,
    },
    ...writeLabels(config.labels),
  }),
  keys: () => ({
    prefix: "vision_model.",
    unprefixed: ["classifier.**"],
    // Texts, and what compares pictures with them.
    ignored: ["text_model.**", "text_projection.**", "visual_projection.**", "logit_scale", "embeddings.position_ids"],
    modules: [],
  }),
  headPath: "classifier",
  signature: ({ image, channels }) => ({
    inputs: [{ name: "pixel_values", kind: "float", shape: ["batch", channels, image, image] }],
    outputs: ["logits"],
  }),
  image: ({ image, channels }) => ({
    height: image,
    width: image,
    channels,
    mean: channels === 3 ? [0.48145466, 0.4578275, 0.40821073] : Array(channels).fill(0.5),
    std: channels === 3 ? [0.26862954, 0.26130258, 0.27577711] : Array(channels).fill(0.5),
    preparation: {
      resize: { kind: "shortest", side: image },
      resample: "bicubic",
      crop: { height: image, width: image },
      rescale: 1 / 255,
    },
  }),
  classes: {
    labels: ({ labels }) => labels,
    withLabels: (config, labels) => ({ ...config, labels }),
    part: { path: "classifier", extraRows: 0 },
  },
});
