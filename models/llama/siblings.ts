/**
 * Language models of LLaMA's blocks under other names: Mistral, Qwen2 and Qwen2.5, SmolLM3.
 *
 * @module
 */
import { isObject } from "../../dsl/files/json.ts";
import { booleanField, type Json, wholeField, wrongField } from "../config.ts";
import { honoured, noEffect, type Settings } from "../companions/settings.ts";
import type { Family } from "../family.ts";
import { type LlamaConfig, readLlamaConfig, writeLlamaConfig } from "./config.ts";
import { languageFamily } from "./llama.ts";
import { llamaSettings } from "./settings.ts";

/** Some fields of a configuration, and none of them. */
function without(json: Json, ...names: readonly string[]): Json {
  return Object.fromEntries(Object.entries(json).filter(([name]) => !names.includes(name)));
}

/** The fields of LLaMA's that a sibling's configuration has too, with its own defaults. */
function asLlama(json: Json, defaults: Json, ...others: readonly string[]): LlamaConfig {
  const { rope_parameters: rope } = json;
  const theta = isObject(rope) && rope.rope_theta !== undefined ? { rope_theta: undefined } : {};
  return readLlamaConfig({ ...defaults, ...theta, ...without(json, ...others) });
}

/** A configuration with biases everywhere and nothing that LLaMA lacks is LLaMA's. */
function isLlama({ attentionBias, mlpBias, window }: LlamaConfig): boolean {
  return attentionBias === true && mlpBias && window === undefined;
}

/** The variant with biases: of windows there is none. */
function withBiases(config: LlamaConfig): LlamaConfig {
  return config.window === undefined ? { ...config, attentionBias: true, mlpBias: true } : config;
}

/** A window's tokens, if there is one. */
function windowField(json: Json, fallback: number | undefined): number | undefined {
  if (json.sliding_window === null || (json.sliding_window === undefined && fallback === undefined)) return undefined;
  return wholeField(json, "sliding_window", fallback!);
}

/** The windows that blocks have, which all must have in common. */
function commonWindow(json: Json, kinds: readonly string[], window: number): number | undefined {
  const sliding = kinds.filter((kind) => kind === "sliding_attention").length;
  if (sliding === 0) return undefined;
  if (sliding === kinds.length) return window;
  throw wrongField("layer_types", json.layer_types ?? kinds, "blocks that all see a window, or all everything");
}

/** The kinds of blocks that a file lists, if it does. */
function kindsField(json: Json, layers: number): readonly string[] | undefined {
  const kinds = json.layer_types ?? undefined;
  if (kinds === undefined) return undefined;
  const known = ["full_attention", "sliding_attention"];
  if (Array.isArray(kinds) && kinds.length === layers && kinds.every((kind) => known.includes(kind))) return kinds;
  throw wrongField("layer_types", kinds, `a list of ${layers} of ${known.join(", ")}`);
}

const biasless = noEffect("which projections have biases the architecture says", "attention_bias", "mlp_bias");

/** Settings of a Mistral's `config.json`. */
export const mistralSettings: Settings = { ...llamaSettings, ...biasless, ...honoured("sliding_window") };

/** Settings of a Qwen2's. */
export const qwen2Settings: Settings = {
  ...llamaSettings,
  ...biasless,
  ...honoured("use_sliding_window", "sliding_window", "max_window_layers"),
};

/** Settings of a SmolLM3's. */
export const smollm3Settings: Settings = {
  ...llamaSettings,
  ...honoured("no_rope_layers", "no_rope_layer_interval", "use_sliding_window"),
  ...noEffect("no block has a window unless use_sliding_window says so", "sliding_window", "max_window_layers"),
};

const mistralDefaults: Json = { intermediate_size: 14336, num_key_value_heads: 8, max_position_embeddings: 131072 };

const mistral: LlamaConfig = {
  ...readLlamaConfig(mistralDefaults),
  eps: 1e-5,
  positions: 32768,
  window: 4096,
};

/** Sizes by `config.json`. */
function readMistral(json: Json): LlamaConfig {
  const config = asLlama(json, mistralDefaults, "layer_types", "attention_bias", "mlp_bias");
  const window = windowField(json, 4096);
  const kinds = kindsField(json, config.layers);
  // Its class knows no kinds of blocks: all are the same.
  if (kinds !== undefined && window !== undefined) commonWindow(json, kinds, window);
  return { ...config, window };
}

/** Mistral (Jiang et al. 2023): a window of tokens, in the first version. */
export const mistralFamily: Family = languageFamily({
  name: "mistral",
  presets: {
    "mistral-7b": mistral,
    "mistral-7b-v0.3": { ...mistral, vocabulary: 32768, rope: { theta: 1e6 }, window: undefined },
  },
  readConfig: readMistral,
  writeConfig: (config) =>
    isLlama(config) ? { ...writeLlamaConfig(config), sliding_window: null } : {
      ...without(writeLlamaConfig(config), "attention_bias", "mlp_bias"),
      architectures: ["MistralForCausalLM"],
      model_type: "mistral",
      sliding_window: config.window ?? null,
    },
  settings: mistralSettings,
  withBiases,
});

const qwen2Defaults: Json = {
  vocab_size: 151936,
  intermediate_size: 22016,
  num_key_value_heads: 32,
  max_position_embeddings: 32768,
  bos_token_id: null,
  eos_token_id: null,
};

