/**
 * Normalisers of a `tokenizer.json`, as the tokenizers library has them.
 *
 * @module
 */
import { flagOf, inLetters, partsOf, patternOf, SPACE, textOf, typeOf, wrongPart } from "./component.ts";
import { charsmap } from "./charsmap.ts";
import type { Json } from "../../config.ts";

/** A text as another. */
export type Normaliser = (text: string) => string;

const KNOWN = {
  BertNormalizer: ["clean_text", "handle_chinese_chars", "strip_accents", "lowercase"],
  ByteLevel: [],
  Lowercase: [],
  NFC: [],
  NFD: [],
  NFKC: [],
  NFKD: [],
  Precompiled: ["precompiled_charsmap"],
  Prepend: ["prepend"],
  Replace: ["pattern", "content"],
  Sequence: ["normalizers"],
  Strip: ["strip_left", "strip_right"],
  StripAccents: [],
} as const;

/** Bytes of base64. */
function base64(text: string, place: string): Uint8Array {
  try {
    return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  } catch {
    throw wrongPart(place, `${text.length} letters`, "base64");
  }
}

/** Letter by letter: a sigma at a word's end is one as everywhere. */
function lowercase(text: string): string {
  return Array.from(text, (letter) => letter.toLowerCase()).join("");
}

/** Han characters, as BERT's code lists them. */
const HAN =
  /[\u4E00-\u9FFF\u3400-\u4DBF\u{20000}-\u{2A6DF}\u{2A700}-\u{2B73F}\u{2B740}-\u{2B81F}\u{2B920}-\u{2CEAF}\uF900-\uFAFF\u{2F800}-\u{2FA1F}]/gu;

function bert(json: Json, place: string): Normaliser {
  const clean = flagOf(json, "clean_text", place);
  const han = flagOf(json, "handle_chinese_chars", place);
  const lower = flagOf(json, "lowercase", place);
  const accents = flagOf(json, "strip_accents", place, lower);
  const control = /[\0\uFFFD]|(?![\t\n\r])[\p{Cc}\p{Cf}\p{Co}\p{Cs}]/gu;
  const space = new RegExp(SPACE, "gu");
  return (text) => {
    let result = text;
    if (clean) result = result.replace(control, "").replace(space, " ");
    if (han) result = result.replace(HAN, " $& ");
    if (accents) result = result.normalize("NFD").replace(/\p{Mn}/gu, "");
    return lower ? lowercase(result) : result;
  };
}

function strip(json: Json, place: string): Normaliser {
  const before = flagOf(json, "strip_left", place) ? new RegExp(`^${SPACE}+`, "u") : undefined;
  const behind = flagOf(json, "strip_right", place) ? new RegExp(`${SPACE}+$`, "u") : undefined;
  return (text) => {
    const begun = before === undefined ? text : text.replace(before, "");
    return behind === undefined ? begun : begun.replace(behind, "");
  };
}

/**
 * The normaliser that a file has.
 *
 * @param part Its part, null for none
 * @param place Where it is, for the words
 * @throws OneloraError for a type or a setting that is not known
 */
export function normaliserOf(part: unknown, place = "normalizer"): Normaliser | undefined {
  if (part === null || part === undefined) return undefined;
  const { type, json } = typeOf(part, place, KNOWN);
  switch (type) {
    case "BertNormalizer":
      return bert(json, place);
    case "ByteLevel":
      return inLetters;
    case "Lowercase":
      return lowercase;
    case "NFC":
    case "NFD":
    case "NFKC":
    case "NFKD":
      return (text) => text.normalize(type);
    case "Precompiled":
      return charsmap(base64(textOf(json, "precompiled_charsmap", place), place));
    case "Prepend": {
      const prepended = textOf(json, "prepend", place);
      return (text) => text === "" ? "" : prepended + text;
    }
    case "Replace": {
      const [pattern, content] = [patternOf(json, place), textOf(json, "content", place)];
      return (text) => text.replace(pattern, () => content);
    }
    case "Sequence": {
      const all = partsOf(json, "normalizers", place).map((each, i) => {
        const made = normaliserOf(each, `${place}.normalizers[${i}]`);
        if (made === undefined) throw wrongPart(`${place}.normalizers[${i}]`, each, "a normaliser");
        return made;
      });
      return (text) => all.reduce((before, each) => each(before), text);
    }
    case "Strip":
      return strip(json, place);
    case "StripAccents":
      return (text) => text.replace(/\p{M}/gu, "");
  }
}
