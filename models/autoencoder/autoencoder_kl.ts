/**
 * The variational autoencoder of latent diffusion (Rombach et al. 2021), which gives DiT its latents, as published under
 * `stabilityai/sd-vae-ft-ema`. Parameter paths are the checkpoint's keys. Activations are NHWC inside.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { residual, serial, stack } from "../../dsl/compose.ts";
import { type AnyLayer, defineLayer, type Layer } from "../../dsl/layer.ts";
import { activationLayer, convLayer, groupNormLayer } from "../../dsl/layers.ts";
import { linear } from "../../dsl/linear.ts";
import { attention } from "../../dsl/ops/attention.ts";
import { interpolate } from "../../dsl/ops/interpolate.ts";
import { type AutoencoderConfig, autoencoderPresets, readAutoencoderConfig, writeAutoencoderConfig } from "./config.ts";
import { type Description, type Family, family, requireFamily } from "../family.ts";
import type { Rename } from "../checkpoint/keys.ts";
import { autoencoderSettings } from "./settings.ts";

/** Pixels [B, C, H, W] in -1 ... 1 -> [latents, mean, logvar], [B, L, h, w] each. */
export type Encoder = Layer<readonly [pixels: tf.Tensor], readonly [tf.Tensor, tf.Tensor, tf.Tensor]>;

/** Latents [B, L, h, w] -> pixels [B, C, H, W]. */
export type Decoder = Layer<readonly [latents: tf.Tensor], tf.Tensor>;

type Parts = Readonly<Record<string, AnyLayer>>;

const EPS = 1e-6;

function toChannelsLast(x: tf.Tensor): tf.Tensor {
  return tf.transpose(x, [0, 2, 3, 1]);
}

function toChannelsFirst(x: tf.Tensor): tf.Tensor {
  return tf.transpose(x, [0, 3, 1, 2]);
}

/** x + conv2(silu(norm2(conv1(silu(norm1 x))))), x projected where its channels change. */
function residualUnit(inChannels: number, outChannels: number, groups: number): Layer {
  const inner = serial({
    norm1: groupNormLayer(groups, inChannels, EPS),
    act1: activationLayer("silu"),
    conv1: convLayer(inChannels, outChannels, 3, { padding: 1 }),
    norm2: groupNormLayer(groups, outChannels, EPS),
    act2: activationLayer("silu"),
    conv2: convLayer(outChannels, outChannels, 3, { padding: 1 }),
  });
  if (inChannels === outChannels) return residual(inner);
  return defineLayer({
    ...inner,
    parts: { ...inner.parts, conv_shortcut: convLayer(inChannels, outChannels, 1) },
    forward: (self, x) => tf.add(self.call<tf.Tensor>("conv_shortcut", x), inner.forward(self, x)),
  });
}

/** x + attention of every pixel to all, one head as wide as the map. */
function pixelAttention(channels: number, groups: number): Layer {
  const projection = linear(channels, channels, { role: "qkv" });
  return residual(defineLayer({
    kind: "attention",
    params: {},
    parts: {
      group_norm: groupNormLayer(groups, channels, EPS),
      to_q: projection,
      to_k: projection,
      to_v: projection,
      "to_out.0": linear(channels, channels),
    },
    forward: (self, x) => {
      const [batch, height, width] = x.shape;
      const pixels = tf.reshape(self.call<tf.Tensor>("group_norm", x), [batch, 1, height * width, channels]);
      const [q, k, v] = (["to_q", "to_k", "to_v"] as const).map((name) => self.call<tf.Tensor>(name, pixels));
      return tf.reshape(self.call<tf.Tensor>("to_out.0", attention(q, k, v)), x.shape);
    },
  }));
}

function middle(channels: number, groups: number): Layer {
  return serial({
    "resnets.0": residualUnit(channels, channels, groups),
    "attentions.0": pixelAttention(channels, groups),
    "resnets.1": residualUnit(channels, channels, groups),
  });
}

