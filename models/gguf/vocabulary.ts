/**
 * A tokenizer as llama.cpp's metadata has it.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import { isObject } from "../../dsl/files/json.ts";
import { parsePythonJson, readJsonIfThere } from "../../dsl/files/python_json.ts";
import { readText } from "../../dsl/files/read.ts";
import { guarded } from "../../dsl/files/file.ts";
import { specialTokens } from "../companions/tokens.ts";
import type { Json } from "../config.ts";
import { chatTemplateText } from "../llama/chat.ts";
import type { GgufValue } from "./file.ts";

/** llama.cpp's kinds of tokens. */
export const KIND = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

function refused(found: string, allowed: string): never {
  throw new OneloraError({ attempted: "writing a tokenizer as GGUF", found, allowed });
}

const LLAMA3 =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" +
  "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const QWEN2 = LLAMA3.replace("\\p{N}{1,3}", "\\p{N}");

/** How a text is cut before bytes are merged. */
export interface Cutting {
  /** `pre_tokenizer` of `tokenizer.json`. */
  readonly steps: Json;
  /** Whether letters and their marks are joined first. */
  readonly composes: boolean;
  /** Whether a text begins with the token for it where the file does not say. */
  readonly begins: boolean;
  /** Whether a word that is a token is taken as it is. */
  readonly ignoresMerges: boolean;
}

const letters = (regex: boolean): Json => ({
  type: "ByteLevel",
  add_prefix_space: false,
  trim_offsets: true,
  use_regex: regex,
});

const split = (pattern: string): Json => ({
  type: "Sequence",
  pretokenizers: [{ type: "Split", pattern: { Regex: pattern }, behavior: "Isolated", invert: false }, letters(false)],
});

const plainly = { composes: false, begins: false, ignoresMerges: false };

/** Ways to cut texts by llama.cpp's name. */
export const cuttings: Readonly<Record<string, Cutting>> = {
  "gpt-2": { ...plainly, steps: letters(true) },
  "smollm": {
    ...plainly,
    steps: { type: "Sequence", pretokenizers: [{ type: "Digits", individual_digits: true }, letters(true)] },
  },
  "llama-bpe": { ...plainly, steps: split(LLAMA3), begins: true, ignoresMerges: true },
  "qwen2": { ...plainly, steps: split(QWEN2), composes: true },
};

/** llama.cpp's name of how a text is cut before bytes are merged, by what `tokenizer.json` says. */
function cutting(json: Json): string {
  const { pre_tokenizer: whole } = json;
  const stepsOf = (part: unknown) =>
    isObject(part) && part.type === "Sequence" ? part.pretokenizers as readonly Json[] : [part as Json];
  // What is the same whether it is said or not.
  const told = (part: unknown) =>
    JSON.stringify(
      stepsOf(part).map((step) => ({
        ...step,
        trim_offsets: undefined,
        invert: step?.invert ?? (step?.type === "Split" ? false : undefined),
        use_regex: step?.use_regex ?? (step?.type === "ByteLevel" ? true : undefined),
      })).map((step) => Object.fromEntries(Object.entries(step).sort(([a], [b]) => a < b ? -1 : 1))),
    );
  const known = Object.entries(cuttings).find(([, { steps }]) => told(steps) === told(whole));
  if (known !== undefined) return known[0];
  refused(
    `a way to cut texts that has no name there: ${JSON.stringify(whole).slice(0, 200)}`,
    "those of GPT-2, SmolLM, Llama 3, Qwen2",
  );
}

/** Merges as `tokenizer.json` writes them: pairs, or texts with a space. */
function mergesOf(model: Json): readonly (readonly [string, string])[] {
  const merges = Array.isArray(model.merges) ? model.merges : [];
  return merges.map((merge) => {
    const [left, right] = typeof merge === "string" ? merge.split(" ") : merge as string[];
    return [left, right];
  });
}

/**
 * The tokenizer of a folder as llama.cpp's metadata: bytes merged as GPT-2 does (`gpt2`), or pieces with a score as SentencePiece
 * does (`llama`), whose scores are the order of the merges that make them.
 *
 * @param folder The model's folder
 * @param size Rows of the embedding table: ids without a token are named
 * @throws OneloraError for a folder without `tokenizer.json`, and a tokenizer that llama.cpp does not have
 */
