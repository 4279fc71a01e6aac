/**
 * Sizes of LLaMA models, and their `config.json`.
 *
 * @module
 */
import { activations } from "../../dsl/ops/activation.ts";
import { booleanField, choiceField, type Json, numberField, wholeField, wrongField } from "../config.ts";
import { readRope, type Rope, writeRope } from "./rope.ts";

/** Sizes of a LLaMA. */
export interface LlamaConfig {
  /** Token ids V. */
  readonly vocabulary: number;
  /** Width D. */
  readonly hidden: number;
  /** Width of the MLP. */
  readonly intermediate: number;
  /** Transformer blocks. */
  readonly layers: number;
  /** Query heads H. */
  readonly heads: number;
  /** Key and value heads KV; each serves H / KV query heads. */
  readonly keyValueHeads: number;
  /** Features of a head, hd. */
  readonly headSize: number;
  /** Added to the mean square in norms. */
  readonly eps: number;
  /** Rotary positions. */
  readonly rope: Rope;
  /** Longest text it was trained on, in tokens. */
  readonly positions: number;
  /** Whether the head is the embedding table. */
  readonly tied: boolean;
  /** Whether a head that is not the table starts as it, because the files are of a model whose head is the table. */
  readonly headFromTable?: boolean;
  /** Activation of the MLP's gate. */
  readonly activation: string;
  /** Whether the attention's projections have biases: all, none, or those of query, key and value. */
  readonly attentionBias: boolean | "qkv";
  /** Whether the MLP's projections have biases. */
  readonly mlpBias: boolean;
  /** Tokens that a token sees at most, itself the last (default all before it). */
  readonly window?: number;
  /** Blocks without rotary positions. */
  readonly unrotated?: readonly number[];
  /** Id that begins a text, if any does. */
  readonly begin?: number;
  /** Ids that end a text. */
  readonly end: readonly number[];
}

const llama2: LlamaConfig = {
  vocabulary: 32000,
  hidden: 4096,
  intermediate: 11008,
  layers: 32,
  heads: 32,
  keyValueHeads: 32,
  headSize: 128,
  eps: 1e-5,
  rope: { theta: 10000 },
  positions: 4096,
  tied: false,
  activation: "silu",
  attentionBias: false,
  mlpBias: false,
  begin: 1,
  end: [2],
};

const smollm: LlamaConfig = {
  ...llama2,
  vocabulary: 49152,
  headSize: 64,
  positions: 2048,
  tied: true,
  begin: 0,
  end: [0],
};

/** SmolLM2: the same sizes, more text. */
const smollm2: LlamaConfig = { ...smollm, rope: { theta: 100000 }, positions: 8192 };

/** Llama 3.1 and 3.2. */
const llama3 = (factor: number): LlamaConfig => ({
  ...llama2,
  vocabulary: 128256,
  keyValueHeads: 8,
  rope: { theta: 500000, scaling: { type: "llama3", factor, original: 8192, low: 1, high: 4 } },
  positions: 131072,
  begin: 128000,
  end: [128001],
});

/** Names of presets. */
export type LlamaPreset =
  | "llama-micro"
  | "smollm-135m"
  | "smollm-360m"
  | "smollm2-135m"
  | "smollm2-360m"
  | "smollm2-1.7b"
  | "llama-3.2-1b"
  | "llama-3.2-3b"
  | "llama-3.1-8b"
  | "tinyllama-1.1b"
  | "llama-2-7b"
  | "llama-2-13b";

