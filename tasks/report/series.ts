/**
 * The lines of a chart: their points, thinned to what an eye tells apart, and their smoother course.
 *
 * @module
 */

/** x and y. */
export type Point = readonly [x: number, y: number];

/** A line of a chart. */
export interface Series {
  /** What the legend calls it. */
  readonly name: string;
  /** In order of x; those that are not finite, or beyond 1e300, are left out. */
  readonly points: readonly Point[];
  /** Least and most around the line: x, low, high. */
  readonly band?: readonly (readonly [x: number, low: number, high: number])[];
  /** Whether points are marked; a single one always is. */
  readonly marked?: boolean;
  /** A smoother course of the same, before which the line is faint. */
  readonly smooth?: readonly Point[];
}

/**
 * Whether a value can be drawn beside others: spans and sums of such values stay finite.
 *
 * @param value The value
 */
export function isDrawable(value: number): boolean {
  return Math.abs(value) < 1e300;
}

/** Points of a line that a chart shows one by one. */
const MOST_POINTS = 300;

/**
 * A line of at most 300 points: means of as many neighbours as needed, with a band from their least to their most.
 *
 * @param name The series' name
 * @param points All points, in order of x
 * @returns The series, and how many neighbours are one
 */
export function thinned(name: string, points: readonly Point[]): { readonly series: Series; readonly each: number } {
  const finite = points.filter(([, y]) => isDrawable(y));
  const each = Math.ceil(finite.length / MOST_POINTS);
  if (each <= 1) return { series: { name, points: finite }, each: 1 };
  const groups = Array.from(
    { length: Math.ceil(finite.length / each) },
    (_, i) => finite.slice(i * each, (i + 1) * each),
  );
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const parts = groups.map((group) => ({ x: mean(group.map(([x]) => x)), ys: group.map(([, y]) => y) }));
  return {
    each,
    series: {
      name,
      points: parts.map(({ x, ys }): Point => [x, mean(ys)]),
      band: parts.map(({ x, ys }) => [x, Math.min(...ys), Math.max(...ys)] as const),
    },
  };
}

/** Fewer points are seen well enough as they are. */
const LEAST_SMOOTHED = 30;

/**
 * The course of noisy values: m_t = w m_{t-1} + (1 - w) y_t, divided by 1 - w^t, which takes away what it begins with. Its
 * weight is that of a window of a tenth of the points.
 *
 * @param points All points, in order of x
 * @returns None of fewer than 30 points
 */
export function smoothed(points: readonly Point[]): readonly Point[] | undefined {
  const finite = points.filter(([, y]) => isDrawable(y));
  if (finite.length < LEAST_SMOOTHED) return undefined;
  const weight = 1 - 2 / (finite.length / 10 + 1);
  let [moment, bias] = [0, 1];
  return finite.map(([x, y]): Point => {
    moment = weight * moment + (1 - weight) * y;
    bias *= weight;
    return [x, moment / (1 - bias)];
  });
}
