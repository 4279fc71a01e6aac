/**
 * Medians with their spread.
 *
 * @module
 */

/** Several measurements of one thing. */
export interface Spread {
  /** The middle one, or the mean of the middle two. */
  readonly median: number;
  /** The smallest. */
  readonly least: number;
  /** The largest. */
  readonly most: number;
  /** How many. */
  readonly count: number;
}

/**
 * The middle of some numbers, at least one.
 *
 * @param values The numbers
 */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  return (sorted[Math.ceil(middle) - 1] + sorted[Math.floor(middle)]) / 2;
}

/**
 * Median and spread of some numbers, at least one.
 *
 * @param values The numbers
 */
export function spread(values: readonly number[]): Spread {
  return {
    median: median(values),
    least: Math.min(...values),
    most: Math.max(...values),
    count: values.length,
  };
}
