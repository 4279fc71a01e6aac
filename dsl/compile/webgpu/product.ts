/**
 * Batches of matrix products, as their kernels are told of them.
 *
 * @module
 */
import type { ValueId } from "../program.ts";

/** A batch of products. */
export interface Product {
  /** [batch, M, K], or [batch, K, M] where it is turned. */
  readonly a: ValueId;
  /** [batch, K, N], or [batch, N, K] where it is turned. */
  readonly b: ValueId;
  /** A number per column, if there is one. */
  readonly bias?: ValueId;
  /** [batch, M, N] */
  readonly to: ValueId;
  readonly turnsA: boolean;
  readonly turnsB: boolean;
  readonly batch: number;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  /** Whether all of the batch have one `a`, or one `b`. */
  readonly sharesA: boolean;
  readonly sharesB: boolean;
}

/** Places of a product's parameters. */
export const PARAMS = { m: 0, n: 1, k: 2, batchA: 3, batchB: 4 } as const;

/** What every form of a product takes. */
export function paramsOf({ m, n, k, sharesA, sharesB }: Product): readonly number[] {
  return [m, n, k, sharesA ? 0 : m * k, sharesB ? 0 : n * k];
}
