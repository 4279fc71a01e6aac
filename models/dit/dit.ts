/**
 * DiT, the diffusion transformer (Peebles and Xie 2022), as published under `facebookresearch/DiT` and, for diffusers,
 * `facebook/DiT-XL-2-256`. Parameter paths are the original keys.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { between, gaussian, type Initialiser, zeros } from "../../dsl/initialise.ts";
import { serial, stack } from "../../dsl/compose.ts";
import { type AnyLayer, defineLayer, type Layer, parameter, type Self } from "../../dsl/layer.ts";
import { activationLayer, embeddingLayer, layerNormLayer, patchEmbedLayer, selfAttention } from "../../dsl/layers.ts";
import { linear } from "../../dsl/linear.ts";
import { silu } from "../../dsl/ops/activation.ts";
import { gridEmbedding, timestepEmbedding } from "../../dsl/ops/sinusoidal.ts";
import { type DitConfig, ditPresets, readDitConfig, writeDitConfig } from "./config.ts";
import { type Description, type Family, family, requireFamily } from "../family.ts";
import type { KeyMap, Rename } from "../checkpoint/keys.ts";
import { ditSettings } from "./settings.ts";

/**
 * A class-conditional diffusion model: noised latents [B, C, S, S], timesteps [B] (0 ... 999) and classes [B], int32, the
 * number of classes meaning none -> noise and, if it is learned, variance, [B, C', S, S].
 */
export type ConditionalDiffusion = Layer<
  readonly [latents: tf.Tensor, timesteps: tf.Tensor, labels: tf.Tensor],
  tf.Tensor
>;

/** Features of a timestep before the network. */
const FREQUENCIES = 256;
const EPS = 1e-6;

/** U(±sqrt(6 / (k + d))) (Glorot and Bengio 2010). */
function xavier(inFeatures: number, outFeatures: number): Initialiser {
  return between(Math.sqrt(6 / (inFeatures + outFeatures)));
}

function xavierLinear(inFeatures: number, outFeatures: number): Layer {
  return linear(inFeatures, outFeatures, { weight: xavier(inFeatures, outFeatures) });
}

/** Timesteps [B] -> [B, D]. */
function timestepEmbedder({ hidden, frequencyShift }: DitConfig): Layer {
  const project = (inFeatures: number) => linear(inFeatures, hidden, { role: "embedder", weight: gaussian(0.02) });
  return defineLayer({
    kind: "timestep embedder",
    params: {},
    parts: { "mlp.0": project(FREQUENCIES), "mlp.2": project(hidden) },
    forward: (self, timesteps) => {
      const waves = timestepEmbedding(timesteps, FREQUENCIES, FREQUENCIES / 2 - frequencyShift);
      return self.call("mlp.2", silu(self.call("mlp.0", waves)));
    },
  });
}

const MODULATION = "adaLN_modulation.1";

/** [B, D] -> as many tensors [B, 1, D] as asked for. */
function modulation(self: Self<never, typeof MODULATION>, condition: tf.Tensor, count: number): readonly tf.Tensor[] {
  const [batch, hidden] = condition.shape;
  return tf.split(tf.reshape(self.call<tf.Tensor>(MODULATION, condition), [batch, count, hidden]), count, 1);
}

/** Its layer; zeros at first, so that blocks start as identities. */
function modulationLinear(hidden: number, count: number): Layer {
  return linear(hidden, count * hidden, { weight: zeros });
}

/** x (1 + scale) + shift. */
function modulate(x: tf.Tensor, shift: tf.Tensor, scale: tf.Tensor): tf.Tensor {
  return tf.add(tf.mul(x, tf.add(scale, 1)), shift);
}

/**
 * Block with adaptive norms and gates, ([B, N, D], silu(condition) [B, D]) -> [B, N, D]:
 * x += gate1 * attention(modulate(norm x)); x += gate2 * mlp(modulate(norm x)).
 */
