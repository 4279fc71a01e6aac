/**
 * Numbers as Python writes them.
 *
 * @module
 */

/**
 * A float as Python's `repr` and `json` have it: `2.0`, `1e-05`, `1e+16`.
 *
 * @param value The number
 */
export function pythonFloat(value: number): string {
  if (Object.is(value, -0)) return "-0.0";
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "nan" : value > 0 ? "inf" : "-inf";
  const [digits, exponent] = value.toExponential().split("e");
  const power = Number(exponent);
  if (power >= -4 && power < 16) return Number.isInteger(value) ? value.toFixed(1) : `${value}`;
  return `${digits}e${power < 0 ? "-" : "+"}${`${Math.abs(power)}`.padStart(2, "0")}`;
}
