/**
 * LLaMA (Touvron et al. 2023), as published under `meta-llama/Llama-2-7b-hf`, and the models of the same architecture with
 * grouped key and value heads or tied embeddings. Parameter paths are the checkpoint's keys.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { gaussian } from "../../dsl/initialise.ts";
import { residual, sequence, serial, stack } from "../../dsl/compose.ts";
import { defineLayer, type Layer, type Self } from "../../dsl/layer.ts";
import { embeddingLayer, rmsNormLayer } from "../../dsl/layers.ts";
import { linear } from "../../dsl/linear.ts";
import { activation, silu, swiglu } from "../../dsl/ops/activation.ts";
import { attention, causalMask, mergeHeads, paddingMask, splitHeads } from "../../dsl/ops/attention.ts";
import { rotary, rotaryTable } from "../../dsl/ops/rotary.ts";
import type { Path } from "../../dsl/tree.ts";
import { type Architecture, type Family, family } from "../family.ts";
import { type LlamaConfig, llamaPresets, readLlamaConfig, writeLlamaConfig } from "./config.ts";
import type { CausalLanguageModel, Decoding, Head, Places, Surroundings } from "./language_model.ts";
import { ropeWaves } from "./rope.ts";
import { llamaSettings } from "./settings.ts";

const TABLE = "model.embed_tokens";
const HEAD = "lm_head";

/** What all blocks are given. */
interface Context extends Surroundings {
  /** See {@linkcode Decoding}. */
  readonly remember?: Decoding["remember"];
}

