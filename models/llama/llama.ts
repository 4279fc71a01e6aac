/**
 * LLaMA (Touvron et al. 2023), as published under `meta-llama/Llama-2-7b-hf`, and the models of the same architecture with
 * grouped key and value heads or tied embeddings. Parameter paths are the checkpoint's keys.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { gaussian } from "../../dsl/initialise.ts";
import { defineLayer, type Layer, residual, sequence, serial, stack } from "../../dsl/layer.ts";
import { embeddingLayer, rmsNormLayer } from "../../dsl/layers.ts";
import { linear } from "../../dsl/linear.ts";
import { activation, silu, swiglu } from "../../dsl/ops/activation.ts";
import { attention, causalMask, mergeHeads, paddingMask, splitHeads } from "../../dsl/ops/attention.ts";
import { rotary, type RotaryTable, rotaryTable } from "../../dsl/ops/rotary.ts";
import type { Path } from "../../dsl/tree.ts";
import { type Description, type Family, family, requireFamily } from "../family.ts";
import { type LlamaConfig, llamaPresets, readLlamaConfig, writeLlamaConfig } from "./config.ts";
import { ropeWaves } from "./rope.ts";
import { llamaSettings } from "./settings.ts";

/** Reading a text piece by piece: how the attention sees what was read before. */
export interface Decoding {
  /** Positions read before. */
  readonly past: number;
  /**
   * Told an attention layer's keys and values of the new positions, [B, KV, N, hd] each; returns those of all positions,
   * [B, KV, past + N, hd].
   */
  readonly remember: (layer: Path, key: tf.Tensor, value: tf.Tensor) => readonly [key: tf.Tensor, value: tf.Tensor];
}

/**
 * A causal language model: ids [B, N], int32, and optionally which of all past + N positions are no padding, [B, past + N]
 * of ones and zeros -> logits [B, N, V]. When decoding, the logits of the last position alone, [B, 1, V].
 */
export type CausalLanguageModel = Layer<
  readonly [ids: tf.Tensor, attentionMask?: tf.Tensor, decoding?: Decoding],
  tf.Tensor
>;

const TABLE = "model.embed_tokens";
const HEAD = "lm_head";

/** What all blocks share. */
interface Context {
  /** Angles of the new positions. */
  readonly angles: RotaryTable;
  /** Added to the scores. */
  readonly mask?: tf.Tensor;
  /** See {@linkcode Decoding}. */
  readonly remember?: Decoding["remember"];
}

/** Grouped-query attention over rotated queries and keys, [B, N, D] -> [B, N, D]. */
function attentionLayer(config: LlamaConfig): Layer<readonly [tf.Tensor, Context]> {
  const { hidden, heads, keyValueHeads, headSize, attentionBias: bias } = config;
  const projection = (count: number) => linear(hidden, count * headSize, { bias, role: "qkv", weight: gaussian(0.02) });
  return defineLayer({
    kind: "attention",
    params: {},
    parts: {
      q_proj: projection(heads),
      k_proj: projection(keyValueHeads),
      v_proj: projection(keyValueHeads),
      o_proj: linear(heads * headSize, hidden, { bias, weight: gaussian(0.02) }),
    },
    forward: (self, x, { angles: { cos, sin }, mask, remember }) => {
      const q = rotary(splitHeads(self.call("q_proj", x), heads), cos, sin);
      const newKeys = rotary(splitHeads(self.call("k_proj", x), keyValueHeads), cos, sin);
      const newValues = splitHeads(self.call("v_proj", x), keyValueHeads);
      const [k, v] = remember?.(self.path, newKeys, newValues) ?? [newKeys, newValues];
      return self.call("o_proj", mergeHeads(attention(q, k, v, { mask })));
    },
  });
}

/** down(act(gate x) * up x), [B, N, D] -> [B, N, D]. */
function mlp({ hidden, intermediate, mlpBias: bias, activation: name }: LlamaConfig): Layer {
  const act = activation(name);
  const gated = act === silu ? swiglu : (gate: tf.Tensor, up: tf.Tensor) => tf.mul(act(gate), up);
  const widen = linear(hidden, intermediate, { bias, weight: gaussian(0.02) });
  return defineLayer({
    kind: "mlp",
    params: {},
    parts: {
      gate_proj: widen,
      up_proj: widen,
      down_proj: linear(intermediate, hidden, { bias, weight: gaussian(0.02) }),
    },
    forward: (self, x) => self.call("down_proj", gated(self.call("gate_proj", x), self.call("up_proj", x))),
  });
}

