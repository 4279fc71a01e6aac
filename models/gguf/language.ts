/**
 * Language models and LoRA adapters under llama.cpp's names.
 *
 * @module
 */
import { unfitForBlocks } from "../../dsl/blocks.ts";
import { OneloraError } from "../../dsl/error.ts";
import type { Json } from "../config.ts";
import type { LlamaConfig } from "../llama/config.ts";
import { languageConfig } from "../llama/siblings.ts";
import { requireLanguageModel } from "../llama/language_model.ts";
import { ropeWaves } from "../llama/rope.ts";
import type { Model } from "../model.ts";
import type { GgufTensor, GgufType, GgufValue } from "./file.ts";

/** Names of a block's layers. */
const BLOCK: Readonly<Record<string, string>> = {
  input_layernorm: "attn_norm",
  "self_attn.q_proj": "attn_q",
  "self_attn.k_proj": "attn_k",
  "self_attn.v_proj": "attn_v",
  "self_attn.o_proj": "attn_output",
  post_attention_layernorm: "ffn_norm",
  "mlp.gate_proj": "ffn_gate",
  "mlp.up_proj": "ffn_up",
  "mlp.down_proj": "ffn_down",
};

const WHOLE: Readonly<Record<string, string>> = {
  "model.embed_tokens": "token_embd",
  "model.norm": "output_norm",
  lm_head: "output",
};

/**
 * llama.cpp's name of a layer, without `.weight`.
 *
 * @param path Its path
 * @throws OneloraError for a layer that llama.cpp's models lack
 */
function ggufName(path: string): string {
  const block = /^model\.layers\.(\d+)\.(.+)$/.exec(path);
  const name = block === null ? WHOLE[path] : BLOCK[block[2]] && `blk.${block[1]}.${BLOCK[block[2]]}`;
  if (name !== undefined) return name;
  throw new OneloraError({
    attempted: "naming a layer as llama.cpp does",
    found: `"${path}"`,
    allowed: "a layer of a language model",
  });
}

/** llama.cpp's name of a family's architecture: Mistral is LLaMA there. */
const ARCHITECTURES: Readonly<Record<string, string>> = {
  llama: "llama",
  mistral: "llama",
  qwen2: "qwen2",
  smollm3: "smollm3",
};

/** The architecture's name. */
function architectureOf({ config }: Pick<Model, "config">): string {
  return ARCHITECTURES[config.model_type as string] ?? "llama";
}

/** What llama.cpp calls each layer, and each of a block's. */
const PATHS: ReadonlyMap<string, string> = new Map(
  [...Object.entries(BLOCK), ...Object.entries(WHOLE)].map(([path, name]) => [name, path]),
);

/**
 * The path of a parameter by llama.cpp's name of it; undefined for one that it is not.
 *
 * @param name E.g. `blk.3.attn_q.weight`
 */
export function pathOfGguf(name: string): string | undefined {
  const [, block, layer, kind] = /^(?:blk\.(\d+)\.)?(\w+)\.(weight|bias)$/.exec(name) ?? [];
  const path = layer === undefined ? undefined : PATHS.get(layer);
  if (path === undefined || (block === undefined) !== (path in WHOLE)) return undefined;
  return `${block === undefined ? path : `model.layers.${Number(block)}.${path}`}.${kind}`;
}

/**
 * Rows of queries and keys in another order: llama.cpp's, where pairs that turn together are neighbours, or that of halves,
 * as Hugging Face's files have them.
 *
 * @param bytes Rows of any numbers
 * @param rows How many
 * @param heads Heads that they are of
 * @param order The order wanted
 */
export function turned(
  bytes: Uint8Array,
  rows: number,
  heads: number,
  order: "pairs" | "halves",
): Uint8Array<ArrayBuffer> {
  const [width, half] = [bytes.length / rows, rows / heads / 2];
  const moved = new Uint8Array(bytes.length);
  for (let head = 0; head < heads; head++) {
    for (let i = 0; i < half; i++) {
      for (const part of [0, 1]) {
        const inHalves = head * 2 * half + part * half + i;
        const inPairs = head * 2 * half + 2 * i + part;
        const [from, to] = order === "pairs" ? [inHalves, inPairs] : [inPairs, inHalves];
        moved.set(bytes.subarray(from * width, (from + 1) * width), to * width);
      }
    }
  }
  return moved;
}

/** Rows of numbers in llama.cpp's order. */
function interleaved({ buffer, byteOffset, byteLength }: Float32Array, rows: number, heads: number): Float32Array {
  return new Float32Array(turned(new Uint8Array(buffer, byteOffset, byteLength), rows, heads, "pairs").buffer);
}

/** Heads whose rows are put in another order, if a layer's are; those of Qwen2 stay as they are. */
function turning(path: string, architecture: string, { heads, keyValueHeads }: LlamaConfig): number | undefined {
  if (architecture === "qwen2") return undefined;
  return path.endsWith(".q_proj") ? heads : path.endsWith(".k_proj") ? keyValueHeads : undefined;
}

/**
 * Heads whose rows are in another order in llama.cpp's files, if a layer's are.
 *
 * @param path The layer's path
 * @param config The model's `config.json`
 */
export function turningHeads(path: string, config: Json): number | undefined {
  return turning(path, architectureOf({ config }), languageConfig(config));
}

/** What a model is to llama.cpp. */
export interface GgufLanguage {
  /** Metadata besides the tokenizer's. */
  readonly metadata: readonly (readonly [key: string, value: GgufValue])[];
  /** What will be otherwise there, a line each. */
  readonly notes: readonly string[];
  /** A tensor of the model's, by its parameter's path and numbers. */
  readonly tensor: (
    path: string,
    shape: readonly number[],
    type: GgufType,
    data: () => Promise<Float32Array>,
  ) => GgufTensor;
  /** Tensors that no parameter is. */
  readonly extra: readonly GgufTensor[];
}

