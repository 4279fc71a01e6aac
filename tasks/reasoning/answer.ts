/**
 * Final answers: finding, normalising and comparing them.
 *
 * @module
 */

const MARKER = "The answer is:";

/**
 * What a worked answer says after its last `The answer is:`, to the end of the line; undefined where it says nothing.
 *
 * @param response The worked answer
 */
export function extractAnswer(response: string): string | undefined {
  const at = response.lastIndexOf(MARKER);
  if (at < 0) return undefined;
  const [line] = response.slice(at + MARKER.length).trimStart().split("\n", 1);
  return line.trim() === "" ? undefined : line.trim();
}

/** TeX that changes how an answer looks but not what it says. */
const LOOKS: readonly (readonly [RegExp, string])[] = [
  [/\\[!,;: ]/g, ""],
  [/\\(?:left|right|displaystyle)(?![a-zA-Z])/g, ""],
  [/\\[()[\]]/g, ""],
  [/\^\s*\{?\\circ\}?/g, ""],
  [/\\?%/g, ""],
  [/\\?\$/g, ""],
  [/\\[dt]frac/g, "\\frac"],
  [/\s+/g, " "],
];

/** Commands whose braces hold what is meant. */
const WRAPPER = /\\(?:boxed|fbox|text|textbf|mathrm|mbox)\s*\{([^{}]*)\}/g;
const FRACTION = /(-?)\\frac\s*(?:\{([^{}]*)\}\s*\{([^{}]*)\}|(\d)\s*(\d))/g;

function greatestDivisor(a: bigint, b: bigint): bigint {
  return b === 0n ? a : greatestDivisor(b, a % b);
}

/** Numerator and denominator of a decimal number. */
function decimal(text: string): readonly [bigint, bigint] | undefined {
  const parts = /^([+-]?)(\d*)(?:\.(\d*))?$/.exec(text);
  if (parts === null) return undefined;
  const [, sign, whole, fraction = ""] = parts;
  if (whole + fraction === "") return undefined;
  const value = BigInt(whole + fraction);
  return [sign === "-" ? -value : value, 10n ** BigInt(fraction.length)];
}

/** A number in lowest terms, or undefined for what is none. */
function rational(text: string): string | undefined {
  const [above, below = "1", ...more] = text.split("/").map((part) => part.trim());
  const [a, b] = [decimal(above), decimal(below)];
  if (a === undefined || b === undefined || b[0] === 0n || more.length > 0) return undefined;
  const numerator = a[0] * b[1] * (b[0] < 0n ? -1n : 1n);
  const denominator = a[1] * (b[0] < 0n ? -b[0] : b[0]);
  const divisor = greatestDivisor(numerator < 0n ? -numerator : numerator, denominator);
  return denominator === divisor ? `${numerator / divisor}` : `${numerator / divisor}/${denominator / divisor}`;
}

/**
 * A final answer in a form in which equal answers are equal texts.
 *
 * Dropped: dollar and percent signs, degrees, TeX's spacing, `\left` and `\right`, `\boxed{}` and `\text{}` around
 * something, a closing full stop, spaces. `\frac{a}{b}` becomes a/b. A number loses the commas between its thousands
 * and is put in lowest terms: 1,234.50 and 2469/2 are the same. Units stay, and so does everything that is no number.
 *
 * @param answer The answer
 *
 * @example
 * ```ts
 * import { normaliseAnswer } from "@onelora/onelora/tasks";
 * import { assertEquals } from "@std/assert";
 * assertEquals(normaliseAnswer("$1,250.00."), "1250");
 * assertEquals(normaliseAnswer("\\boxed{\\frac{2}{4}}"), "1/2");
 * assertEquals(normaliseAnswer("0.5"), "1/2");
 * assertEquals(normaliseAnswer("x + 1"), "x+1");
 * ```
 */
export function normaliseAnswer(answer: string): string {
  let text = LOOKS.reduce((rest, [pattern, plain]) => rest.replace(pattern, plain), answer);
  // From the inside out; each round takes away a command, so this ends.
  for (let before = ""; before !== text;) {
    before = text;
    text = text.replace(WRAPPER, "$1").replace(
      FRACTION,
      (_, sign, a, b, c, d) => `${sign}${group(a ?? c)}/${group(b ?? d)}`,
    );
  }
  text = text.trim().replace(/\.+$/, "").trim();
  const bare = /^[+-]?\d{1,3}(,\d{3})+(\.\d*)?$/.test(text) ? text.replaceAll(",", "") : text;
  return rational(bare) ?? text.replaceAll(" ", "");
}

/** A part of a fraction, in parentheses unless it is a number or a single letter. */
function group(part: string): string {
  const text = part.trim();
  return decimal(text) !== undefined || text.length === 1 ? text : `(${text})`;
}

/**
 * Whether two worked answers say the same after `The answer is:` (by {@linkcode normaliseAnswer}); false if either says
 * nothing.
 *
 * @param truth The right one
 * @param response The other
 */
export function isSameAnswer(truth: string, response: string): boolean {
  const [a, b] = [extractAnswer(truth), extractAnswer(response)];
  return a !== undefined && b !== undefined && normaliseAnswer(a) === normaliseAnswer(b);
}
