/**
 * Ready-made layers: normalisation, activation, attention, embeddings. Each is data with a pure function, see
 * {@linkcode Layer}.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { gaussian, ones, zeros } from "./initialise.ts";
import { type AnyLayer, type Layer, parameter } from "./layer.ts";
import { linear } from "./linear.ts";
import { activation } from "./ops/activation.ts";
import { attention, type AttentionOptions, mergeHeads, splitHeads } from "./ops/attention.ts";
import { patchEmbed } from "./ops/conv.ts";
import { embedding } from "./ops/embedding.ts";
import { layerNorm, rmsNorm } from "./ops/norm.ts";

/**
 * y = (x - mean) / sqrt(var + eps) * weight + bias over the last axis.
 *
 * @param features Size of the last axis
 * @param eps Added to the (biased) variance
 * @param affine Whether `weight` and `bias` [features] exist (default true)
 */
export function layerNormLayer(features: number, eps: number, affine = true): Layer {
  return {
    kind: "norm",
    params: affine ? { weight: parameter([features], ones), bias: parameter([features], zeros) } : {},
    parts: {},
    forward: (self, x) => layerNorm(x, affine ? { weight: self.param("weight"), bias: self.param("bias") } : {}, eps),
  };
}

/**
 * y = x / sqrt(mean(x^2) + eps) * weight over the last axis.
 *
 * @param features Size of the last axis
 * @param eps Added to the mean square
 */
export function rmsNormLayer(features: number, eps: number): Layer {
  return {
    kind: "norm",
    params: { weight: parameter([features], ones) },
    parts: {},
    forward: (self, x) => rmsNorm(x, self.param("weight"), eps),
  };
}

/**
 * Rows of a table: ids [...], int32 -> [..., D]. `weight` [V, D].
 *
 * @param count V
 * @param features D
 */
export function embeddingLayer(count: number, features: number): Layer {
  return {
    kind: "embedding",
    params: { weight: parameter([count, features], gaussian(0.02)) },
    parts: {},
    forward: (self, ids) => embedding(ids, self.param("weight")),
  };
}

/**
 * An activation function as a layer.
 *
 * @param name Its name, as checkpoints' configurations spell it
 */
export function activationLayer(name: string): Layer {
  const f = activation(name);
  return { kind: "activation", params: {}, parts: {}, forward: (_, x) => f(x) };
}

/** Options of {@linkcode selfAttention}. */
export interface SelfAttentionOptions {
  /** Width D. */
  readonly dim: number;
  /** Heads H; each has D / H features. */
  readonly heads: number;
  /** Whether query, key and value have biases (default true). */
  readonly qkvBias?: boolean;
  /** Part names in the checkpoint: three projections or one fused, and the output projection. */
  readonly names: { readonly qkv: readonly [string, string, string] | string; readonly output: string };
}

/**
 * Multi-head self-attention, [B, N, D] -> [B, N, D]: softmax(q k^T / sqrt(D / H)) v, projected. With a fused `qkv`
 * name the three projections are one linear layer of 3 D outputs in the order query, key, value.
 *
 * @param options See {@linkcode SelfAttentionOptions}
 */
export function selfAttention(
  options: SelfAttentionOptions,
): Layer<readonly [tf.Tensor, AttentionOptions?]> {
  const { dim, heads, names } = options;
  const projection = (outFeatures: number) =>
    linear(dim, outFeatures, { bias: options.qkvBias ?? true, role: "qkv", weight: gaussian(0.02) });
  const { qkv } = names;
  const projections: Readonly<Record<string, AnyLayer>> = typeof qkv === "string"
    ? { [qkv]: projection(3 * dim) }
    : Object.fromEntries(qkv.map((name) => [name, projection(dim)]));
  return {
    kind: "attention",
    params: {},
    parts: { ...projections, [names.output]: linear(dim, dim, { weight: gaussian(0.02) }) },
    forward: (self, x, attentionOptions) => {
      const parts = typeof qkv === "string"
        ? tf.split(self.call(qkv, x), 3, -1)
        : qkv.map((name) => self.call<tf.Tensor>(name, x));
      const [q, k, v] = parts.map((part) => splitHeads(part, heads));
      return self.call(names.output, mergeHeads(attention(q, k, v, attentionOptions ?? {})));
    },
  };
}

/**
 * Non-overlapping patches as tokens: pixels [B, C, H, W] -> [B, (H / p) (W / q), D], rows first. `weight` [D, C, p, q],
 * `bias` [D]: a convolution whose stride is its kernel, computed as one matrix product.
 *
 * @param channels C
 * @param patch Height p and width q of a patch
 * @param dim D
 */
export function patchEmbedLayer(channels: number, patch: readonly [number, number], dim: number): Layer {
  return {
    kind: "convolution",
    params: { weight: parameter([dim, channels, ...patch], gaussian(0.02)), bias: parameter([dim], zeros) },
    parts: {},
    forward: (self, x) => patchEmbed(x, self.param("weight"), self.param("bias")),
  };
}
