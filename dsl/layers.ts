/**
 * Ready-made layers: normalisation, activation, attention, embeddings. Each is data with a pure function, see
 * {@linkcode Layer}.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { isRecordedWhole } from "./engine/kernels.ts";
import { between, gaussian, type Initialiser, ones, zeros } from "./initialise.ts";
import { type AnyLayer, defineLayer, type Layer, parameter } from "./layer.ts";
import { linear } from "./linear.ts";
import { activation } from "./ops/activation.ts";
import { attention, type AttentionOptions, mergeHeads, splitHeads } from "./ops/attention.ts";
import { conv2d, type ConvOptions, convTranspose2d, type ConvTransposeOptions, patchEmbed } from "./ops/conv.ts";
import { embedding } from "./ops/embedding.ts";
import { groupNorm, layerNorm, rmsNorm } from "./ops/norm.ts";

/**
 * y = (x - mean) / sqrt(var + eps) * weight + bias over the last axis.
 *
 * @param features Size of the last axis
 * @param eps Added to the (biased) variance
 * @param affine Whether `weight` and `bias` [features] exist (default true)
 */
export function layerNormLayer(features: number, eps: number, affine = true): Layer {
  return defineLayer({
    kind: "norm",
    params: affine ? { weight: parameter([features], ones), bias: parameter([features], zeros) } : {},
    parts: {},
    forward: (self, x) => layerNorm(x, affine ? { weight: self.param("weight"), bias: self.param("bias") } : {}, eps),
  });
}

/**
 * y = x / sqrt(mean(x^2) + eps) * weight over the last axis.
 *
 * @param features Size of the last axis
 * @param eps Added to the mean square
 */
export function rmsNormLayer(features: number, eps: number): Layer {
  return defineLayer({
    kind: "norm",
    params: { weight: parameter([features], ones) },
    parts: {},
    forward: (self, x) => rmsNorm(x, self.param("weight"), eps),
  });
}

/**
 * Layer norm over the pixels and the channels of each group, [B, H, W, C] -> [B, H, W, C]; `weight` and `bias` [C].
 *
 * @param groups Number of groups; divides C
 * @param channels C
 * @param eps Added to the (biased) variance
 */
export function groupNormLayer(groups: number, channels: number, eps: number): Layer {
  return defineLayer({
    kind: "norm",
    params: { weight: parameter([channels], ones), bias: parameter([channels], zeros) },
    parts: {},
    forward: (self, x) => groupNorm(x, groups, { weight: self.param("weight"), bias: self.param("bias") }, eps),
  });
}

/**
 * Rows of a table: ids [...], int32 -> [..., D]. `weight` [V, D].
 *
 * @param count V
 * @param features D
 */
export function embeddingLayer(count: number, features: number): Layer {
  return defineLayer({
    kind: "embedding",
    params: { weight: parameter([count, features], gaussian(0.02)) },
    parts: {},
    forward: (self, ids) => embedding(ids, self.param("weight")),
  });
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
  /** Whether the output projection has one (default true). */
  readonly outputBias?: boolean;
  /** First values of the weights (default N(0, 0.02²)). */
  readonly weight?: Initialiser;
  /** Part names in the checkpoint: three projections or one fused, and the output projection. */
  readonly names: { readonly qkv: readonly [string, string, string] | string; readonly output: string };
  /** Tokens whose results are wanted, if not all: see {@linkcode firstTokens}. */
  readonly wanted?: number;
}

/**
 * The first tokens, where a step becomes one compiled function and nothing reads the others: [B, N, D] -> [B, wanted, D]. The
 * function then does not compute what is thrown away, nor the gradients of it, which are zeros. Elsewhere all tokens.
 *
 * @param x Activations
 * @param wanted How many are read (default all)
 */
export function firstTokens(x: tf.Tensor, wanted?: number): tf.Tensor {
  if (wanted === undefined || !isRecordedWhole()) return x;
  return tf.slice(x, [0, 0, 0], [x.shape[0], wanted, x.shape[2]!]);
}

/**
 * Multi-head self-attention, [B, N, D] -> [B, N or wanted, D]: softmax(q k^T / sqrt(D / H)) v, projected. With a fused `qkv`
 * name the three projections are one linear layer of 3 D outputs in the order query, key, value.
 *
 * @param options See {@linkcode SelfAttentionOptions}
 */