function block(config: DitConfig): Layer<readonly [tf.Tensor, tf.Tensor]> {
  const { hidden, heads, qkvBias, fusedQkv, mlpEps } = config;
  const qkv = fusedQkv ? "qkv" : ["q", "k", "v"] as const;
  return defineLayer({
    kind: "block",
    params: {},
    parts: {
      [MODULATION]: modulationLinear(hidden, 6),
      norm1: layerNormLayer(hidden, EPS, false),
      attn: selfAttention({
        dim: hidden,
        heads,
        qkvBias,
        weight: xavier(hidden, hidden),
        names: { qkv, output: "proj" },
      }),
      norm2: layerNormLayer(hidden, mlpEps, false),
      mlp: serial({
        fc1: xavierLinear(hidden, 4 * hidden),
        act: activationLayer("gelu_pytorch_tanh"),
        fc2: xavierLinear(4 * hidden, hidden),
      }),
    },
    forward: (self, x, condition) => {
      const [shift1, scale1, gate1, shift2, scale2, gate2] = modulation(self, condition, 6);
      const mixed = self.call<tf.Tensor>("attn", modulate(self.call("norm1", x), shift1, scale1));
      const between = tf.add(x, tf.mul(gate1, mixed));
      const widened = self.call<tf.Tensor>("mlp", modulate(self.call("norm2", between), shift2, scale2));
      return tf.add(between, tf.mul(gate2, widened));
    },
  });
}

/** Tokens [B, N, p p C] -> images [B, C, p h, p w] of h = w = sqrt(N) patches, each laid out [p, p, C]. */
function unpatchify(tokens: tf.Tensor, patch: number): tf.Tensor {
  const [batch, count, features] = tokens.shape;
  const side = Math.sqrt(count);
  const channels = features / patch ** 2;
  const patches = tf.reshape(tokens, [batch, side, side, patch, patch, channels]);
  return tf.reshape(tf.transpose(patches, [0, 5, 1, 3, 2, 4]), [batch, channels, side * patch, side * patch]);
}

/** ([B, N, D], silu(condition) [B, D]) -> [B, C', S, S]. */
function finalLayer({ hidden, patch, outChannels }: DitConfig): Layer<readonly [tf.Tensor, tf.Tensor]> {
  return defineLayer({
    kind: "final layer",
    params: {},
    parts: {
      [MODULATION]: modulationLinear(hidden, 2),
      norm_final: layerNormLayer(hidden, EPS, false),
      linear: linear(hidden, patch ** 2 * outChannels, { weight: zeros }),
    },
    forward: (self, x, condition) => {
      const [shift, scale] = modulation(self, condition, 2);
      const tokens = self.call<tf.Tensor>("linear", modulate(self.call("norm_final", x), shift, scale));
      return unpatchify(tokens, patch);
    },
  });
}

const PATCHES = "x_embedder.proj";
const LABELS = "y_embedder.embedding_table";

/** Patches as tokens, with the first weights of a linear layer of the same size. */
function patchEmbedder({ channels, patch, hidden }: DitConfig): Layer {
  const layer = patchEmbedLayer(channels, [patch, patch], hidden);
  const weight = parameter(layer.params.weight.shape, xavier(channels * patch ** 2, hidden));
  return { ...layer, params: { ...layer.params, weight } };
}

/**
 * The diffusion transformer. Positions are constants; the conditioning of all blocks is the sum of the embedded timestep and
 * class. Dropping labels in training is the caller's: it puts the number of classes in their place.
 *
 * @param config Sizes
 *
 * @example
 * ```ts
 * import { apply, init, key, useBackend } from "@onelora/onelora/dsl";
 * import { dit, ditPresets } from "@onelora/onelora/models";
 * import { assertEquals } from "@std/assert";
 * import * as tf from "@tensorflow/tfjs-core";
 * await useBackend("cpu");
 * const model = dit({ ...ditPresets["dit-micro"], layers: 1 });
 * const [timesteps, labels] = [tf.tensor1d([500], "int32"), tf.tensor1d([10], "int32")];
 * const output = apply(model, init(model, key(0)))(tf.zeros([1, 1, 28, 28]), timesteps, labels);
 * assertEquals(output.shape, [1, 2, 28, 28]);
 * ```
 */