/** Pre-norm transformer block, [B, N, D] -> [B, N, D]: x += attention(norm x); x += mlp(norm x). */
function block(config: LlamaConfig): Layer<readonly [tf.Tensor, ...unknown[]]> {
  const norm = rmsNormLayer(config.hidden, config.eps);
  return sequence(
    residual(serial({ input_layernorm: norm, self_attn: attentionLayer(config) })),
    residual(serial({ post_attention_layernorm: norm, mlp: mlp(config) })),
  );
}

/** What may be added to the scores of N new positions; undefined where everything is visible. */
function visibility(length: number, past: number, attentionMask?: tf.Tensor): tf.Tensor | undefined {
  const causal = length > 1 ? causalMask(length, past) : undefined;
  if (attentionMask === undefined) return causal;
  const padding = paddingMask(attentionMask);
  return causal === undefined ? padding : tf.minimum(causal, padding);
}

/**
 * The language model: logits = lm_head(norm(x)). Positions count from the row's first id, padding included, as
 * transformers' forward pass counts them: only distances between positions matter. The logits of padding mean nothing.
 *
 * @param config Sizes
 *
 * @example
 * ```ts
 * import { apply, init, key, useBackend } from "@onelora/onelora/dsl";
 * import { llama, llamaPresets } from "@onelora/onelora/models";
 * import { assertEquals } from "@std/assert";
 * import * as tf from "@tensorflow/tfjs-core";
 * await useBackend("cpu");
 * const model = llama({ ...llamaPresets["llama-micro"], layers: 1, vocabulary: 50 });
 * const logits = apply(model, init(model, key(0)))(tf.tensor2d([[1, 7, 9]], [1, 3], "int32"));
 * assertEquals(logits.shape, [1, 3, 50]);
 * ```
 */
export function llama(config: LlamaConfig): CausalLanguageModel {
  const { vocabulary, hidden, headSize, rope, positions } = config;
  const head = linear(hidden, vocabulary, { bias: false, role: "head", weight: gaussian(0.02) });
  const tied = { ...head, params: { weight: { ...head.params.weight, shared: `${TABLE}.weight` } } };
  return defineLayer({
    kind: "llama",
    params: {},
    parts: {
      [TABLE]: embeddingLayer(vocabulary, hidden),
      "model.layers": stack(config.layers, () => block(config)),
      "model.norm": rmsNormLayer(hidden, config.eps),
      [HEAD]: config.tied ? tied : head,
    },
    forward: (self, ids, attentionMask, decoding) => {
      const [batch, length] = ids.shape as [number, number];
      const past = decoding?.past ?? 0;
      const context: Context = {
        angles: rotaryTable(
          Array.from({ length }, (_, n) => past + n),
          headSize,
          ropeWaves(rope, headSize, past + length, positions),
        ),
        mask: visibility(length, past, attentionMask),
        remember: decoding?.remember,
      };
      const x = self.call<tf.Tensor>("model.layers", self.call(TABLE, ids), context);
      const read = decoding === undefined ? x : tf.slice(x, [0, length - 1, 0], [batch, 1, hidden]);
      return self.call(HEAD, self.call("model.norm", read));
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
export function asLanguageModel(model: Pick<Description, "family">, layer: Layer): CausalLanguageModel {
  requireFamily(model, "llama", "using a model for text");
  return layer as CausalLanguageModel;
}

/** LLaMA as a family of checkpoints. */
export const llamaFamily: Family = family<LlamaConfig>({
  name: "llama",
  presets: llamaPresets,
  build: llama,
  readConfig: readLlamaConfig,
  settings: llamaSettings,
  writeConfig: writeLlamaConfig,
  keys: ({ tied, headFromTable }) => ({
    prefix: "",
    unprefixed: [],
    ignored: ["**.rotary_emb.inv_freq"],
    modules: [],
    // Some files repeat the table as the head.
    aliases: tied ? [[TABLE, HEAD]] : [],
    substitutes: headFromTable ? [[HEAD, TABLE]] : [],
  }),
  headPath: HEAD,
  tied: (config) =>
    config.tied ? { head: HEAD, table: TABLE, untied: { ...config, tied: false, headFromTable: true } } : undefined,
  signature: ({ vocabulary }) => ({
    inputs: [
      { name: "input_ids", kind: "integer", shape: ["batch", "length"], below: vocabulary },
      { name: "attention_mask", kind: "integer", shape: ["batch", "length"], optional: true, below: 2 },
    ],
    outputs: ["logits"],
  }),
  withBiases: (config) => ({ ...config, attentionBias: true, mlpBias: true }),
});