/** Residual units, the first of which changes the channels, and then a change of resolution, if any. */
function level(
  count: number,
  inChannels: number,
  outChannels: number,
  groups: number,
  resample: Parts,
): Layer {
  const units = stack(count, (i) => residualUnit(i === 0 ? inChannels : outChannels, outChannels, groups));
  return serial({ resnets: units, ...resample });
}

/** Half the height and width: zeros on the right and below only, then every second place of a convolution. */
function halve(channels: number): Layer {
  return convLayer(channels, channels, 3, { stride: 2, padding: [[0, 1], [0, 1]] });
}

/** Twice the height and width: every pixel repeated, then a convolution. */
function double(channels: number): Layer {
  const convolution = convLayer(channels, channels, 3, { padding: 1 });
  return {
    ...convolution,
    forward: (self, x) => convolution.forward(self, interpolate(x, { scaleFactor: [2, 2] }, { mode: "nearest" })),
  };
}

/** Norm, activation, convolution: how both halves end. */
function ending(inChannels: number, outChannels: number, groups: number): Parts {
  return {
    conv_norm_out: groupNormLayer(groups, inChannels, EPS),
    conv_act: activationLayer("silu"),
    conv_out: convLayer(inChannels, outChannels, 3, { padding: 1 }),
  };
}

/** [B, H, W, C] -> [B, h, w, 2 L]. */
function encoder({ channels, latent, blocks, layers, groups }: AutoencoderConfig): Layer {
  const deepest = blocks.length - 1;
  return serial({
    conv_in: convLayer(channels, blocks[0], 3, { padding: 1 }),
    down_blocks: stack(blocks.length, (b) => {
      const resample: Parts = b < deepest ? { "downsamplers.0.conv": halve(blocks[b]) } : {};
      return level(layers, blocks[Math.max(b - 1, 0)], blocks[b], groups, resample);
    }),
    mid_block: middle(blocks[deepest], groups),
    ...ending(blocks[deepest], 2 * latent, groups),
  });
}

/** [B, h, w, L] -> [B, H, W, C]. */
function decoder({ channels, latent, blocks, layers, groups }: AutoencoderConfig): Layer {
  const coarsestFirst = blocks.toReversed();
  const finest = blocks.length - 1;
  return serial({
    conv_in: convLayer(latent, coarsestFirst[0], 3, { padding: 1 }),
    mid_block: middle(coarsestFirst[0], groups),
    up_blocks: stack(blocks.length, (b) => {
      const resample: Parts = b < finest ? { "upsamplers.0.conv": double(coarsestFirst[b]) } : {};
      return level(layers + 1, coarsestFirst[Math.max(b - 1, 0)], coarsestFirst[b], groups, resample);
    }),
    ...ending(coarsestFirst[finest], channels, groups),
  });
}

/**
 * The autoencoder, encoding: [latents, mean, logvar] of a normal distribution, its logarithmic variance kept within -30 and
 * 20; latents = scalingFactor * mean. {@linkcode decoding} is its way back.
 *
 * @param config Sizes
 *
 * @example
 * ```ts
 * import { apply, init, key, useBackend } from "@onelora/onelora/dsl";
 * import { autoencoderKl, autoencoderPresets, decoding } from "@onelora/onelora/models";
 * import { assertEquals } from "@std/assert";
 * import * as tf from "@tensorflow/tfjs-core";
 * await useBackend("cpu");
 * const config = autoencoderPresets["vae-micro"];
 * const model = autoencoderKl(config);
 * const params = init(model, key(0));
 * const [latents] = apply(model, params)(tf.zeros([1, 3, 8, 8]));
 * assertEquals(latents.shape, [1, 4, 4, 4]);
 * assertEquals(apply(decoding(config)(model), params)(latents).shape, [1, 3, 8, 8]);
 * ```
 */
