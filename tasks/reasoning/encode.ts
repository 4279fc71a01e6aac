/**
 * Questions as token ids and labels.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import type { TextTokenizer } from "../../models/llama/text_tokenizer.ts";
import type { ReasoningExample } from "./example.ts";
import { alpacaPrompt } from "./template.ts";

/** The label of tokens that do not count, transformers' and PyTorch's. */
export const IGNORED_LABEL: number = -100;

/** A question and its answer as token ids. */
export interface EncodedExample {
  /** Ids of prompt, response and end, cut to the greatest length. */
  readonly ids: Int32Array;
  /** Where the response begins: tokens from here on count. */
  readonly start: number;
  /** Where others count: an id where a token does, {@linkcode IGNORED_LABEL} elsewhere, as long as `ids`. */
  readonly labels?: Int32Array;
  /** Where several texts lie one after the other: the number of each token's, from 1 on; none sees another. */
  readonly segments?: Int32Array;
}

/** How many tokens of an example count. */
function countedOf({ ids, start, labels }: EncodedExample): number {
  if (labels === undefined) return ids.length - start;
  return labels.reduce((sum, label) => label === IGNORED_LABEL ? sum : sum + 1, 0);
}

/** The id that ends a text: the tokenizer's, else the first that the model's configuration names. */
export function endOf({ end, ends = [] }: TextTokenizer): number {
  const [found] = end === undefined ? ends : [end];
  if (found !== undefined) return found;
  throw new OneloraError({
    attempted: "encoding questions",
    found: "a tokenizer without an end token",
    allowed: 'one whose tokenizer_config.json has an "eos_token"',
  });
}

/** How many special tokens a tokenizer puts behind a text. */
function closing({ encode }: TextTokenizer): number {
  const [framed, plain] = [encode("a"), encode("a", { special: false })];
  const begin = framed.findIndex((_, at) => plain.every((id, i) => framed[at + i] === id));
  return begin < 0 ? 0 : framed.length - begin - plain.length;
}

/**
 * Token ids of a text to continue: with the tokens that begin a text, without those that end one, which some tokenizers add to
 * every text (`add_eos_token`).
 *
 * @param tokenizer The tokenizer
 * @param text The text
 */
export function encodeOpen(tokenizer: TextTokenizer, text: string): readonly number[] {
  const ids = tokenizer.encode(text);
  return ids.slice(0, ids.length - closing(tokenizer));
}

/**
 * Token ids of prompt + response + end. The text is encoded in one piece, so that nothing comes between prompt and
 * response; the prompt takes as many tokens as it has alone, as in Alpaca's training code. One token ends it, whether the
 * tokenizer or the response itself says it already or not.
 *
 * @param tokenizer The model's tokenizer
 * @param example The question
 * @param maxLength Ids beyond so many are cut off (default 512, as MoRA's)
 * @returns The ids, or undefined if nothing of the response is left
 * @throws OneloraError if the tokenizer has no end token
 */
export function encodeExample(
  tokenizer: TextTokenizer,
  example: ReasoningExample,
  maxLength = 512,
): EncodedExample | undefined {
  const prompt = alpacaPrompt(example.query);
  const start = encodeOpen(tokenizer, prompt).length;
  if (start >= maxLength) return undefined;
  const ids = encodeOpen(tokenizer, prompt + example.response);
  const end = endOf(tokenizer);
  // A response may spell its end itself.
  const ended = ids.at(-1) === end ? ids : [...ids, end];
  return { ids: Int32Array.from(ended.slice(0, maxLength)), start };
}

/** Encoded questions. */
export interface EncodedExamples {
  /** Those of which something of the response is left, in order. */
  readonly encoded: readonly EncodedExample[];
  /** How many have a prompt that fills the greatest length alone. */
  readonly tooLong: number;
}

/**
 * Encodes questions; those whose prompt leaves no room for a response are left out and counted.
 *
 * @param tokenizer The model's tokenizer
 * @param examples The questions
 * @param maxLength See {@linkcode encodeExample}
 * @throws OneloraError if none is left, or if the tokenizer has no end token
 */
export function encodeExamples(
  tokenizer: TextTokenizer,
  examples: readonly ReasoningExample[],
  maxLength = 512,
): EncodedExamples {
  const encoded = examples.flatMap((example) => encodeExample(tokenizer, example, maxLength) ?? []);
  if (encoded.length > 0) return { encoded, tooLong: examples.length - encoded.length };
  throw new OneloraError({
    attempted: "encoding questions",
    found: examples.length === 0 ? "none" : `${examples.length} prompts of ${maxLength} tokens or more`,
    allowed: `at least one question whose prompt has fewer than ${maxLength} tokens`,
  });
}