export function selfAttention(
  options: SelfAttentionOptions,
): Layer<readonly [tf.Tensor, AttentionOptions?]> {
  const { dim, heads, names, weight = gaussian(0.02) } = options;
  const projection = (outFeatures: number) =>
    linear(dim, outFeatures, { bias: options.qkvBias ?? true, role: "qkv", weight });
  const { qkv } = names;
  const projections: Readonly<Record<string, AnyLayer>> = typeof qkv === "string"
    ? { [qkv]: projection(3 * dim) }
    : Object.fromEntries(qkv.map((name) => [name, projection(dim)]));
  return defineLayer({
    kind: "attention",
    params: {},
    parts: { ...projections, [names.output]: linear(dim, dim, { bias: options.outputBias ?? true, weight }) },
    forward: (self, x, attentionOptions) => {
      const asked = firstTokens(x, options.wanted);
      const parts = typeof qkv === "string"
        ? tf.split(self.call(qkv, x), 3, -1).map((part, i) => i === 0 ? firstTokens(part, options.wanted) : part)
        : qkv.map((name, i) => self.call<tf.Tensor>(name, i === 0 ? asked : x));
      const [q, k, v] = parts.map((part) => splitHeads(part, heads));
      return self.call(names.output, mergeHeads(attention(q, k, v, attentionOptions ?? {})));
    },
  });
}

/**
 * Non-overlapping patches as tokens: pixels [B, C, H, W] -> [B, (H / p) (W / q), D], rows first. `weight` [D, C, p, q],
 * `bias` [D]: a convolution whose stride is its kernel, computed as one matrix product.
 *
 * @param channels C
 * @param patch Height p and width q of a patch
 * @param dim D
 * @param bias Whether it has a bias (default true)
 */
export function patchEmbedLayer(
  channels: number,
  patch: readonly [number, number],
  dim: number,
  bias: boolean = true,
): Layer {
  return defineLayer({
    kind: "convolution",
    params: {
      weight: parameter([dim, channels, ...patch], gaussian(0.02)),
      ...(bias ? { bias: parameter([dim], zeros) } : {}),
    },
    parts: {},
    forward: (self, x) => patchEmbed(x, self.param("weight"), bias ? self.param("bias") : undefined),
  });
}

/** Options of {@linkcode convLayer} and {@linkcode convTransposeLayer}. */
export type ConvLayerOptions<Options> = Omit<Options, "frozen"> & {
  /** Whether it has a bias (default true). */
  readonly bias?: boolean;
};

/**
 * A convolution, [B, H, W, in] -> [B, H', W', out]. `weight` [out, in, k, k], `bias` [out].
 *
 * @param inChannels in
 * @param outChannels out
 * @param kernel k
 * @param options Stride, padding, bias
 */
export function convLayer(
  inChannels: number,
  outChannels: number,
  kernel: number,
  options: ConvLayerOptions<ConvOptions> = {},
): Layer {
  const { bias = true, ...sliding } = options;
  // PyTorch's initial values.
  const init = between(1 / Math.sqrt(inChannels * kernel * kernel));
  return defineLayer({
    kind: "convolution",
    params: {
      weight: parameter([outChannels, inChannels, kernel, kernel], init),
      ...(bias ? { bias: parameter([outChannels], init) } : {}),
    },
    parts: {},
    forward: (self, x) =>
      conv2d(x, self.param("weight"), bias ? self.param("bias") : undefined, {
        ...sliding,
        frozen: !self.trainable("weight"),
      }),
  });
}

/**
 * A transposed convolution, [B, H, W, in] -> [B, H', W', out]. `weight` [in, out, k, k], `bias` [out].
 *
 * @param inChannels in
 * @param outChannels out
 * @param kernel k
 * @param options Stride, padding, bias
 */
export function convTransposeLayer(
  inChannels: number,
  outChannels: number,
  kernel: number,
  options: ConvLayerOptions<ConvTransposeOptions> = {},
): Layer {
  const { bias = true, ...sliding } = options;
  const init = between(1 / Math.sqrt(outChannels * kernel * kernel));
  return defineLayer({
    kind: "transposed convolution",
    params: {
      weight: parameter([inChannels, outChannels, kernel, kernel], init),
      ...(bias ? { bias: parameter([outChannels], init) } : {}),
    },
    parts: {},
    forward: (self, x) =>
      convTranspose2d(x, self.param("weight"), bias ? self.param("bias") : undefined, {
        ...sliding,
        frozen: !self.trainable("weight"),
      }),
  });
}
