/**
 * Decoders of a `tokenizer.json`, as the tokenizers library has them: tokens as text.
 *
 * @module
 */
import type { Json } from "../../config.ts";
import { byteLetters, bytesOf, countOf, flagOf, partsOf, patternOf, textOf, typeOf, wrongPart } from "./component.ts";

/** Tokens as texts, whose sum is the decoded text. */
export type Decoder = (tokens: readonly string[]) => readonly string[];

const KNOWN = {
  BPEDecoder: ["suffix"],
  ByteFallback: [],
  ByteLevel: ["add_prefix_space", "trim_offsets", "use_regex"],
  Fuse: [],
  Metaspace: ["replacement", "prepend_scheme", "split", "add_prefix_space", "str_rep"],
  Replace: ["pattern", "content"],
  Sequence: ["decoders"],
  Strip: ["content", "start", "stop"],
  WordPiece: ["prefix", "cleanup"],
} as const;

/** Puts spaces right that an English text's tokens have too many of, as transformers does it. */
export function cleanedUp(text: string): string {
  return text.replaceAll(" .", ".").replaceAll(" ?", "?").replaceAll(" !", "!").replaceAll(" ,", ",")
    .replaceAll(" ' ", "'").replaceAll(" n't", "n't").replaceAll(" 'm", "'m").replaceAll(" 's", "'s")
    .replaceAll(" 've", "'ve").replaceAll(" 're", "'re");
}

const byteOf = new Map(byteLetters.map((letter, byte) => [letter, byte]));

function byteLevel(tokens: readonly string[]): readonly string[] {
  const bytes = tokens.flatMap((token) => {
    const letters = Array.from(token, (letter) => byteOf.get(letter));
    return letters.every((byte) => byte !== undefined) ? letters : [...bytesOf(token)];
  });
  return [new TextDecoder("utf-8", { ignoreBOM: true }).decode(Uint8Array.from(bytes))];
}

/** Bytes of one stretch: their text, or as many marks of what is none as there are bytes. */
function textOfBytes(bytes: readonly number[]): readonly string[] {
  try {
    return [new TextDecoder("utf-8", { ignoreBOM: true, fatal: true }).decode(Uint8Array.from(bytes))];
  } catch {
    return bytes.map(() => "\uFFFD");
  }
}

function byteFallback(tokens: readonly string[]): readonly string[] {
  const found: string[] = [];
  let bytes: number[] = [];
  const flush = () => {
    if (bytes.length > 0) found.push(...textOfBytes(bytes));
    bytes = [];
  };
  for (const token of tokens) {
    const hex = /^<0x([0-9A-Fa-f]{2})>$/.exec(token)?.[1];
    if (hex !== undefined) bytes.push(Number.parseInt(hex, 16));
    else {
      flush();
      found.push(token);
    }
  }
  flush();
  return found;
}

function metaspace(json: Json, place: string): Decoder {
  const mark = textOf(json, "replacement", place);
  const added = flagOf(json, "add_prefix_space", place, true);
  const begins = (json.prepend_scheme ?? (added ? "always" : "never")) !== "never";
  return (tokens) => tokens.map((token, i) => token.replaceAll(mark, i === 0 && begins ? "" : " "));
}

function strip(json: Json, place: string): Decoder {
  const content = textOf(json, "content", place);
  const [start, stop] = [countOf(json, "start", place), countOf(json, "stop", place)];
  return (tokens) =>
    tokens.map((token) => {
      const letters = [...token];
      let [begin, end] = [0, letters.length];
      while (begin < Math.min(start, letters.length) && letters[begin] === content) begin++;
      while (letters.length - end < stop && end > begin && letters[end - 1] === content) end--;
      return letters.slice(begin, end).join("");
    });
}

function wordPiece(json: Json, place: string): Decoder {
  const prefix = textOf(json, "prefix", place);
  const cleans = flagOf(json, "cleanup", place);
  const clean = (text: string) =>
    cleans
      ? text.replaceAll(" .", ".").replaceAll(" ?", "?").replaceAll(" !", "!").replaceAll(" ,", ",")
        .replaceAll(" ' ", "'").replaceAll(" n't", "n't").replaceAll(" 'm", "'m").replaceAll(" do not", " don't")
        .replaceAll(" 's", "'s").replaceAll(" 've", "'ve").replaceAll(" 're", "'re")
      : text;
  return (tokens) =>
    tokens.map((token, i) => {
      if (i === 0) return clean(token);
      return clean(token.startsWith(prefix) ? token.slice(prefix.length) : ` ${token}`);
    });
}

/**
 * The decoder that a file has; without one, tokens are put together with spaces.
 *
 * @param part Its part, null for none
 * @param place Where it is, for the words
 * @throws OneloraError for a type or a setting that is not known
 */
export function decoderOf(part: unknown, place = "decoder"): Decoder {
  if (part === null || part === undefined) return (tokens) => [tokens.join(" ")];
  const { type, json } = typeOf(part, place, KNOWN);
  switch (type) {
    case "BPEDecoder": {
      const suffix = textOf(json, "suffix", place);
      if (suffix === "") throw wrongPart(`${place}.suffix`, suffix, "a text");
      return (tokens) => tokens.map((token, i) => token.replaceAll(suffix, i === tokens.length - 1 ? "" : " "));
    }
    case "ByteFallback":
      return byteFallback;
    case "ByteLevel":
      return byteLevel;
    case "Fuse":
      return (tokens) => [tokens.join("")];
    case "Metaspace":
      return metaspace(json, place);
    case "Replace": {
      const [pattern, content] = [patternOf(json, place), textOf(json, "content", place)];
      return (tokens) => tokens.map((token) => token.replace(pattern, () => content));
    }
    case "Sequence": {
      const all = partsOf(json, "decoders", place).map((each, i) => decoderOf(each, `${place}.decoders[${i}]`));
      return (tokens) => all.reduce((before, each) => each(before), tokens);
    }
    case "Strip":
      return strip(json, place);
    case "WordPiece":
      return wordPiece(json, place);
  }
}
