/**
 * Final answers: finding, normalising and comparing them.
 *
 * @module
 */
import { exactNumber } from "./number.ts";
import { plainAnswer } from "./tex.ts";
import { readQuantity } from "./unit.ts";

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

/** What names a value on the left of an equals sign: an unknown or words, a function's value, an angle, sums of numbers. */
const NAMING: readonly RegExp[] = [
  /^\\?[a-zA-Z][a-zA-Z ]*(?:_\{?\w+\}?)?'?(?:\([\w, ]*\))?$/,
  /^\\(?:angle|triangle) ?[A-Z]+$/,
  /^(?:[\d\s.,+*/()^$-]|\\times|\\cdot|\\div)+$/,
];

/** What an answer says that names its value: 5 of x = 5 and of 2 + 3 = 5. */
function named(text: string): string {
  const sides = text.split(/(?<![<>!:])=/).map((side) => side.trim());
  return sides.length > 1 && sides.slice(0, -1).every((side) => NAMING.some((form) => form.test(side)))
    ? sides.at(-1)!
    : text;
}

/** An answer without looks, the end of a sentence, and the name of its value. */
function stripped(answer: string): string {
  const ended = answer.trim().replace(/(?:[.,;:]|\\\\|\\|\s)+$/, "");
  const plain = plainAnswer(ended).replace(/[.,;:\s]+$/, "");
  return named(plain.replace(/^\$([^$]*)\$$/, "$1").replaceAll("\\$", "$").trim()).replace(/^\\approx ?/, "").trim();
}

/** Elements between commas that are in no brackets. */
function elements(text: string): readonly string[] {
  const found = [""];
  let depth = 0;
  for (const sign of text) {
    depth += "([{".includes(sign) ? 1 : ")]}".includes(sign) ? -1 : 0;
    if (sign === "," && depth === 0) found.push("");
    else found[found.length - 1] += sign;
  }
  return found.map((each) => each.trim());
}

/** The form of a stripped answer in which equal ones are equal texts. */
function canonical(text: string): string {
  const bare = text.replaceAll(/\^\s*\{?\\circ\}?|[%$]/g, "").trim();
  const number = exactNumber(bare);
  if (number !== undefined) return number;
  const [, open, inner, close] = /^([([]|\\\{)([^]*?)([)\]]|\\\})$/.exec(bare) ?? [];
  const parts = elements(inner ?? bare);
  if (parts.length > 1) return `${open ?? ""}${parts.map(canonical).join(",")}${close ?? ""}`;
  return bare.replaceAll(/(\d) (?=\d)/g, "$1\u0000").replaceAll(" ", "").replaceAll("\u0000", " ");
}

/**
 * A final answer in a form in which equal answers are equal texts.
 *
 * Dropped: dollar and percent signs, degrees, TeX's spacing, `\left` and `\right`, `\boxed{}` and `\text{}` around
 * something, `x =` before something, a closing full stop, spaces. `\frac{a}{b}` becomes a/b. A number loses the commas
 * between its thousands and is put in lowest terms: 1,234.50 and 2469/2 are the same. In tuples and intervals this is done
 * for every part. Units stay, and so does everything that is no number.
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
  return canonical(stripped(answer));
}

/**
 * Whether two worked answers say the same after `The answer is:`; false if either says nothing.
 *
 * They do by {@linkcode normaliseAnswer}, which follows MATH's graders (Hendrycks et al. 2021, `is_equiv`; Lewkowycz et al.
 * 2022, `normalize_final_answer`), or if both are the same number with words beside it, of which GSM8K's graders (Cobbe et
 * al. 2021; MetaMath's, Yu et al. 2023) read the number alone: `18 dollars` is 18. Unlike theirs, units that both have must
 * agree: `5 cm` is not `5 m`.
 *
 * @param truth The right one
 * @param response The other
 */
export function isSameAnswer(truth: string, response: string): boolean {
  const [a, b] = [extractAnswer(truth), extractAnswer(response)].map((answer) => answer && stripped(answer));
  if (a === undefined || b === undefined) return false;
  const [p, q] = [readQuantity(a), readQuantity(b)];
  if (p === undefined || q === undefined) return canonical(a) === canonical(b);
  return p.value === q.value && (p.unit === "" || q.unit === "" || p.unit === q.unit);
}
