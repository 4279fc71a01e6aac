/**
 * SentencePiece's compiled table of normalised characters, within a `tokenizer.json` as `Precompiled`.
 *
 * @module
 */
import { bytesOf } from "./component.ts";
import { OneloraError } from "../../../dsl/error.ts";

/** Graphemes of more bytes are normalised character by character. */
const MOST_BYTES = 6;

/**
 * The normaliser of a table: a double-array trie of UTF-8 (Darts) whose values are places in a list of texts that end with a
 * zero byte.
 *
 * @param bytes The table: the trie's size in bytes, the trie, the texts
 * @throws OneloraError for one that is cut
 */
export function charsmap(bytes: Uint8Array): (text: string) => string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const size = bytes.length < 4 ? Infinity : view.getUint32(0, true);
  if (4 + size > bytes.length || size % 4 !== 0) {
    throw new OneloraError({
      attempted: 'reading "precompiled_charsmap" of tokenizer.json',
      found: `${bytes.length} bytes`,
      allowed: "a table of SentencePiece's, whole",
    });
  }
  const units = size / 4;
  const unitAt = (node: number) => node < units ? view.getUint32(4 + 4 * node, true) : 0;
  const offsetOf = (unit: number) => (unit >>> 10) << ((unit & 0x200) >>> 6);
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  const textAt = (place: number) => {
    const begin = 4 + size + place;
    const end = bytes.indexOf(0, begin);
    return decoder.decode(bytes.subarray(begin, end < 0 ? bytes.length : end));
  };
  /** The text of the shortest entry that a chunk begins with. */
  const find = (chunk: string): string | undefined => {
    let node = offsetOf(unitAt(0));
    for (const byte of bytesOf(chunk)) {
      if (byte === 0) return undefined;
      node ^= byte;
      const unit = unitAt(node);
      if ((unit & 0x800000ff) !== byte) return undefined;
      node ^= offsetOf(unit);
      if ((unit >>> 8 & 1) === 1) return textAt(unitAt(node) & 0x7fffffff);
    }
    return undefined;
  };
  const segmenter = new Intl.Segmenter("en", { granularity: "grapheme" });
  return (text) =>
    Array.from(segmenter.segment(text), ({ segment }) => {
      const whole = bytesOf(segment).length < MOST_BYTES ? find(segment) : undefined;
      return whole ?? Array.from(segment, (character) => find(character) ?? character).join("");
    }).join("");
}
