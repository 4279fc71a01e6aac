/**
 * Rounding as Python does it.
 *
 * @module
 */

/**
 * The nearest whole number; halves go to the even neighbour.
 *
 * @param x Number to round
 */
export function roundHalfEven(x: number): number {
  const floor = Math.floor(x);
  return x - floor === 0.5 ? floor + (floor % 2) : Math.round(x);
}