export function dit(config: DitConfig): ConditionalDiffusion {
  const { hidden, sample, patch, labels: { length: classes } } = config;
  return defineLayer({
    kind: "dit",
    params: {},
    parts: {
      [PATCHES]: patchEmbedder(config),
      t_embedder: timestepEmbedder(config),
      [LABELS]: { ...embeddingLayer(classes + 1, hidden), role: "labels" },
      blocks: stack(config.layers, () => block(config)),
      final_layer: finalLayer(config),
    },
    forward: (self, latents, timesteps, labels) => {
      const tokens = tf.add(self.call<tf.Tensor>(PATCHES, latents), gridEmbedding(sample / patch, hidden));
      const condition = silu(tf.add(self.call<tf.Tensor>("t_embedder", timesteps), self.call(LABELS, labels)));
      return self.call("final_layer", self.call("blocks", tokens, condition), condition);
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
export function asConditionalDiffusion(model: Pick<Description, "family">, layer: AnyLayer): ConditionalDiffusion {
  requireFamily(model, "dit", "using a model for diffusion");
  return layer as ConditionalDiffusion;
}

/** Diffusers' names. Every block there has the embedders, with one set of values. */
function diffusersNames({ layers }: DitConfig): readonly Rename[] {
  const embedders = Array.from({ length: layers }, (_, i): readonly Rename[] => {
    const there = `transformer_blocks.${i}.norm1.emb`;
    return [
      ["t_embedder.mlp.0", `${there}.timestep_embedder.linear_1`],
      ["t_embedder.mlp.2", `${there}.timestep_embedder.linear_2`],
      [LABELS, `${there}.class_embedder.embedding_table`],
    ];
  });
  return [
    [PATCHES, "pos_embed.proj"],
    ...embedders.flat(),
    [`blocks.*.${MODULATION}`, "transformer_blocks.*.norm1.linear"],
    ["blocks.*.attn.q", "transformer_blocks.*.attn1.to_q"],
    ["blocks.*.attn.k", "transformer_blocks.*.attn1.to_k"],
    ["blocks.*.attn.v", "transformer_blocks.*.attn1.to_v"],
    ["blocks.*.attn.proj", "transformer_blocks.*.attn1.to_out.0"],
    ["blocks.*.mlp.fc1", "transformer_blocks.*.ff.net.0.proj"],
    ["blocks.*.mlp.fc2", "transformer_blocks.*.ff.net.2"],
    [`final_layer.${MODULATION}`, "proj_out_1"],
    ["final_layer.linear", "proj_out_2"],
  ];
}

function ditKeys(config: DitConfig): KeyMap {
  const { sample, patch, hidden } = config;
  return {
    prefix: "",
    unprefixed: [],
    ignored: [],
    // Original files hold the positions: those of other latents are the one thing in which their models differ.
    constants: { pos_embed: () => gridEmbedding(sample / patch, hidden) },
    published: diffusersNames(config),
    modules: [],
    fusions: [{
      whole: "blocks.*.attn.qkv",
      parts: ["q", "k", "v"].map((name) => `blocks.*.attn.${name}`),
      published: "parts",
    }],
  };
}

/** DiT as a family of checkpoints. Its label table is trained with every method: classes to learn need rows of their own. */
export const ditFamily: Family = family<DitConfig>({
  name: "dit",
  className: "DiTTransformer2DModel",
  presets: ditPresets,
  build: dit,
  readConfig: readDitConfig,
  settings: ditSettings,
  writeConfig: writeDitConfig,
  keys: ditKeys,
  joined: ["labels"],
  signature: ({ channels, sample, labels }) => ({
    inputs: [
      { name: "latents", kind: "float", shape: ["batch", channels, sample, sample] },
      { name: "timesteps", kind: "number", shape: ["batch"] },
      { name: "labels", kind: "integer", shape: ["batch"], below: labels.length + 1 },
    ],
    outputs: ["output"],
  }),
  withBiases: (config) => ({ ...config, qkvBias: true }),
  withQkv: (config, qkv) => ({ ...config, fusedQkv: qkv === "fused" }),
  classes: {
    labels: ({ labels }) => labels,
    withLabels: (config, labels) => ({ ...config, labels }),
    part: { path: LABELS, extraRows: 1 },
  },
});
