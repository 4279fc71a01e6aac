/**
 * Numbers as people write them, exactly.
 *
 * @module
 */

/** A fraction, its denominator above 0. */
interface Fraction {
  readonly above: bigint;
  readonly below: bigint;
}

function greatestDivisor(a: bigint, b: bigint): bigint {
  return b === 0n ? a : greatestDivisor(b, a % b);
}

/** Thousands in groups: 1,234,567 and India's 12,34,567; with spaces, 1 234 567. */
const GROUPED = /^([+-]?)(\d{1,3}(?:,\d{3})+|\d{1,2}(?:,\d{2})*,\d{3}|\d{1,3}(?: \d{3})+)(\.\d*)?$/;

/** Digits without the commas or spaces between thousands. */
function ungrouped(text: string): string {
  return GROUPED.test(text) ? text.replaceAll(/[, ]/g, "") : text;
}

/** A decimal number, with a power of ten if it has one: 1.5e3, 1.5 \times 10^3. */
function decimal(text: string): Fraction | undefined {
  const [, sign, whole, fraction = "", plain, power] =
    /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,3})| ?\\times ?10\^\{?([+-]?\d{1,3})\}?)?$/.exec(ungrouped(text)) ?? [];
  if (sign === undefined || whole + fraction === "") return undefined;
  const value = BigInt(whole + fraction) * (sign === "-" ? -1n : 1n);
  const exponent = Number(plain ?? power ?? 0) - fraction.length;
  return exponent < 0
    ? { above: value, below: 10n ** BigInt(-exponent) }
    : { above: value * 10n ** BigInt(exponent), below: 1n };
}

function over(a: Fraction, b: Fraction): Fraction | undefined {
  if (b.above === 0n) return undefined;
  const sign = b.above < 0n ? -1n : 1n;
  return { above: a.above * b.below * sign, below: a.below * b.above * sign };
}

/** A decimal number, a fraction of two, or a whole number and a fraction: 3/4, 1 3/4. */
function fraction(text: string): Fraction | undefined {
  const [, sign, whole, rest] = /^([+-]?) ?(\d+) (\d+ ?\/ ?\d+)$/.exec(text) ?? [];
  if (rest !== undefined) {
    const part = fraction(rest);
    if (part === undefined) return undefined;
    const above = BigInt(whole) * part.below + part.above;
    return { above: sign === "-" ? -above : above, below: part.below };
  }
  const [above, below, ...more] = text.split("/").map((part) => decimal(part.trim()));
  if (above === undefined || more.length > 0) return undefined;
  if (!text.includes("/")) return above;
  return below === undefined ? undefined : over(above, below);
}

/**
 * A number in lowest terms, `5/3` or `5`; undefined for what is none. Known are decimals, thousands in groups, powers of ten,
 * fractions and mixed numbers.
 *
 * @param text The number, spaces around it left out
 *
 * @example
 * ```ts
 * import { exactNumber } from "./number.ts";
 * import { assertEquals } from "@std/assert";
 * assertEquals(["1,250.50", "1 3/4", "6/4", "+.5", "2x"].map(exactNumber), ["2501/2", "7/4", "3/2", "1/2", undefined]);
 * ```
 */
export function exactNumber(text: string): string | undefined {
  const found = fraction(text);
  if (found === undefined) return undefined;
  const { above, below } = found;
  const divisor = greatestDivisor(above < 0n ? -above : above, below);
  return below === divisor ? `${above / divisor}` : `${above / divisor}/${below / divisor}`;
}
