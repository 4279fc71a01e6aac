/**
 * Batches of tokens for the trainer.
 *
 * @module
 */
import type { Position } from "../data/loader.ts";
import { isInShares, partRows, stepSpans, type TaskBatch } from "../trainer/parts.ts";
import type { Run } from "../trainer/run_settings.ts";
import { reasoningBatches } from "./batches.ts";
import { type EncodedExample, microBatches, rowsOfBatch, type TokenBatch } from "./encode.ts";
import { tokenTensors } from "./objective.ts";

/** Why training examples of texts are not kept on the device, as `staysOnDevice` takes it. */
export const TOKENS_ONLY = "texts: a step's tokens are some kilobytes, and sending them takes no time";

/**
 * Lengths are multiples of this: at most 16 different ones, since a step is compiled for each.
 *
 * @param parts All examples
 */
export function lengthMultiple(...parts: readonly (readonly EncodedExample[])[]): number {
  const longest = parts.flat().reduce((most, { ids }) => Math.max(most, ids.length), 0);
  return Math.max(8, Math.ceil(longest / 16));
}

/**
 * Tokens of the longest row of a batch.
 *
 * @param train All examples
 * @param multiple Lengths are multiples of this
 */
export function longestRow(train: readonly EncodedExample[], multiple: number): number {
  const longest = train.reduce((most, { ids }) => Math.max(most, ids.length), 0);
  return Math.ceil(longest / multiple) * multiple;
}

/** A batch in parts: as long as the whole where those are the shares of its sums, else no longer than they need to be. */
function piecesOf(
  batch: TokenBatch,
  run: Pick<Run, "batchSize" | "accumulate">,
  multiple: number,
): readonly TokenBatch[] {
  // Rows that fill an epoch's last batch up make no part of their own, but shares stay as many as they are.
  if (!isInShares(run.accumulate ?? 1)) {
    return microBatches(batch, partRows(run), multiple).filter(({ counted }) => counted > 0);
  }
  return stepSpans(batch.shape[0], run).map((span) => rowsOfBatch(batch, span));
}

/**
 * Batches for the trainer. Parts of a batch are weighed by their counted tokens, so that the mean of the parts' gradients is the
 * gradient of the whole batch's mean over tokens.
 *
 * @param examples What to learn from
 * @param run Examples a step, parts, seed and order
 * @param multiple Lengths are multiples of this
 */
export function tokenBatches(
  examples: readonly EncodedExample[],
  run: Pick<Run, "batchSize" | "accumulate" | "seed" | "shuffle">,
  multiple: number,
): (start: Position) => AsyncGenerator<TaskBatch, void, void> {
  const { batchSize, seed, shuffle } = run;
  return async function* (start) {
    const whole = { examples, batchSize, seed, shuffle, start, epochs: Infinity, multiple };
    for (const batch of reasoningBatches({ ...whole, fill: true })) {
      const parts = piecesOf(batch, run, multiple);
      yield {
        parts: parts.map((part) => ({ tensors: () => tokenTensors({ ...part, weight: 1 }), counted: part.counted })),
        next: batch.next,
      };
    }
  };
}
