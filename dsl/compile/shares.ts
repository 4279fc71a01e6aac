/**
 * Sums over a batch's examples in an order that does not depend on who computes which of them.
 *
 * A sum of floats depends on the order of its terms. So that several processes, each with some examples of a batch, come to the
 * very numbers of one with all of them, the one makes its sums as they do: over shares, halves of a batch's halves, each by
 * itself, then pair by pair.
 *
 * @module
 */
import type { ValueId } from "./program.ts";

/** A batch's examples, and the shares that sums over them are made of. */
export interface Shares {
  /** Examples in the batch. */
  readonly examples: number;
  /** Shares, a power of two; 1 for a batch that is a share, 0 to leave all as it is. */
  readonly shares: number;
}

/** What a program knows of the batch that it computes with. */
export interface SharedBatch extends Shares {
  /** The values that hold as much of each example, one example after the other. */
  readonly values: readonly ValueId[];
  /** Examples that a step has as a rule, in all its parts. */
  readonly usual: number;
}

export type Span = readonly [begin: number, end: number];

/** The examples of a share, or the two halves that it consists of. */
export type Halves = Span | readonly [left: Halves, right: Halves];

export function isSpan(halves: Halves): halves is Span {
  return typeof halves[0] === "number";
}

/** Examples halved again and again, the larger half first; halves without an example are left out. */
export function halvesOf([begin, end]: Span, shares: number): Halves {
  if (shares === 1 || end - begin === 1) return [begin, end];
  const middle = begin + Math.ceil((end - begin) / 2);
  return [halvesOf([begin, middle], shares / 2), halvesOf([middle, end], shares / 2)];
}

export function spansIn(halves: Halves): readonly Span[] {
  return isSpan(halves) ? [halves] : halves.flatMap(spansIn);
}

/**
 * The examples of each share that has any: a batch is halved, and its halves again.
 *
 * @param shares Examples and shares
 * @returns First example, and the one after the last, of each
 *
 * @example
 * ```ts
 * import { sharesOf } from "./shares.ts";
 * import { assertEquals } from "@std/assert";
 * assertEquals(sharesOf({ examples: 10, shares: 4 }), [[0, 3], [3, 5], [5, 8], [8, 10]]);
 * ```
 */
export function sharesOf({ examples, shares }: Shares): readonly Span[] {
  return examples === 0 ? [] : spansIn(halvesOf([0, examples], shares));
}

/**
 * A sum of float32 pair by pair, as {@linkcode sharesOf} halves what it is over.
 *
 * @param numbers Those of the shares, in order
 */
export function sumOfShares(numbers: readonly number[]): number {
  if (numbers.length <= 1) return numbers[0] ?? 0;
  const middle = Math.ceil(numbers.length / 2);
  return Math.fround(sumOfShares(numbers.slice(0, middle)) + sumOfShares(numbers.slice(middle)));
}
