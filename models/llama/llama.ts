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
import {
  attention,
  type AttentionOptions,
  causalMask,
  type KeysAndValues,
  mergeHeads,
  paddingMask,
  splitHeads,
} from "../../dsl/ops/attention.ts";
import { rotary, type RotaryTable, rotaryTable } from "../../dsl/ops/rotary.ts";
import type { Params, Path } from "../../dsl/tree.ts";
import { type Architecture, type Description, type Family, family, requireFamilies } from "../family.ts";
import { type LlamaConfig, llamaPresets, readLlamaConfig, writeLlamaConfig } from "./config.ts";
import { ropeWaves } from "./rope.ts";
import { llamaSettings } from "./settings.ts";

/** Where tokens stand that are read together. */
export interface Places {
  /** Position of each new token, [N]. */
  readonly queries: readonly number[];
  /** Positions of all keys of each row, those read before first, [B][M]; below 0 where nothing is to be seen. */
  readonly keys: readonly ArrayLike<number>[];
  /** Positions there are so far, on which some models' angles depend. */
  readonly length: number;
}

/** Reading otherwise than a whole text at once: piece by piece, and how the attention sees what was read before. */
export interface Decoding {
  /**
   * See {@linkcode CausalLanguageModel}; those of a whole text if absent.
   *
   * @internal
   */
  readonly surroundings?: Surroundings;
  /**
   * Called with an attention layer's keys and values of the new positions, [B, KV, N, hd] each; returns those of the positions
   * before, [B, KV, M - N, hd], if there are any.
   *
   * @internal
   */
  readonly remember?: (layer: Path, key: tf.Tensor, value: tf.Tensor) => KeysAndValues | undefined;
  /**
   * What is made in the place of logits.
   *
   * @internal
   */
  readonly ending?: Ending;
}

/** A language model's head, for some rows of what it reads. */
export interface Head {
  /** Parameters of its own, and the table it shares, that are trained. */
  readonly trained: Params;
  /** Logits of rows [R, D], [R, V], by these parameters in the place of those. */
  readonly logits: (rows: tf.Tensor2D, trained: Params) => tf.Tensor2D;
}

/** What is made of what the head reads, [B, N, D], in the place of all logits. */
export type Ending = (x: tf.Tensor, head: Head) => tf.Tensor;

/** What all blocks share. */
export interface Surroundings {
  /** Angles of the new positions. */
  readonly angles: RotaryTable;
  /** Added to the scores, [B or 1, 1, N, M]; absent where everything is visible. */
  readonly mask?: tf.Tensor;
  /** The same, where tokens of a whole text see those that came before them. */
  readonly causal?: AttentionOptions["causal"];
}

/**
 * A causal language model: ids [B, N], int32, and optionally which positions are no padding, [B, N] of ones and zeros, or
 * which each position sees, [B, N, N] -> logits [B, N, V]. When decoding, the logits of the last position alone, [B, 1, V].
 */
export interface CausalLanguageModel
  extends Layer<readonly [ids: tf.Tensor, attentionMask?: tf.Tensor, decoding?: Decoding], tf.Tensor> {
  /**
   * What its blocks are to know of tokens in some places.
   *
   * @internal
   */
  readonly surroundings: (places: Places) => Surroundings;
}

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

/**
 * The layer of a model of this family, which a description hides, adapted or not.
 *
 * @param model The model
 * @param layer Its layer
 * @throws OneloraError (exit code 2) for a model of another family
 */
export function asLanguageModel(model: Pick<Description, "family">, layer: Layer): CausalLanguageModel {
  requireLanguageModel(model, "using a model for text");
  return layer as CausalLanguageModel;
}

/** Names of the families whose blocks are LLaMA's, LLaMA first. */
const languageFamilies = ["llama", "mistral", "qwen2", "smollm3"];

/**
 * Checks that a model is one of language.
 *
 * @param model The model
 * @param attempted What it is to be used for
 * @throws OneloraError (exit code 2) if it is of another family
 */
export function requireLanguageModel(model: Pick<Description, "family">, attempted: string): void {
  requireFamilies(model, languageFamilies, attempted);
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
