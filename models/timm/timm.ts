/**
 * ViT as the timm library publishes it (`timm/vit_base_patch16_224.augreg2_in21k_ft_in1k` and the like), and its siblings of
 * the same class: DeiT III, the backbones of DINOv2 and CLIP, those without a class token. Parameter paths are timm's own
 * names.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { meanAlong } from "../../dsl/ops/along.ts";
import { gaussian, zeros } from "../../dsl/initialise.ts";
import { residual, sequence, serial, stack } from "../../dsl/compose.ts";
import { defineLayer, type Layer, parameter } from "../../dsl/layer.ts";
import { activationLayer, firstTokens, layerNormLayer, patchEmbedLayer, selfAttention } from "../../dsl/layers.ts";
import { linear } from "../../dsl/linear.ts";
import { forEach } from "../../dsl/ops/repeat.ts";
import { type Family, family } from "../family.ts";
import { layerScale } from "../layer_scale.ts";
import { readTimm, type TimmConfig, withHead, writeTimm } from "./config.ts";
import { timmPicture } from "./picture.ts";
import { argumentSettings, pretrainedSettings, timmSettings } from "./settings.ts";

/** Pre-norm transformer block, [B, N, D] -> [B, N, D]: x += ls1 attn(norm1 x); x += ls2 mlp(norm2 x). */
function block(config: TimmConfig, wanted?: number): Layer {
  const { hidden, intermediate, eps, projBias: bias } = config;
  const scaled = (name: "ls1" | "ls2"): Readonly<Record<string, Layer>> =>
    config.layerScale ? { [name]: layerScale(hidden, "gamma") } : {};
  return sequence(
    residual(
      serial({
        norm1: layerNormLayer(hidden, eps),
        attn: selfAttention({
          dim: hidden,
          heads: config.heads,
          qkvBias: config.qkvBias,
          outputBias: bias,
          names: { qkv: config.fusedQkv ? "qkv" : ["q", "k", "v"], output: "proj" },
          wanted,
        }),
        ...scaled("ls1"),
      }),
      (x) => firstTokens(x, wanted),
    ),
    residual(serial({
      norm2: layerNormLayer(hidden, eps),
      "mlp.fc1": linear(hidden, intermediate, { bias, weight: gaussian(0.02) }),
      activation: activationLayer(config.activation),
      "mlp.fc2": linear(intermediate, hidden, { bias, weight: gaussian(0.02) }),
      ...scaled("ls2"),
    })),
  );
}

/**
 * Classifier: pixels [B, C, H, W] -> logits [B, classes]. Tokens are class token, registers and patches, with positions; the head
 * reads the class token or the mean of the patches, normed before or after.
 *
 * @param config Sizes
 */
export function timmVit(config: TimmConfig): Layer {
  const { hidden, channels, patch, eps, classToken, registers, placesAll, preNorm, norm, pool } = config;
  // Rows and columns that no whole patch reaches are not seen, as in the reference's convolution.
  const [rows, columns] = config.image.map((side, axis) => Math.floor(side / patch[axis]));
  const seen = [rows * patch[0], columns * patch[1]];
  const before = (classToken ? 1 : 0) + registers;
  const layerNorm = () => layerNormLayer(hidden, eps);
  return defineLayer({
    kind: "timm",
    params: {
      ...(classToken ? { cls_token: parameter([1, 1, hidden], zeros) } : {}),
      ...(registers === 0 ? {} : { reg_token: parameter([1, registers, hidden], zeros) }),
      pos_embed: parameter([1, rows * columns + (placesAll ? before : 0), hidden], gaussian(0.02)),
    },
    parts: {
      "patch_embed.proj": patchEmbedLayer(channels, patch, hidden, !preNorm),
      ...(preNorm ? { norm_pre: layerNorm() } : {}),
      blocks: stack(
        config.layers,
        (i) => block(config, pool === "token" && i === config.layers - 1 ? 1 : undefined),
      ),
      ...(norm === undefined ? {} : { [norm === "tokens" ? "norm" : "fc_norm"]: layerNorm() }),
      head: linear(hidden, config.labels.length, { role: "head", weight: gaussian(0.02) }),
    } as Readonly<Record<string, Layer>>,
    forward: (self, pixels) => {
      const [batch] = pixels.shape;
      const whole = `${seen}` === `${config.image}`;
      const read = whole ? pixels : tf.slice(pixels, [0, 0, 0, 0], [batch, channels, ...seen]);
      const patches = self.call<tf.Tensor>("patch_embed.proj", read);
      const own = [...(classToken ? ["cls_token" as const] : []), ...(registers === 0 ? [] : ["reg_token" as const])]
        .map((name) => forEach(self.param(name), batch));
      const joined = (x: tf.Tensor) => own.length === 0 ? x : tf.concat([...own, x], 1);
      const positions = self.param("pos_embed");
      const placed = placesAll ? tf.add(joined(patches), positions) : joined(tf.add(patches, positions));
      const tokens = self.call<tf.Tensor>("blocks", preNorm ? self.call("norm_pre", placed) : placed);
      const normed = (x: tf.Tensor): tf.Tensor =>
        norm === undefined ? x : self.call(norm === "tokens" ? "norm" : "fc_norm", x);
      const pooled = (x: tf.Tensor) =>
        pool === "token"
          ? tf.reshape(tf.slice(x, [0, 0, 0], [-1, 1, -1]), [batch, hidden])
          : meanAlong(before === 0 ? x : tf.slice(x, [0, before, 0], [-1, -1, -1]), 1);
      // Layer norm acts on each token alone, so only those that are read need it.
      return self.call("head", norm === "tokens" && pool === "avg" ? pooled(normed(tokens)) : normed(pooled(tokens)));
    },
  });
}

const base: Family = family<TimmConfig>({
  name: "timm",
  presets: {},
  build: timmVit,
  readConfig: readTimm,
  settings: timmSettings,
  nestedSettings: { pretrained_cfg: pretrainedSettings, model_args: argumentSettings },
  writeConfig: writeTimm,
  keys: () => ({
    prefix: "",
    unprefixed: [],
    // What older versions of timm had before the head, and left out themselves.
    ignored: ["pre_logits.**"],
    modules: [],
    // DeiT III's own names, which timm reads, too.
    aliases: [["blocks.*.ls1.gamma", "blocks.*.gamma_1"], ["blocks.*.ls2.gamma", "blocks.*.gamma_2"]],
    fusions: [{
      whole: "blocks.*.attn.qkv",
      parts: ["q", "k", "v"].map((name) => `blocks.*.attn.${name}`),
      published: "whole",
    }],
  }),
  headPath: "head",
  signature: ({ image, channels }) => ({
    inputs: [{ name: "pixel_values", kind: "float", shape: ["batch", channels, ...image] }],
    outputs: ["logits"],
  }),
  withBiases: (config) => ({ ...config, qkvBias: true, projBias: true }),
  withQkv: (config, qkv) => ({ ...config, fusedQkv: qkv === "fused" }),
  image: timmPicture,
  classes: {
    labels: ({ labels }) => labels,
    withLabels: (config, labels) => ({ ...config, labels }),
    part: { path: "head", extraRows: 0 },
  },
});

/** timm's ViTs as a family of checkpoints: they have `architecture` in `config.json`, and no `model_type`. */
export const timmFamily: Family = {
  ...base,
  read: (json, options, text) => base.read(withHead(json), options, text),
};
