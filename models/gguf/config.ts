/**
 * A language model's `config.json`, of what a GGUF file says of it.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import { show } from "../../dsl/files/json.ts";
import type { Json } from "../config.ts";
import { type Rope, ropeWaves, writeRope } from "../llama/rope.ts";
import type { GgufHeader } from "./header.ts";
import { endIds, specialId } from "./special.ts";

/** Families by llama.cpp's name of the architecture. */
const FAMILIES: Readonly<Record<string, { readonly type: string; readonly className: string }>> = {
  llama: { type: "llama", className: "LlamaForCausalLM" },
  qwen2: { type: "qwen2", className: "Qwen2ForCausalLM" },
  smollm3: { type: "smollm3", className: "SmolLM3ForCausalLM" },
};

/** Keys of the architecture's own that are honoured. */
const HONOURED: readonly string[] = [
  "block_count",
  "context_length",
  "embedding_length",
  "feed_forward_length",
  "attention.head_count",
  "attention.head_count_kv",
  "attention.layer_norm_rms_epsilon",
  "attention.key_length",
  "attention.value_length",
  "rope.dimension_count",
  "rope.freq_base",
  "rope.scaling.type",
  "rope.scaling.factor",
  "rope.scale_linear",
  "vocab_size",
];

/** Those that change nothing here, and why. */
const WITHOUT_EFFECT: Readonly<Record<string, string>> = {
  "rope.scaling.original_context_length": "linear positions need no other length",
  "rope.scaling.finetuned": "says where the weights come from",
  "attention.causal": "language models here are",
  "tensor_data_layout": "the rows' order is the architecture's",
};

/** Keys that are refused where they are not these values: what they ask for is not computed here. */
const ONLY: Readonly<Record<string, readonly unknown[]>> = {
  "expert_count": [0],
  "expert_used_count": [0],
  "attention.causal": [true],
  "use_parallel_residual": [false],
};

/** What is asked of the metadata. */
interface Reader {
  readonly number: (name: string, otherwise?: number) => number;
  readonly refuse: (found: string, allowed: string) => never;
}

function readerOf({ metadata }: GgufHeader, path: string, architecture: string): Reader {
  const refuse = (found: string, allowed: string): never => {
    throw new OneloraError({ attempted: `reading ${path}`, found, allowed });
  };
  return {
    refuse,
    number: (name, otherwise) => {
      const value = metadata.get(`${architecture}.${name}`) ?? otherwise;
      const number = typeof value === "bigint" ? Number(value) : value;
      if (typeof number === "number" && Number.isFinite(number) && number > 0) return number;
      // Per-layer lists say that blocks differ.
      const found = value === undefined ? `no ${architecture}.${name}` : `${architecture}.${name} ${show(value)}`;
      return refuse(found, "a positive number");
    },
  };
}

/** Shortest decimal that a float32 stands for: 1e-5 rather than 0.00000999999974. */
function shortest(value: number): number {
  return Number(Math.fround(value).toPrecision(7));
}

/** Llama 3's own constants, by which a list of factors is recognised. */
const LLAMA3 = { original: 8192, low: 1, high: 4 };

/** The tensor of factors that plain frequencies are divided by. */
export const FACTORS = "rope_freqs.weight";

/**
 * How frequencies are scaled, as llama.cpp reads it: linearly where no type says otherwise, by a factor that may stand under its
 * older name, and of which 0 means none.
 */
function scalingOf({ metadata }: GgufHeader, architecture: string, { refuse }: Reader): Rope["scaling"] {
  const own = (name: string) => metadata.get(`${architecture}.${name}`);
  const type = own("rope.scaling.type") ?? "linear";
  if (type === "none") return undefined;
  if (type !== "linear") return refuse(`${show(type)} rotary positions`, "plain, linear or Llama 3's");
  const name = own("rope.scaling.factor") === undefined ? "rope.scale_linear" : "rope.scaling.factor";
  const factor = own(name) ?? 1;
  if (typeof factor !== "number" || !Number.isFinite(factor) || factor < 0) {
    return refuse(`${architecture}.${name} ${show(factor)}`, "a positive number");
  }
  return factor === 0 || factor === 1 ? undefined : { type, factor };
}

/** Rotary positions: plain, linear, or Llama 3's, whose factors are a tensor. */
function ropeOf(
  header: GgufHeader,
  architecture: string,
  reader: Reader,
  headSize: number,
): Rope | "llama3" {
  const { number, refuse } = reader;
  const theta = shortest(number("rope.freq_base", 10000));
  const scaling = scalingOf(header, architecture, reader);
  const factors = header.tensors.get(FACTORS);
  if (factors === undefined) return { theta, ...(scaling === undefined ? {} : { scaling }) };
  if (factors.form !== "F32" || `${factors.shape}` !== `${headSize / 2}`) {
    return refuse(`${FACTORS} in ${factors.form} of shape [${factors.shape}]`, `F32 of shape [${headSize / 2}]`);
  }
  if (scaling === undefined) return "llama3";
  return refuse(`${show(scaling.type)} rotary positions beside ${FACTORS}`, "one of the two");
}

