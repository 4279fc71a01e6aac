/**
 * What transformers' LlamaTokenizer makes of a `tokenizer.json`: it takes the vocabulary and the frame, and does the rest its
 * own way.
 *
 * @module
 */
import { isObject } from "../../../dsl/files/json.ts";
import { wrongSetting } from "../../companions/read.ts";
import type { Json } from "../../config.ts";

/** Whether a part is, or holds, one of bytes as letters. */
function hasByteLevel(part: unknown): boolean {
  if (Array.isArray(part)) return part.some(hasByteLevel);
  return isObject(part) && (part.type === "ByteLevel" || Object.values(part).some(hasByteLevel));
}

/** Steps that letters of bytes are made in, of a part that cuts texts. */
function byteSteps(part: unknown): readonly Json[] {
  if (!isObject(part)) return [];
  const inner = Array.isArray(part.pretokenizers) ? part.pretokenizers : [];
  return part.type === "ByteLevel" ? [part] : inner.flatMap(byteSteps);
}

/**
 * Letters of bytes with the space in front of a text that transformers' GPT2Tokenizer and Qwen2Tokenizer put there by
 * `add_prefix_space`, whatever the file says.
 */
function withPrefix(json: Json, config: Json, name: string): Json {
  const begins = config.add_prefix_space === true;
  const { pre_tokenizer: cut } = json;
  const differs = byteSteps(cut).some((step) => (step.add_prefix_space ?? true) !== begins);
  if (!differs || !isObject(cut)) return json;
  if (cut.type === "ByteLevel") return { ...json, pre_tokenizer: { ...cut, add_prefix_space: begins } };
  const allowed = `${!begins}, as in tokenizer.json, whose several steps ${name} would do without`;
  throw wrongSetting("tokenizer_config.json", "add_prefix_space", config.add_prefix_space ?? begins, allowed);
}

/** A file and the configuration beside it. */
interface Files {
  /** `tokenizer.json`. */
  readonly json: Json;
  /** `tokenizer_config.json`. */
  readonly config: Json;
}

/** Tokens that transformers' CodeLlamaTokenizer makes special ones. */
const INFILLING: Readonly<Record<string, string>> = {
  prefix_token: "▁<PRE>",
  middle_token: "▁<MID>",
  suffix_token: "▁<SUF>",
  eot_token: "▁<EOT>",
  fill_token: "<FILL_ME>",
};

/** Those of the vocabulary, as added tokens. */
function infilling(config: Json, vocabulary: Json): readonly Json[] {
  return Object.entries(INFILLING).flatMap(([name, fallback]) => {
    const given = config[name] ?? fallback;
    const content = isObject(given) ? given.content : given;
    const id = typeof content === "string" && Object.hasOwn(vocabulary, content) ? vocabulary[content] : undefined;
    if (id === undefined) return [];
    return [{ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true }];
  });
}

/** The token that begins every text of CodeLlamaTokenizer's, whatever the file and `add_bos_token` say. */
function begun(token: unknown, vocabulary: Json): Json {
  const content = isObject(token) ? token.content : token;
  const id = typeof content === "string" && Object.hasOwn(vocabulary, content) ? vocabulary[content] : undefined;
  const text = { Sequence: { id: "A", type_id: 0 } };
  if (id === undefined) return { type: "TemplateProcessing", single: [text], pair: [], special_tokens: {} };
  return {
    type: "TemplateProcessing",
    single: [{ SpecialToken: { id: content, type_id: 0 } }, text],
    pair: [],
    special_tokens: { [content as string]: { id: content, ids: [id], tokens: [content] } },
  };
}

/**
 * The class that transformers 5 takes, by its name without "Fast": that of the files, but Qwen2's own for its models, whatever the
 * files say, and none, which is `tokenizer.json` as it is, for those of Mistral.
 */
function className(config: Json, model: Json): string | undefined {
  if (model.model_type === "mistral") return undefined;
  if (model.model_type === "qwen2") return "Qwen2Tokenizer";
  const name = config.tokenizer_class ?? model.tokenizer_class;
  return typeof name === "string" ? name.replace(/Fast$/, "") : undefined;
}

const END_OF_TEXT = "<|endoftext|>";