function scaling({ rope, headSize, positions }: LlamaConfig): {
  readonly metadata: readonly (readonly [string, GgufValue])[];
  readonly factors?: Float32Array;
} {
  const { scaling: by, theta } = rope;
  switch (by?.type) {
    case undefined:
      return { metadata: [] };
    case "linear":
      return { metadata: [["rope.scaling.type", "linear"], ["rope.scaling.factor", { float32: by.factor }]] };
    case "llama3": {
      const [plain, scaled] = [{ theta }, rope].map((each) =>
        ropeWaves(each, headSize, positions, positions).frequencies
      );
      return { metadata: [], factors: Float32Array.from(plain, (frequency, i) => frequency / scaled[i]) };
    }
    default: {
      const found = `"${by!.type}" rotary positions`;
      throw new OneloraError({ attempted: "writing a model as GGUF", found, allowed: "plain, linear or llama3 ones" });
    }
  }
}

/**
 * A language model as llama.cpp has it.
 *
 * @param model The model
 * @param type What weights are stored as; norms and biases are float32
 * @throws OneloraError (exit code 2) for another family, and for what llama.cpp computes otherwise
 */
export function ggufLanguage(model: Model, type: GgufType): GgufLanguage {
  requireLanguageModel(model, "writing a model as GGUF");
  const architecture = architectureOf(model);
  const config = languageConfig(model.config as Json);
  const { factors, metadata } = scaling(config);
  const { unrotated = [], window, layers } = config;
  const everyFourth = Array.from({ length: layers }, (_, i) => i).filter((i) => (i + 1) % 4 === 0);
  if (architecture === "smollm3" && `${unrotated}` !== `${everyFourth}`) {
    const found = `no positions in blocks ${unrotated.join(", ")}`;
    throw new OneloraError({
      attempted: "writing a model as GGUF",
      found,
      allowed: "every fourth, as llama.cpp has it",
    });
  }
  const uint32 = (value: number): GgufValue => ({ uint32: value });
  const own = (name: string, value: GgufValue) => [`${architecture}.${name}`, value] as const;
  const fileTypes: Readonly<Record<GgufType, number>> = { f32: 0, f16: 1, bf16: 32, q8_0: 7 };
  return {
    notes: window === undefined || window >= config.positions
      ? []
      : [`llama.cpp reads no window for this architecture: texts of more than ${window} tokens differ there`],
    metadata: [
      ["general.architecture", architecture],
      ["general.type", "model"],
      ["general.name", model.name.replace(/^.*[/\\]/, "")],
      ["general.file_type", uint32(fileTypes[type])],
      own("block_count", uint32(layers)),
      own("context_length", uint32(config.positions)),
      own("embedding_length", uint32(config.hidden)),
      own("feed_forward_length", uint32(config.intermediate)),
      own("attention.head_count", uint32(config.heads)),
      own("attention.head_count_kv", uint32(config.keyValueHeads)),
      own("attention.layer_norm_rms_epsilon", { float32: config.eps }),
      own("attention.key_length", uint32(config.headSize)),
      own("attention.value_length", uint32(config.headSize)),
      own("rope.dimension_count", uint32(config.headSize)),
      own("rope.freq_base", { float32: config.rope.theta }),
      own("vocab_size", uint32(config.vocabulary)),
      ...metadata.map(([name, value]) => own(name, value)),
    ],
    tensor: (path, shape, type, data) => {
      const layer = path.replace(/\.(weight|bias)$/, "");
      const heads = turning(layer, architecture, config);
      return {
        name: `${ggufName(layer)}.${path.endsWith(".bias") ? "bias" : "weight"}`,
        shape,
        type: shape.length === 1 ? "f32" : type === "q8_0" && unfitForBlocks(type, shape) !== undefined ? "f16" : type,
        data: async () => heads === undefined ? await data() : interleaved(await data(), shape[0], heads),
      };
    },
    extra: factors === undefined
      ? []
      : [{ name: "rope_freqs.weight", shape: [factors.length], type: "f32", data: () => Promise.resolve(factors) }],
  };
}

/**
 * A LoRA adapter's tensors as llama.cpp has them: `NAME.lora_a` [r, k] and `NAME.lora_b` [d, r].
 *
 * @param model The model that it is for
 * @param matrices A and B by the path of their layer
 * @param alpha LoRA's alpha, of which alpha / r is the factor
 */
export function ggufAdapter(
  model: Model,
  matrices: Readonly<
    Record<string, Readonly<Record<"A" | "B", { readonly shape: readonly number[]; readonly data: Float32Array }>>>
  >,
  alpha: number,
): { readonly metadata: GgufLanguage["metadata"]; readonly tensors: readonly GgufTensor[] } {
  requireLanguageModel(model, "writing an adapter as GGUF");
  const architecture = architectureOf(model);
  const config = languageConfig(model.config as Json);
  return {
    metadata: [
      ["general.type", "adapter"],
      ["general.architecture", architecture],
      ["adapter.type", "lora"],
      ["adapter.lora.alpha", { float32: alpha }],
    ],
    tensors: Object.entries(matrices).flatMap(([path, { A, B }]): readonly GgufTensor[] => {
      const heads = turning(path, architecture, config);
      const rows = heads === undefined ? B.data : interleaved(B.data, B.shape[0], heads);
      const name = `${ggufName(path)}.weight`;
      return [
        { name: `${name}.lora_a`, shape: A.shape, type: "f32", data: () => Promise.resolve(A.data) },
        { name: `${name}.lora_b`, shape: B.shape, type: "f32", data: () => Promise.resolve(rows) },
      ];
    }),
  };
}
