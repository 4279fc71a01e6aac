/**
 * Means with their deviation.
 *
 * @module
 */

/** Several results of one thing. */
export interface Mean {
  /** Their mean. */
  readonly mean: number;
  /** Their sample standard deviation, sqrt(sum (x - mean)^2 / (n - 1)); undefined for one. */
  readonly deviation?: number;
  /** How many. */
  readonly count: number;
}

/**
 * Mean and sample standard deviation of some numbers, at least one.
 *
 * @param values The numbers
 */
export function meanOf(values: readonly number[]): Mean {
  const count = values.length;
  const mean = values.reduce((sum, value) => sum + value, 0) / count;
  if (count < 2) return { mean, count };
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, deviation: Math.sqrt(squares / (count - 1)), count };
}