/** Grouped-query attention over rotated queries and keys, [B, N, D] -> [B, N, D]. */
function attentionLayer(config: LlamaConfig, rotated: boolean): Layer<readonly [tf.Tensor, Context]> {
  const { hidden, heads, keyValueHeads, headSize, attentionBias } = config;
  const bias = attentionBias !== false;
  const projection = (count: number) => linear(hidden, count * headSize, { bias, role: "qkv", weight: gaussian(0.02) });
  return defineLayer({
    kind: "attention",
    params: {},
    parts: {
      q_proj: projection(heads),
      k_proj: projection(keyValueHeads),
      v_proj: projection(keyValueHeads),
      o_proj: linear(heads * headSize, hidden, { bias: attentionBias === true, weight: gaussian(0.02) }),
    },
    forward: (self, x, { angles: { cos, sin }, mask, causal, remember }) => {
      const turned = (x: tf.Tensor) => rotated ? rotary(x, cos, sin) : x;
      const q = turned(splitHeads(self.call("q_proj", x), heads));
      const k = turned(splitHeads(self.call("k_proj", x), keyValueHeads));
      const v = splitHeads(self.call("v_proj", x), keyValueHeads);
      const past = remember?.(self.path, k, v);
      const isRead = remember !== undefined;
      return self.call("o_proj", mergeHeads(attention(q, k, v, { mask, causal, past, isRead })));
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
function block(config: LlamaConfig, index: number): Layer<readonly [tf.Tensor, ...unknown[]]> {
  const norm = rmsNormLayer(config.hidden, config.eps);
  const rotated = !config.unrotated?.includes(index);
  return sequence(
    residual(serial({ input_layernorm: norm, self_attn: attentionLayer(config, rotated) })),
    residual(serial({ post_attention_layernorm: norm, mlp: mlp(config) })),
  );
}

/** The head of a model that runs. */
function headOf(self: Self): Head {
  const isOwn = (path: Path) => path === `${TABLE}.weight` || path.startsWith(`${HEAD}.`);
  return {
    trained: Object.fromEntries(Object.entries(self.trained()).filter(([path]) => isOwn(path))),
    logits: (rows, trained) => self.withParams(trained).call(HEAD, rows),
  };
}

/** What tokens of a whole text see. */
function visibilityOf(
  length: number,
  attentionMask?: tf.Tensor,
  window?: number,
): Pick<Surroundings, "mask" | "causal"> {
  const padding = attentionMask && paddingMask(attentionMask);
  if (length === 1) return { mask: padding };
  const earlier = causalMask(length, 0, window);
  return {
    mask: padding === undefined ? earlier : tf.minimum(earlier, padding),
    causal: { window, mask: padding },
  };
}

/** What is added to the scores so that tokens see those that came before them; undefined where everything is visible. */
function visibility({ queries, keys }: Places, window = Infinity): tf.Tensor | undefined {
  const [count, width] = [queries.length, keys[0].length];
  const mask = new Float32Array(keys.length * count * width);
  let hidden = 0;
  keys.forEach((row, b) =>
    queries.forEach((position, n) => {
      const start = (b * count + n) * width;
      // Of a column that is no token nothing may be seen, not even by itself.
      for (let m = 0; m < width; m++) {
        if (row[m] >= 0 && row[m] <= position && row[m] > position - window) continue;
        mask[start + m] = -1e9;
        hidden++;
      }
    })
  );
  return hidden === 0 ? undefined : tf.tensor4d(mask, [keys.length, 1, count, width]);
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
  const { vocabulary, hidden, headSize, rope, positions, window } = config;
  const head = linear(hidden, vocabulary, { bias: false, role: "head", weight: gaussian(0.02) });
  const tied = { ...head, params: { weight: { ...head.params.weight, shared: `${TABLE}.weight` } } };
  const anglesAt = (queries: readonly number[], length: number) =>
    rotaryTable(queries, headSize, ropeWaves(rope, headSize, length, positions));
  const layer = defineLayer({
    kind: "llama",
    params: {},
    parts: {
      [TABLE]: embeddingLayer(vocabulary, hidden),
      "model.layers": stack(config.layers, (index) => block(config, index)),
      "model.norm": rmsNormLayer(hidden, config.eps),
      [HEAD]: config.tied ? tied : head,
    },
    forward: (self, ids: tf.Tensor, attentionMask?: tf.Tensor, decoding: Decoding = {}) => {
      const [batch, length] = ids.shape as [number, number];
      const { surroundings, remember, ending } = decoding;
      const context: Context = surroundings === undefined
        ? {
          angles: anglesAt(Array.from({ length }, (_, n) => n), length),
          ...visibilityOf(length, attentionMask, window),
        }
        : { ...surroundings, remember };
      const x = self.call<tf.Tensor>("model.layers", self.call(TABLE, ids), context);
      const read = surroundings === undefined ? x : tf.slice(x, [0, length - 1, 0], [batch, 1, hidden]);
      const normed = self.call<tf.Tensor>("model.norm", read);
      return ending === undefined ? self.call<tf.Tensor>(HEAD, normed) : ending(normed, headOf(self));
    },
  });
  return {
    ...layer,
    surroundings: (places) => ({ angles: anglesAt(places.queries, places.length), mask: visibility(places, window) }),
  };
}

/** What a family of language models has of its own. */
export type LanguageFamily =
  & Pick<Architecture<LlamaConfig>, "name" | "presets" | "readConfig" | "writeConfig" | "settings">
  & Partial<Pick<Architecture<LlamaConfig>, "withBiases">>;

/**
 * A family of LLaMA's blocks, with sizes and settings of its own.
 *
 * @param own What it has of its own
 */
export function languageFamily(own: LanguageFamily): Family {
  return family<LlamaConfig>({ ...shared, ...own });
}

/** What all families of LLaMA's blocks share. */
const shared: Omit<Architecture<LlamaConfig>, "name" | "presets" | "readConfig" | "writeConfig" | "settings"> = {
  build: llama,
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
};

/** LLaMA as a family of checkpoints. */
export const llamaFamily: Family = languageFamily({
  name: "llama",
  presets: llamaPresets,
  readConfig: readLlamaConfig,
  settings: llamaSettings,
  writeConfig: writeLlamaConfig,
});