/** Tokens that a class has where its files name none. */
const NAMED: Readonly<Record<string, Json>> = {
  LlamaTokenizer: { unk_token: "<unk>", bos_token: "<s>", eos_token: "</s>" },
  CodeLlamaTokenizer: { unk_token: "<unk>", bos_token: "<s>", eos_token: "</s>", ...INFILLING },
  GPT2Tokenizer: { unk_token: END_OF_TEXT, bos_token: END_OF_TEXT, eos_token: END_OF_TEXT },
  Qwen2Tokenizer: { unk_token: END_OF_TEXT, eos_token: END_OF_TEXT, pad_token: END_OF_TEXT },
};

/** Whether transformers makes a tokenizer by its class, and not by the file. */
function isMade(
  name: string | undefined,
  { model, normalizer, pre_tokenizer, decoder, post_processor }: Json,
): boolean {
  if (name === "GPT2Tokenizer" || name === "Qwen2Tokenizer") return true;
  if (name !== "LlamaTokenizer" && name !== "CodeLlamaTokenizer") return false;
  const isKnown = isObject(model) && isObject(model.vocab);
  return isKnown && !hasByteLevel([normalizer, pre_tokenizer, decoder, post_processor]);
}

/**
 * `tokenizer_config.json` with the tokens that count where it names none: its class's, and the one that the file pads with.
 *
 * @param json The file
 * @param config `tokenizer_config.json`
 * @param model The model's `config.json`
 */
export function withNames(json: Json, config: Json, model: Json): Json {
  const name = className(config, model);
  const own = isMade(name, json) ? NAMED[name!] : {};
  // These two have a word of their own on what pads, be it nothing.
  const pads = isObject(json.padding) && name !== "GPT2Tokenizer" && name !== "Qwen2Tokenizer";
  return {
    ...own,
    ...pads ? { pad_token: (json.padding as Json).pad_token } : {},
    ...config,
  };
}

/**
 * A `tokenizer.json` as transformers 5 loads it: where `tokenizer_class` is LlamaTokenizer, and its letters are no bytes, spaces
 * become "▁" with one in front of the text (`add_prefix_space`), or with `legacy` in front of what follows an added token, too;
 * CodeLlamaTokenizer is the same without `legacy`;
 * where it is GPT2Tokenizer or Qwen2Tokenizer, `add_prefix_space` counts instead of the file's.
 *
 * @param json The file
 * @param config `tokenizer_config.json`
 * @param model The model's `config.json`
 */
export function asItsClassLoads(json: Json, config: Json, model: Json): Files {
  const plain = className(config, model);
  const named = withNames(json, config, model);
  if (!isMade(plain, json) || !isObject(json.model) || !isObject(json.model.vocab)) return { json, config: named };
  if (plain === "GPT2Tokenizer" || plain === "Qwen2Tokenizer") {
    return { json: withPrefix(json, config, plain), config: named };
  }
  const isCode = plain === "CodeLlamaTokenizer";
  const begins = (config.add_prefix_space ?? true) === true;
  const isLegacy = !isCode && Object.hasOwn(config, "legacy") && config.legacy !== false && config.legacy !== null;
  const mark = { pattern: { String: "▁" }, content: " " };
  const made = {
    ...json,
    // Where its configuration names them, those of the file count for nothing.
    added_tokens: [
      ...isObject(config.added_tokens_decoder) || !Array.isArray(json.added_tokens) ? [] : json.added_tokens,
      ...isCode ? infilling(config, json.model.vocab) : [],
    ],
    ...isCode ? { post_processor: begun(named.bos_token, json.model.vocab) } : {},
    model: { ...json.model, fuse_unk: true, byte_fallback: true, dropout: null, ignore_merges: false },
    normalizer: null,
    pre_tokenizer: {
      type: "Metaspace",
      replacement: "▁",
      prepend_scheme: begins ? isLegacy ? "always" : "first" : "never",
      split: false,
    },
    decoder: {
      type: "Sequence",
      decoders: [
        { type: "Replace", ...mark },
        { type: "ByteFallback" },
        { type: "Fuse" },
        ...(begins || isCode ? [{ type: "Strip", content: " ", start: 1, stop: 0 }] : []),
      ],
    },
  };
  return { json: made, config: named };
}