export async function ggufVocabulary(
  folder: string,
  size: number,
): Promise<readonly (readonly [key: string, value: GgufValue])[]> {
  const path = `${folder}/tokenizer.json`;
  const json = await guarded(
    `reading ${path}`,
    "a tokenizer that Hugging Face's tokenizers library saved",
    async () => parsePythonJson(await readText(path)) as Json,
  );
  const config = await specialTokens(folder, (await readJsonIfThere(`${folder}/tokenizer_config.json`))?.json ?? {});
  const model = isObject(json.model) ? json.model : {};
  if (model.type !== "BPE" || !isObject(model.vocab)) refused(`a ${model.type} model`, "a BPE model");
  const isPieces = model.byte_fallback === true;
  const pre = isPieces ? undefined : cutting(json);
  if (!isPieces && json.normalizer !== null && json.normalizer !== undefined) {
    const { type } = json.normalizer as Json;
    if (type !== "NFC") refused(`the normalizer ${type}`, "none, or NFC");
  }
  const tokens: (string | undefined)[] = new Array(size);
  const kinds: number[] = new Array(size).fill(KIND.unused);
  const put = (id: unknown, token: string, kind: number) => {
    if (typeof id !== "number" || id < 0 || id >= size) {
      refused(`token ${id}`, `ids below ${size}, the model's vocabulary`);
    }
    [tokens[id], kinds[id]] = [token, kind];
  };
  for (const [token, id] of Object.entries(model.vocab)) {
    const kind = isPieces && /^<0x[0-9A-F]{2}>$/.test(token)
      ? KIND.byte
      : token === model.unk_token
      ? KIND.unknown
      : KIND.normal;
    put(id, token, kind);
  }
  for (const added of (Array.isArray(json.added_tokens) ? json.added_tokens : []) as readonly Json[]) {
    const isUnknown = isPieces && added.content === model.unk_token;
    put(added.id, added.content as string, isUnknown ? KIND.unknown : added.special ? KIND.control : KIND.userDefined);
  }
  const merges = mergesOf(model);
  const named = (name: string) => {
    const value = config[name];
    const content = isObject(value) ? value.content : value;
    const id = typeof content === "string" ? tokens.indexOf(content) : -1;
    return id < 0 ? undefined : id;
  };
  const ids = Object.entries({ bos: "bos_token", eos: "eos_token", unknown: "unk_token", padding: "pad_token" })
    .flatMap(
      ([key, name]) => {
        const id = named(name);
        return id === undefined ? [] : [[`tokenizer.ggml.${key}_token_id`, { uint32: id }] as const];
      },
    );
  const scores = new Map(merges.map(([left, right], rank) => [left + right, -1 - rank] as const).reverse());
  const template = await chatTemplateText(folder);
  const post = JSON.stringify(json.post_processor ?? null);
  const begin = named("bos_token");
  const begins = begin !== undefined && post.includes(JSON.stringify(tokens[begin]));
  return [
    ["tokenizer.ggml.model", isPieces ? "llama" : "gpt2"],
    ["tokenizer.ggml.pre", pre ?? "default"],
    ["tokenizer.ggml.tokens", { strings: Array.from(tokens, (token, id) => token ?? `[PAD${id}]`) }],
    ...(isPieces
      ? [["tokenizer.ggml.scores", { float32s: Array.from(tokens, (token) => scores.get(token ?? "") ?? 0) }] as const]
      : []),
    ["tokenizer.ggml.token_type", { int32s: kinds }],
    ...(isPieces ? [] : [["tokenizer.ggml.merges", { strings: merges.map((pair) => pair.join(" ")) }] as const]),
    ...ids,
    ["tokenizer.ggml.add_bos_token", begins],
    ...(isPieces
      ? [
        [
          "tokenizer.ggml.add_space_prefix",
          /"Prepend"|"prepend_scheme":"(first|always)"/.test(JSON.stringify(json)),
        ] as const,
      ]
      : []),
    ...(template === undefined ? [] : [["tokenizer.chat_template", template] as const]),
  ];
}
