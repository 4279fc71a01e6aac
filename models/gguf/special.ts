/**
 * Special tokens of a GGUF file, as llama.cpp finds them.
 *
 * @module
 */
import type { GgufHeader } from "./header.ts";

/** Ids of SentencePiece's vocabularies where a file gives none. */
const OF_PIECES: Readonly<Record<string, number>> = { bos: 1, eos: 2, unknown: 0 };

/** Tokens that end a turn, or a message in it, by their texts: many files name but the end of a text. */
const ENDS: readonly string[] = [
  "<|eot_id|>",
  "<|eom_id|>",
  "<|im_end|>",
  "<|end|>",
  "<end_of_turn>",
  "<|endoftext|>",
  "<|end_of_text|>",
  "<EOT>",
  "_<EOT>",
];

/**
 * The id of a special token, if there is one.
 *
 * @param header What the file says
 * @param name E.g. `bos`
 */
export function specialId({ metadata }: GgufHeader, name: string): number | undefined {
  const value = metadata.get(`tokenizer.ggml.${name}_token_id`);
  if (value !== undefined) return Number(value);
  return metadata.get("tokenizer.ggml.model") === "llama" ? OF_PIECES[name] : undefined;
}

/**
 * Ids after which an answer ends: a text's end, a turn's, and a message's in it.
 *
 * @param header What the file says
 */
export function endIds(header: GgufHeader): readonly number[] {
  const tokens = header.metadata.get("tokenizer.ggml.tokens");
  const named = ["eos", "eot", "eom"].map((name) => specialId(header, name));
  const known = ENDS.map((text) => Array.isArray(tokens) ? tokens.indexOf(text) : -1).filter((id) => id >= 0);
  return [...new Set([...named, ...known].filter((id) => id !== undefined))];
}
