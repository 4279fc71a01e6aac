/**
 * What a tokenizer does, whatever file it comes from.
 *
 * @module
 */

/** Which special tokens take part. */
export interface SpecialTokens {
  /** Whether those that frame a text (`<s>`) are added on encoding, or kept in the text on decoding. */
  readonly special?: boolean;
}

/** A checkpoint's tokenizer. */
export interface TextTokenizer {
  /** Token ids of a text; by default with the special tokens that frame it. */
  readonly encode: (text: string, options?: SpecialTokens) => readonly number[];
  /** The text of token ids; by default without special tokens. Bytes that are no character become U+FFFD. */
  readonly decode: (ids: readonly number[], options?: SpecialTokens) => string;
  /** Id that begins a text, if any does. */
  readonly begin?: number;
  /** Id that ends a text, if any does. */
  readonly end?: number;
  /** Ids after which a model's own text ends, where its files name several (default: `end`). */
  readonly ends?: readonly number[];
}
