/**
 * The parts that a step's batch is computed in where it does not fit in memory at once.
 *
 * @module
 */
import type { Params, Tree } from "../../dsl/tree.ts";
import type { Position } from "../data/stream.ts";

/** Some examples of a step's batch. */
export interface BatchPart {
  /** Makes the part's tensors; the trainer disposes them. */
  readonly tensors: () => Params;
  /** Tensors that the step is given besides, the same for every part that has them; they stay the task's. */
  readonly staying?: Params;
  /** What the part's loss is a mean over, in number: examples, tokens. The step's loss is the mean over all of them. */
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
  { batchSize, accumulate = 1 }: { readonly batchSize: number; readonly accumulate?: number },
): number {
  return Math.ceil(batchSize / accumulate);
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
 * Means of numbers by name over parts, each weighed by what it counts.
 *
 * @param parts Numbers and weight of each
 */
export function weightedMean(
  parts: readonly { readonly numbers: Tree<number>; readonly counted: number }[],
): Tree<number> {
  const total = parts.reduce((sum, { counted }) => sum + counted, 0);
  return Object.fromEntries(
    Object.keys(parts[0].numbers).map((name) => [
      name,
      parts.reduce((sum, { numbers, counted }) => sum + numbers[name] * counted, 0) / total,
    ]),
  );
}