const qwen2: LlamaConfig = {
  ...readLlamaConfig(qwen2Defaults),
  attentionBias: "qkv",
  rope: { theta: 1e6 },
  positions: 131072,
  begin: 151643,
  end: [151643],
};

/** Sizes by `config.json`. */
function readQwen2(json: Json): LlamaConfig {
  const config = asLlama(json, qwen2Defaults, "layer_types", "attention_bias", "mlp_bias");
  const window = booleanField(json, "use_sliding_window", false) ? windowField(json, 4096) : undefined;
  const from = json.max_window_layers ?? 28;
  if (typeof from !== "number" || !Number.isSafeInteger(from) || from < 0) {
    throw wrongField("max_window_layers", from, "a number of blocks");
  }
  const kinds = kindsField(json, config.layers) ??
    Array.from({ length: config.layers }, (_, i) => i >= from ? "sliding_attention" : "full_attention");
  return {
    ...config,
    attentionBias: "qkv",
    window: window === undefined ? undefined : commonWindow(json, kinds, window),
  };
}

/** Qwen2 and Qwen2.5 (Yang et al. 2024): biases of query, key and value. */
export const qwen2Family: Family = languageFamily({
  name: "qwen2",
  presets: {
    "qwen2.5-0.5b": {
      ...qwen2,
      hidden: 896,
      intermediate: 4864,
      layers: 24,
      heads: 14,
      keyValueHeads: 2,
      headSize: 64,
      positions: 32768,
      tied: true,
    },
    "qwen2.5-1.5b": {
      ...qwen2,
      hidden: 1536,
      intermediate: 8960,
      layers: 28,
      heads: 12,
      keyValueHeads: 2,
      tied: true,
    },
    "qwen2.5-7b": {
      ...qwen2,
      vocabulary: 152064,
      hidden: 3584,
      intermediate: 18944,
      layers: 28,
      heads: 28,
      keyValueHeads: 4,
    },
  },
  readConfig: readQwen2,
  writeConfig: (config) =>
    isLlama(config) ? { ...writeLlamaConfig(config), use_sliding_window: false, sliding_window: null } : {
      ...without(writeLlamaConfig(config), "attention_bias", "mlp_bias", "head_dim"),
      architectures: ["Qwen2ForCausalLM"],
      model_type: "qwen2",
      use_sliding_window: config.window !== undefined,
      sliding_window: config.window ?? null,
      ...(config.window === undefined ? {} : { max_window_layers: 0 }),
    },
  settings: qwen2Settings,
  withBiases,
});

const smollm3Defaults: Json = {
  vocab_size: 128256,
  hidden_size: 2048,
  num_hidden_layers: 36,
  num_attention_heads: 16,
  num_key_value_heads: 4,
  max_position_embeddings: 32768,
  bos_token_id: 128000,
  eos_token_id: 128001,
  rope_theta: 2e6,
  tie_word_embeddings: true,
};

/** Every n-th block. */
function everyNth(layers: number, interval: number): readonly number[] {
  return Array.from({ length: layers }, (_, i) => i).filter((i) => (i + 1) % interval === 0);
}

/** The blocks whose entry in a list of ones and zeros is 0; one in four without a list. */
function unrotatedField(json: Json, layers: number): readonly number[] {
  const list = json.no_rope_layers ?? undefined;
  if (list === undefined) return everyNth(layers, wholeField(json, "no_rope_layer_interval", 4));
  const isList = Array.isArray(list) && list.length >= layers && list.every((each) => each === 0 || each === 1);
  if (!isList) throw wrongField("no_rope_layers", list, `a list of at least ${layers} ones and zeros`);
  return list.slice(0, layers).flatMap((each, i) => each === 0 ? [i] : []);
}

/** Sizes by `config.json`. */
function readSmollm3(json: Json): LlamaConfig {
  const config = asLlama(json, smollm3Defaults, "layer_types");
  const kinds = kindsField(json, config.layers) ?? [];
  if (booleanField(json, "use_sliding_window", false) && windowField(json, undefined) !== undefined) {
    throw wrongField("use_sliding_window", true, "false: windows in some blocks only");
  }
  // To its class they count whatever use_sliding_window says.
  if (kinds.includes("sliding_attention")) throw wrongField("layer_types", kinds, 'a list of "full_attention"');
  return { ...config, unrotated: unrotatedField(json, config.layers) };
}

/** SmolLM3: every fourth block without positions. */
export const smollm3Family: Family = languageFamily({
  name: "smollm3",
  presets: {
    "smollm3-3b": {
      ...readLlamaConfig(smollm3Defaults),
      rope: { theta: 5e6 },
      positions: 65536,
      end: [128012],
      unrotated: everyNth(36, 4),
    },
  },
  readConfig: readSmollm3,
  writeConfig: (config) => ({
    ...writeLlamaConfig(config),
    architectures: ["SmolLM3ForCausalLM"],
    model_type: "smollm3",
    no_rope_layers: Array.from({ length: config.layers }, (_, i) => config.unrotated?.includes(i) ? 0 : 1),
  }),
  settings: smollm3Settings,
});

/**
 * Sizes of a language model of any of the families.
 *
 * @param json Its `config.json`
 */
export function languageConfig(json: Json): LlamaConfig {
  const readers: Readonly<Record<string, (json: Json) => LlamaConfig>> = {
    mistral: readMistral,
    qwen2: readQwen2,
    smollm3: readSmollm3,
  };
  return (readers[json.model_type as string] ?? readLlamaConfig)(json);
}