/**
 * Rotary positions by the factors that plain frequencies are divided by.
 *
 * @param factors The factors
 * @param theta Base of the frequencies
 * @param refuse Says what was found
 */
function ropeOfFactors(factors: Float32Array, theta: number, path: string): Rope {
  const size = 2 * factors.length;
  const scaling = { type: "llama3", factor: shortest(Math.max(...factors)), ...LLAMA3 } as const;
  const [plain, scaled] = [{ theta }, { theta, scaling }].map((rope) => ropeWaves(rope, size, 1, 1).frequencies);
  if (factors.every((factor, i) => Math.abs(plain[i] / scaled[i] / factor - 1) < 1e-5)) return { theta, scaling };
  throw new OneloraError({
    attempted: `reading ${path}`,
    found: `factors of rotary positions in ${FACTORS} that are not Llama 3's`,
    allowed: `those of a context of ${LLAMA3.original} made longer`,
  });
}

/**
 * The configuration of a file's model; where rotary positions have factors, they are those that were read.
 *
 * @param header What the file says
 * @param path The file, for errors
 * @param factors The numbers of its tensor `rope_freqs.weight`, if they were read
 * @throws OneloraError for an architecture that is not known here, and for a key that would be left unheeded
 */
export function ggufConfig(header: GgufHeader, path: string, factors?: Float32Array): Json {
  const { metadata, tensors } = header;
  const architecture = metadata.get("general.architecture");
  const family = typeof architecture === "string" && Object.hasOwn(FAMILIES, architecture)
    ? FAMILIES[architecture]
    : undefined;
  const reader = readerOf(header, path, String(architecture));
  const { number, refuse } = reader;
  if (family === undefined) {
    const found = `the architecture ${show(architecture ?? "of no name")}`;
    return refuse(found, Object.keys(FAMILIES).join(", "));
  }
  const isAdapter = (metadata.get("general.type") ?? "model") !== "model";
  if (isAdapter) return refuse(`a file of type ${show(metadata.get("general.type"))}`, "a model");
  for (const [key, value] of metadata) {
    if (!key.startsWith(`${architecture}.`)) continue;
    const name = key.slice(`${architecture}.`.length);
    const only = Object.hasOwn(ONLY, name) ? ONLY[name] : undefined;
    const isKnown = HONOURED.includes(name) || Object.hasOwn(WITHOUT_EFFECT, name);
    if (only === undefined ? !isKnown : !only.includes(typeof value === "bigint" ? Number(value) : value)) {
      refuse(`${key} ${show(value)}`, only === undefined ? "a file without it" : `${key} ${only.join(", ")}`);
    }
  }
  const [hidden, heads] = [number("embedding_length"), number("attention.head_count")];
  const headSize = number("attention.key_length", hidden / heads);
  for (const name of ["attention.value_length", "rope.dimension_count"]) {
    const found = number(name, headSize);
    if (found !== headSize) refuse(`${architecture}.${name} ${found}`, `${headSize}, as all features of a head`);
  }
  const table = tensors.get("token_embd.weight");
  if (table === undefined) return refuse("no tensor token_embd.weight", "a language model's table");
  const rope = ropeOf(header, architecture as string, reader, headSize);
  const theta = shortest(number("rope.freq_base", 10000));
  const known = rope !== "llama3" ? rope : factors === undefined ? { theta } : ropeOfFactors(factors, theta, path);
  const ends = endIds(header);
  return {
    architectures: [family.className],
    model_type: family.type,
    vocab_size: table.shape[0],
    hidden_size: hidden,
    intermediate_size: number("feed_forward_length"),
    num_hidden_layers: number("block_count"),
    num_attention_heads: heads,
    num_key_value_heads: number("attention.head_count_kv", heads),
    ...(family.type === "qwen2" ? {} : { head_dim: headSize }),
    hidden_act: "silu",
    rms_norm_eps: shortest(number("attention.layer_norm_rms_epsilon")),
    rope_theta: known.theta,
    rope_parameters: writeRope(known),
    max_position_embeddings: number("context_length"),
    tie_word_embeddings: !tensors.has("output.weight"),
    ...(family.type === "llama"
      ? { attention_bias: tensors.has("blk.0.attn_output.bias"), mlp_bias: tensors.has("blk.0.ffn_up.bias") }
      : {}),
    bos_token_id: specialId(header, "bos") ?? null,
    eos_token_id: ends.length > 1 ? ends : ends[0] ?? null,
  };
}
