/**
 * DeiT, a ViT with a second token that learned from a teacher (Touvron et al. 2021), as published under
 * `facebook/deit-base-distilled-patch16-224`. Its siblings without a teacher (`facebook/deit-base-patch16-224`) are ViTs by their
 * files. Parameter paths are the checkpoint's keys without the `deit.` prefix.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { gaussian } from "../../dsl/initialise.ts";
import { defineLayer, type Layer } from "../../dsl/layer.ts";
import { layerNormLayer } from "../../dsl/layers.ts";
import { linear } from "../../dsl/linear.ts";
import { type Json, labelNames, wrongField } from "../config.ts";
import { type Family, family } from "../family.ts";
import { vitSettings } from "./settings.ts";
import { readVit, vitBlocks, type VitConfig, vitEmbeddings, vitKeys, writeVit } from "./vit.ts";

/** Sizes of a DeiT. */
export interface DeitConfig extends VitConfig {
  /** Whether it answers with two heads, the class token's and the distillation token's, or with the first alone. */
  readonly twoHeads: boolean;
}

/** Where the heads live, whichever there are. */
const HEADS = "{classifier,cls_classifier,distillation_classifier}";

/**
 * DeiT classifier: pixels [B, C, H, W] -> logits [B, classes]: classifier(norm(x)[:, 0]), or with two heads
 * (cls_classifier(norm(x)[:, 0]) + distillation_classifier(norm(x)[:, 1])) / 2.
 *
 * @param config Sizes
 */
export function deit(config: DeitConfig): Layer {
  const { hidden, labels, twoHeads } = config;
  const head = () => linear(hidden, labels.length, { role: "head", weight: gaussian(0.02) });
  return defineLayer({
    kind: "deit",
    params: {},
    parts: {
      embeddings: vitEmbeddings(config, true),
      "encoder.layer": vitBlocks(config, twoHeads ? 2 : 1),
      layernorm: layerNormLayer(hidden, config.eps),
      ...(twoHeads ? { cls_classifier: head(), distillation_classifier: head() } : { classifier: head() }),
    },
    forward: (self, pixels) => {
      const tokens = self.call<tf.Tensor>("encoder.layer", self.call("embeddings", pixels));
      // Layer norm acts on each token alone, so only the heads' need it.
      const normed = (at: number) =>
        self.call<tf.Tensor>("layernorm", tf.reshape(tf.slice(tokens, [0, at, 0], [-1, 1, -1]), [-1, hidden]));
      if (!twoHeads) return self.call("classifier", normed(0));
      const both = [self.call<tf.Tensor>("cls_classifier", normed(0)), self.call("distillation_classifier", normed(1))];
      return tf.mul(tf.add(both[0], both[1]), 0.5);
    },
  });
}

/** The class of transformers that a file's weights are of. */
const [ONE, TWO] = ["DeiTForImageClassification", "DeiTForImageClassificationWithTeacher"];

function hasTwoHeads({ architectures }: Json): boolean {
  const named = architectures ?? [];
  if (!Array.isArray(named)) throw wrongField("architectures", named, "a list of names");
  return named.includes(TWO);
}

const base: DeitConfig = { ...readVit({}), labels: labelNames(1000), twoHeads: true };

/** DeiT as a family of checkpoints. */
export const deitFamily: Family = family<DeitConfig>({
  name: "deit",
  presets: {
    "deit-tiny-distilled": { ...base, hidden: 192, heads: 3, intermediate: 768 },
    "deit-small-distilled": { ...base, hidden: 384, heads: 6, intermediate: 1536 },
    "deit-base-distilled": base,
  },
  build: deit,
  readConfig: (json) => ({ ...readVit(json), twoHeads: hasTwoHeads(json) }),
  settings: vitSettings,
  writeConfig: (config) => ({
    ...writeVit(config),
    architectures: [config.twoHeads ? TWO : ONE],
    model_type: "deit",
  }),
  keys: () => ({ ...vitKeys, prefix: "deit.", unprefixed: [`${HEADS}.**`] }),
  headPath: HEADS,
  signature: ({ image, channels }) => ({
    inputs: [{ name: "pixel_values", kind: "float", shape: ["batch", channels, ...image] }],
    outputs: ["logits"],
  }),
  withBiases: (config) => ({ ...config, qkvBias: true }),
  withQkv: (config, qkv) => ({ ...config, fusedQkv: qkv === "fused" }),
  image: ({ image: [height, width], channels }) => {
    const larger = (side: number) => Math.round(side * 256 / 224);
    const isColour = channels === 3;
    return {
      height,
      width,
      channels,
      // ImageNet's
      mean: isColour ? [0.485, 0.456, 0.406] : Array(channels).fill(0.5),
      std: isColour ? [0.229, 0.224, 0.225] : Array(channels).fill(0.5),
      preparation: {
        resize: { kind: "exact", height: larger(height), width: larger(width) },
        resample: "bicubic",
        crop: { height, width },
        rescale: 1 / 255,
      },
    };
  },
  classes: {
    labels: ({ labels }) => labels,
    withLabels: (config, labels) => ({ ...config, labels }),
    part: { path: HEADS, extraRows: 0 },
  },
});