/** Configurations by preset name. */
export const llamaPresets: Readonly<Record<LlamaPreset, LlamaConfig>> = {
  "llama-micro": {
    ...llama2,
    vocabulary: 512,
    hidden: 96,
    intermediate: 256,
    layers: 4,
    heads: 4,
    keyValueHeads: 2,
    headSize: 24,
    positions: 512,
    tied: true,
  },
  "smollm-135m": { ...smollm, hidden: 576, intermediate: 1536, layers: 30, heads: 9, keyValueHeads: 3 },
  "smollm-360m": { ...smollm, hidden: 960, intermediate: 2560, layers: 32, heads: 15, keyValueHeads: 5 },
  "smollm2-135m": { ...smollm2, hidden: 576, intermediate: 1536, layers: 30, heads: 9, keyValueHeads: 3 },
  "smollm2-360m": { ...smollm2, hidden: 960, intermediate: 2560, layers: 32, heads: 15, keyValueHeads: 5 },
  "smollm2-1.7b": { ...smollm2, rope: { theta: 130000 }, hidden: 2048, intermediate: 8192, layers: 24 },
  "llama-3.2-1b": { ...llama3(32), hidden: 2048, intermediate: 8192, layers: 16, headSize: 64, tied: true },
  "llama-3.2-3b": { ...llama3(32), hidden: 3072, intermediate: 8192, layers: 28, heads: 24, tied: true },
  "llama-3.1-8b": { ...llama3(8), intermediate: 14336 },
  "tinyllama-1.1b": {
    ...llama2,
    hidden: 2048,
    intermediate: 5632,
    layers: 22,
    keyValueHeads: 4,
    headSize: 64,
    positions: 2048,
  },
  "llama-2-7b": llama2,
  "llama-2-13b": { ...llama2, hidden: 5120, intermediate: 13824, layers: 40, heads: 40, keyValueHeads: 40 },
};

/** Token ids: none, one or several. */
function idsField(json: Json, name: string, fallback: number): readonly number[] {
  const value = json[name] === undefined ? fallback : json[name] ?? [];
  const ids = Array.isArray(value) ? value : [value];
  if (!ids.every((id) => Number.isInteger(id) && id >= 0)) throw wrongField(name, value, "token ids");
  return ids;
}

/**
 * From `config.json`; absent fields have transformers' defaults.
 *
 * @param json The configuration
 */
export function readLlamaConfig(json: Json): LlamaConfig {
  const hidden = wholeField(json, "hidden_size", 4096);
  const heads = wholeField(json, "num_attention_heads", 32);
  const keyValueHeads = wholeField(json, "num_key_value_heads", heads);
  if (heads % keyValueHeads !== 0) throw wrongField("num_key_value_heads", keyValueHeads, `a divisor of ${heads}`);
  const headSize = numberField(json, "head_dim", hidden / heads);
  if (headSize % 2 !== 0) {
    const given = json.head_dim !== undefined && json.head_dim !== null;
    throw given
      ? wrongField("head_dim", headSize, "an even number")
      : wrongField("hidden_size", hidden, `an even multiple of ${heads} heads`);
  }
  const positions = wholeField(json, "max_position_embeddings", 2048);
  const kinds = json.layer_types ?? [];
  if (!Array.isArray(kinds) || kinds.some((kind) => kind !== "full_attention")) {
    throw wrongField("layer_types", kinds, 'a list of "full_attention"');
  }
  const bos = idsField(json, "bos_token_id", 1);
  return {
    vocabulary: wholeField(json, "vocab_size", 32000),
    hidden,
    intermediate: wholeField(json, "intermediate_size", 11008),
    layers: wholeField(json, "num_hidden_layers", 32),
    heads,
    keyValueHeads,
    headSize,
    eps: numberField(json, "rms_norm_eps", 1e-6),
    rope: readRope(json, positions),
    positions,
    tied: booleanField(json, "tie_word_embeddings", false),
    activation: choiceField(json, "hidden_act", Object.keys(activations), "silu"),
    attentionBias: booleanField(json, "attention_bias", false),
    mlpBias: booleanField(json, "mlp_bias", false),
    begin: bos[0],
    end: idsField(json, "eos_token_id", 2),
  };
}

/**
 * To `config.json`, for transformers before and after 5.
 *
 * @param config The sizes
 */
export function writeLlamaConfig(config: LlamaConfig): Json {
  return {
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    vocab_size: config.vocabulary,
    hidden_size: config.hidden,
    intermediate_size: config.intermediate,
    num_hidden_layers: config.layers,
    num_attention_heads: config.heads,
    num_key_value_heads: config.keyValueHeads,
    head_dim: config.headSize,
    hidden_act: config.activation,
    rms_norm_eps: config.eps,
    rope_theta: config.rope.theta,
    rope_parameters: writeRope(config.rope),
    max_position_embeddings: config.positions,
    tie_word_embeddings: config.tied,
    attention_bias: config.attentionBias === true,
    mlp_bias: config.mlpBias,
    bos_token_id: config.begin ?? null,
    eos_token_id: config.end.length > 1 ? config.end : config.end[0] ?? null,
  };
}