/** Ids and labels of several examples, padded on the right. */
export interface TokenBatch {
  /** [rows, length] ids; 0 at padding, which no counted position sees. */
  readonly ids: Int32Array;
  /** [rows, length] ids of the response and its end, {@linkcode IGNORED_LABEL} elsewhere. */
  readonly labels: Int32Array;
  /** [rows, length] the number of each token's text where a row has several, 0 at padding. */
  readonly segments?: Int32Array;
  /** [rows, length]. */
  readonly shape: readonly [rows: number, length: number];
  /** How many labels count. */
  readonly counted: number;
  /** The factor of this batch's loss in the step's: 1, or a share, see {@linkcode microBatches}. */
  readonly weight: number;
}

/**
 * Examples side by side, padded on the right.
 *
 * @param examples At least one
 * @param multiple The length is a multiple of this (default 8), so that few different shapes occur
 * @param rows Least rows (default 0); those without an example do not count
 */
export function padExamples(examples: readonly EncodedExample[], multiple = 8, rows = 0): TokenBatch {
  const longest = examples.reduce((most, { ids }) => Math.max(most, ids.length), 0);
  const length = Math.ceil(Math.max(longest, 1) / multiple) * multiple;
  const height = Math.max(examples.length, rows);
  const ids = new Int32Array(height * length);
  const labels = new Int32Array(height * length).fill(IGNORED_LABEL);
  const segments = examples.some((example) => example.segments) ? new Int32Array(height * length) : undefined;
  examples.forEach((example, row) => {
    ids.set(example.ids, row * length);
    if (example.labels !== undefined) labels.set(example.labels, row * length);
    else labels.set(example.ids.subarray(example.start), row * length + example.start);
    segments?.set(example.segments ?? new Int32Array(example.ids.length).fill(1), row * length);
  });
  const counted = examples.reduce((sum, example) => sum + countedOf(example), 0);
  return { ids, labels, ...(segments && { segments }), shape: [height, length], counted, weight: 1 };
}

/**
 * Some rows of a batch, padded as they are there.
 *
 * @param batch The batch
 * @param span First row, and the one after the last
 */
export function rowsOfBatch(batch: TokenBatch, [begin, end]: readonly [number, number]): TokenBatch {
  const [, length] = batch.shape;
  const some = (whole: Int32Array) => whole.subarray(begin * length, end * length);
  const labels = some(batch.labels);
  // A row's first label is never predicted.
  const counted = labels.reduce((sum, label, i) => sum + (label !== IGNORED_LABEL && i % length > 0 ? 1 : 0), 0);
  return {
    ids: some(batch.ids),
    labels,
    ...(batch.segments && { segments: some(batch.segments) }),
    shape: [end - begin, length],
    counted,
    weight: batch.weight * counted / batch.counted,
  };
}

/**
 * A batch in pieces for gradient accumulation, each padded no further than it needs. With the weights w = counted in
 * the piece / counted in the batch, sum w loss(piece) = loss(batch), and so for gradients: every token counts the same,
 * in whatever piece it is.
 *
 * @param batch The whole batch
 * @param rows Most rows of a piece
 * @param multiple See {@linkcode padExamples}
 * @throws OneloraError (exit code 2) unless rows is a positive whole number
 *
 * @example
 * ```ts
 * import { padExamples } from "@onelora/onelora/tasks";
 * import { microBatches } from "./encode.ts";
 * import { assertEquals } from "@std/assert";
 * const encoded = [[5, 6, 7, 8], [5, 6], [5, 7]].map((ids) => ({ ids: Int32Array.from(ids), start: 1 }));
 * const pieces = microBatches(padExamples(encoded, 1), 2, 1);
 * assertEquals(pieces.map(({ shape, weight }) => [...shape, weight]), [[2, 4, 4 / 5], [1, 2, 1 / 5]]);
 * ```
 */
export function microBatches(batch: TokenBatch, rows: number, multiple = 8): readonly TokenBatch[] {
  if (!Number.isSafeInteger(rows) || rows < 1) {
    const problem = { attempted: "accumulating gradients", found: `${rows} rows`, allowed: "a positive whole number" };
    throw new OneloraError(problem, { exitCode: 2 });
  }
  const [height, width] = batch.shape;
  if (height <= rows) return [batch];
  const examples = Array.from({ length: height }, (_, row): EncodedExample => {
    const labels = batch.labels.subarray(row * width, (row + 1) * width);
    const end = labels.findLastIndex((label) => label !== IGNORED_LABEL) + 1;
    const cut = (whole: Int32Array) => whole.subarray(row * width, row * width + end);
    // Whatever counts: several pieces of a text may.
    return {
      ids: cut(batch.ids),
      start: 0,
      labels: cut(batch.labels),
      ...(batch.segments && { segments: cut(batch.segments) }),
    };
  });
  return Array.from({ length: Math.ceil(height / rows) }, (_, piece) => {
    const padded = padExamples(examples.slice(piece * rows, (piece + 1) * rows), multiple);
    return { ...padded, weight: batch.weight * padded.counted / batch.counted };
  });
}
