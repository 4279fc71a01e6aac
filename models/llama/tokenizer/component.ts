/**
 * Parts of a `tokenizer.json`: each has a type, and settings that are known here or refused by name.
 *
 * @module
 */
import { SplitPreTokenizer } from "@huggingface/tokenizers";
import { OneloraError } from "../../../dsl/error.ts";
import { isObject, show } from "../../../dsl/files/json.ts";
import type { Json } from "../../config.ts";
import { withoutAtoms } from "./atomic.ts";

/** White space, as Rust and Oniguruma have it: U+0085 is some, U+FEFF is none. */
export const SPACE = "\\p{White_Space}";

/** Where parts are written. */
const FILE = "tokenizer.json";

/** The error for a part that cannot be used. */
export function wrongPart(place: string, found: unknown, allowed: string): OneloraError {
  const words = typeof found === "string" ? found : show(found);
  return new OneloraError({ attempted: `reading "${place}" of ${FILE}`, found: words, allowed });
}

/**
 * The type of a part, whose every setting must be known.
 *
 * @param part The part
 * @param place Where it is, for the words
 * @param known Settings by type
 */
export function typeOf<Type extends string>(
  part: unknown,
  place: string,
  known: Readonly<Record<Type, readonly string[]>>,
): { readonly type: Type; readonly json: Json } {
  const type = isObject(part) ? part.type : undefined;
  if (!isObject(part) || typeof type !== "string" || !Object.hasOwn(known, type)) {
    throw wrongPart(place, type ?? part, Object.keys(known).join(", "));
  }
  const fields = known[type as Type];
  const strange = Object.keys(part).find((name) => name !== "type" && !fields.includes(name));
  if (strange !== undefined) {
    throw wrongPart(`${place}.${strange}`, part[strange], `a ${type} with ${fields.join(", ") || "no settings"}`);
  }
  return { type: type as Type, json: part };
}

/** A list of parts. */
export function partsOf(json: Json, name: string, place: string): readonly unknown[] {
  const parts = json[name];
  if (Array.isArray(parts)) return parts;
  throw wrongPart(`${place}.${name}`, parts, "a list");
}

/** A text of a part. */
export function textOf(json: Json, name: string, place: string): string {
  const value = json[name];
  if (typeof value === "string") return value;
  throw wrongPart(`${place}.${name}`, value, "a text");
}

/** A yes or no of a part; `otherwise` where nothing is said. */
export function flagOf(json: Json, name: string, place: string, otherwise?: boolean): boolean {
  const value = json[name] ?? otherwise;
  if (typeof value === "boolean") return value;
  throw wrongPart(`${place}.${name}`, value, "true or false");
}

/** A count of a part; `otherwise` where nothing is said. */
export function countOf(json: Json, name: string, place: string, otherwise?: number): number {
  const value = json[name] ?? otherwise;
  if (Number.isInteger(value) && (value as number) >= 0) return value as number;
  throw wrongPart(`${place}.${name}`, value, "a whole number from 0");
}

/** Takes the meaning out of characters that have one in a regular expression. */
export function quoted(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
}

/** A pattern of a file, Oniguruma's or a plain text, as one of JavaScript's with the flags `gu`. */
export function patternOf(json: Json, place: string): RegExp {
  const pattern = isObject(json.pattern) ? json.pattern : {};
  const { Regex: regex, String: text } = pattern;
  if (typeof text === "string" && text !== "") return new RegExp(quoted(text), "gu");
  if (typeof regex !== "string") {
    throw wrongPart(`${place}.pattern`, json.pattern, '{"String": TEXT} or {"Regex": PATTERN}');
  }
  try {
    const { pattern: translated } = new SplitPreTokenizer(
      {
        type: "Split",
        pattern: { Regex: withoutAtoms(regex) },
        behavior: "Isolated",
        invert: false,
      } as ConstructorParameters<typeof SplitPreTokenizer>[0],
    );
    if (translated !== null) return translated;
  } catch (cause) {
    throw wrongPart(`${place}.pattern`, `${regex}: ${(cause as Error).message}`, "a pattern that JavaScript has too");
  }
  throw wrongPart(`${place}.pattern`, regex, "a pattern that JavaScript has too");
}

const encoder = new TextEncoder();

/** Bytes of a text. */
export function bytesOf(text: string): Uint8Array {
  return encoder.encode(text);
}

/** GPT-2's letters for bytes: printable ones for themselves, the others from U+0100 on. */
export const byteLetters: readonly string[] = (() => {
  let next = 0x100;
  const isPrintable = (byte: number) => byte >= 0x21 && byte <= 0x7e || byte >= 0xa1 && byte !== 0xad;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(isPrintable(byte) ? byte : next++));
})();

/** A text's bytes as letters. */
export function inLetters(text: string): string {
  return Array.from(bytesOf(text), (byte) => byteLetters[byte]).join("");
}