export function autoencoderKl(config: AutoencoderConfig): Encoder {
  const { latent, scalingFactor } = config;
  return defineLayer({
    kind: "autoencoder",
    params: {},
    parts: {
      encoder: encoder(config),
      quant_conv: convLayer(2 * latent, 2 * latent, 1),
      post_quant_conv: convLayer(latent, latent, 1),
      decoder: decoder(config),
    },
    forward: (self, pixels) => {
      const moments = self.call<tf.Tensor>("quant_conv", self.call("encoder", toChannelsLast(pixels)));
      const [mean, logvar] = tf.split(toChannelsFirst(moments), 2, 1);
      return [tf.mul(mean, scalingFactor), mean, tf.clipByValue(logvar, -30, 20)];
    },
  });
}

/**
 * The same layer, decoding: pixels of latents / scalingFactor.
 *
 * @param config Its sizes
 * @returns A function of the autoencoder's layer, adapted or not
 */
export function decoding({ scalingFactor }: Pick<AutoencoderConfig, "scalingFactor">): (layer: AnyLayer) => Decoder {
  return (layer) => ({
    ...layer,
    forward: (self, latents) => {
      const scaled = toChannelsLast(tf.div(latents, scalingFactor));
      return toChannelsFirst(self.call("decoder", self.call("post_quant_conv", scaled)));
    },
  });
}

/**
 * The layer of a model of this family, which a description hides, adapted or not.
 *
 * @param model The model
 * @param layer Its layer
 * @throws OneloraError (exit code 2) for a model of another family
 */
export function asEncoder(model: Pick<Description, "family">, layer: AnyLayer): Encoder {
  requireFamily(model, "autoencoder_kl", "using a model for latents");
  return layer as Encoder;
}

/**
 * Latents of a sample of the posterior: scalingFactor * (mean + exp(logvar / 2) * noise).
 *
 * @param config The autoencoder's sizes
 * @param mean [B, L, h, w]
 * @param logvar The same shape
 * @param noise Samples of N(0, 1), the same shape
 */
export function sampleLatents(
  { scalingFactor }: Pick<AutoencoderConfig, "scalingFactor">,
  mean: tf.Tensor,
  logvar: tf.Tensor,
  noise: tf.Tensor,
): tf.Tensor {
  return tf.tidy(() => tf.mul(tf.add(mean, tf.mul(tf.exp(tf.mul(logvar, 0.5)), noise)), scalingFactor));
}

/** How files from before diffusers 0.18 call the attention's projections. */
const OLD_NAMES: readonly Rename[] = [["to_q", "query"], ["to_k", "key"], ["to_v", "value"], ["to_out.0", "proj_attn"]];

/** The autoencoder as a family of checkpoints. */
export const autoencoderFamily: Family = family<AutoencoderConfig>({
  name: "autoencoder_kl",
  className: "AutoencoderKL",
  presets: autoencoderPresets,
  build: autoencoderKl,
  readConfig: readAutoencoderConfig,
  settings: autoencoderSettings,
  writeConfig: writeAutoencoderConfig,
  keys: () => ({
    prefix: "",
    unprefixed: [],
    ignored: [],
    modules: [],
    originals: OLD_NAMES.map(([here, there]): Rename => {
      const at = "*.mid_block.attentions.0";
      return [`${at}.${here}`, `${at}.${there}`];
    }),
  }),
  signature: ({ channels }) => ({
    inputs: [{ name: "pixel_values", kind: "float", shape: ["batch", channels, "height", "width"] }],
    outputs: ["latents", "mean", "logvar"],
  }),
  inverse: (config) => ({
    inputs: [{ name: "latents", kind: "float", shape: ["batch", config.latent, "height", "width"] }],
    outputs: ["pixel_values"],
    view: decoding(config),
  }),
  image: ({ sample, channels }) => {
    const half = Array(channels).fill(0.5);
    return { height: sample, width: sample, channels, mean: half, std: half };
  },
});
