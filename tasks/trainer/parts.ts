/**
 * The parts that a step's batch is computed in where it does not fit in memory at once.
 *
 * @module
 */
import { sharesOf, sumOfShares } from "../../dsl/compile/shares.ts";
import type { Params, Tree } from "../../dsl/tree.ts";
import type { Position } from "../data/stream.ts";

/** Some examples of a step's batch. */
export interface BatchPart {
  /** Makes the part's tensors; the trainer disposes them. */
  readonly tensors: () => Params;
  /** Tensors that the step is given besides, the same for every part that has them; they stay the task's. */
  readonly staying?: Params;
  /**
   * What the step's loss is a mean over, in number: examples, tokens. A part is given `counted`, [], how many its step's parts
   * have on average, and divides by that, so that the step's loss is the mean of its parts'.
   */
  readonly counted: number;
}

/** What one step is computed from. */
export interface TaskBatch {
  /** Its parts, at least one; one where nothing is accumulated. */
  readonly parts: readonly BatchPart[];
  /** Where the next batch starts. */
  readonly next: Position;
}

/**
 * Examples of a part at most: ceil(batch size / parts). So a full batch comes in at most that many parts, of one size but
 * for the last, and an epoch's last batch in fewer.
 *
 * @param run Examples a step, and parts that it may be split into
 */
export function partRows(
  { batchSize, accumulate = 1 }: StepRun,
): number {
  return Math.ceil(batchSize / accumulate);
}

/** How a run splits its steps. */
export interface StepRun {
  /** Examples a step. */
  readonly batchSize: number;
  /** Parts that a step is split into (default 1). */
  readonly accumulate?: number;
}

/** Shares that sums over a step's examples are made of, so that up to as many processes come to the same numbers. */
export const SHARES = 4;

/** Whether a step in so many parts makes its sums as a whole one does. */
export function isInShares(parts: number): boolean {
  return parts <= SHARES && SHARES % parts === 0;
}

/**
 * Places in a batch where a step's parts begin and end: its shares, where they make the sums of a whole step, else as few as can be.
 *
 * @param count Examples in the batch
 * @param run Examples a step, and parts that it may be split into
 */
export function stepSpans(
  count: number,
  run: StepRun,
): readonly (readonly [begin: number, end: number])[] {
  const { accumulate: parts = 1 } = run;
  return isInShares(parts) ? sharesOf({ examples: count, shares: parts }) : partSpans(count, partRows(run));
}

/**
 * Places in a batch where its parts begin and end.
 *
 * @param count Examples in the batch
 * @param rows Examples of a part at most
 *
 * @example
 * ```ts
 * import { partSpans } from "./parts.ts";
 * import { assertEquals } from "@std/assert";
 * assertEquals(partSpans(5, 2), [[0, 2], [2, 4], [4, 5]]);
 * ```
 */
export function partSpans(count: number, rows: number): readonly (readonly [begin: number, end: number])[] {
  return Array.from(
    { length: Math.ceil(count / rows) },
    (_, part) => [part * rows, Math.min((part + 1) * rows, count)] as const,
  );
}

/**
 * Rows of numbers in row-major order.
 *
 * @param values All rows' numbers
 * @param shape [rows, ...]
 * @param span First row, and the one after the last
 * @returns Their numbers, a view, and their shape
 */
export function rowsOf<Values extends Float32Array | Int32Array>(
  values: Values,
  [, ...row]: readonly number[],
  [begin, end]: readonly [number, number],
): { readonly values: Values; readonly shape: readonly number[] } {
  const size = row.reduce((product, each) => product * each, 1);
  return { values: values.subarray(begin * size, end * size) as Values, shape: [end - begin, ...row] };
}

/**
 * What a part divides by: how much the parts of its step count on average.
 *
 * @param parts The step's
 */
export function meanCounted(parts: readonly Pick<BatchPart, "counted">[]): number {
  return parts.reduce((sum, { counted }) => sum + counted, 0) / parts.length;
}

/**
 * A step's numbers from its parts': its loss is the mean of theirs, added up as a whole step adds its shares; others are means,
 * each weighed by what it counts.
 *
 * @param parts Numbers and weight of each
 */
export function numbersOf(
  parts: readonly { readonly numbers: Tree<number>; readonly counted: number }[],
): Tree<number> {
  const total = parts.reduce((sum, { counted }) => sum + counted, 0);
  return Object.fromEntries(
    Object.keys(parts[0].numbers).map((name) => [
      name,
      name === "loss"
        ? Math.fround(sumOfShares(parts.map(({ numbers }) => numbers.loss)) / parts.length)
        : parts.reduce((sum, { numbers, counted }) => sum + numbers[name] * counted, 0) / total,
    ]),
  );
}
