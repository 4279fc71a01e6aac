/**
 * What transformers' LlamaTokenizer makes of a `tokenizer.json`: it takes the vocabulary and the frame, and does the rest its
 * own way.
 *
 * @module
 */
import { isObject } from "../../../dsl/files/json.ts";
import type { Json } from "../../config.ts";

/** Whether a part is, or holds, one of bytes as letters. */
function hasByteLevel(part: unknown): boolean {
  if (Array.isArray(part)) return part.some(hasByteLevel);
  return isObject(part) && (part.type === "ByteLevel" || Object.values(part).some(hasByteLevel));
}

/** A file and the configuration beside it. */
interface Files {
  /** `tokenizer.json`. */
  readonly json: Json;
  /** `tokenizer_config.json`. */
  readonly config: Json;
}

/**
 * A `tokenizer.json` as transformers 5 loads it: where `tokenizer_class` is LlamaTokenizer, and its letters are no bytes, spaces
 * become "▁" with one in front of the text (`add_prefix_space`), or with `legacy` in front of what follows an added token, too.
 *
 * @param json The file
 * @param config `tokenizer_config.json`
 * @param model The model's `config.json`
 */
export function asItsClassLoads(json: Json, config: Json, model: Json): Files {
  const name = config.tokenizer_class ?? model.tokenizer_class;
  const { normalizer, pre_tokenizer, decoder, post_processor } = json;
  const isLlama = typeof name === "string" && name.replace(/Fast$/, "") === "LlamaTokenizer";
  if (!isLlama || !isObject(json.model) || !isObject(json.model.vocab)) return { json, config };
  if (hasByteLevel([normalizer, pre_tokenizer, decoder, post_processor])) return { json, config };
  const begins = (config.add_prefix_space ?? true) === true;
  const isLegacy = Object.hasOwn(config, "legacy") && config.legacy !== false && config.legacy !== null;
  const mark = { pattern: { String: "▁" }, content: " " };
  const made = {
    ...json,
    // Where its configuration names them, those of the file count for nothing.
    added_tokens: isObject(config.added_tokens_decoder) ? [] : json.added_tokens,
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
        ...(begins ? [{ type: "Strip", content: " ", start: 1, stop: 0 }] : []),
      ],
    },
  };
  return { json: made, config: { unk_token: "<unk>", bos_token: "<s>", eos_token: "</s>", ...config } };
}
