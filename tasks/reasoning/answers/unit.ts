/**
 * Numbers with what they count.
 *
 * @module
 */
import { exactNumber } from "./number.ts";

/** A number, and the words beside it; none where it stands alone. */
export interface Quantity {
  /** The number in lowest terms. */
  readonly value: string;
  /** What it counts, brought to one form: `dollar`, `cm^2`. */
  readonly unit: string;
}

/** Units by other names of theirs. */
const NAMES: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries({
    mm: "millimeter millimetre",
    cm: "centimeter centimetre",
    m: "meter metre",
    km: "kilometer kilometre",
    in: "inch inches",
    ft: "foot feet",
    yd: "yard",
    mi: "mile",
    g: "gram gm",
    kg: "kilogram",
    lb: "pound lbs",
    oz: "ounce",
    l: "liter litre",
    ml: "milliliter millilitre",
    s: "second sec",
    min: "minute mins",
    h: "hour hr hrs",
    dollar: "$ usd",
    cent: "\u00A2",
    "\u20AC": "euro eur",
    "\u00A3": "gbp",
    "%": "percent",
    "^\\circ": "degree deg",
  }).flatMap(([unit, others]) => [unit, ...others.split(" ")].map((name) => [name, unit])),
);

/** Letters that count something right behind a number, where a letter alone may be an unknown. */
const SHORT: ReadonlySet<string> = new Set(["m", "g", "l", "L", "s", "h"]);

/** Words after which a number's circumstances follow: 18 dollars for 3 days. */
const CIRCUMSTANCE = /\s(?:for|in|each|every|because|since|which|after|when|if|so|on|at)\b.*$/i;
/** Words before a number that make another statement of it. */
const OTHERWISE = /\b(?:not|no|less|more|fewer|least|most|under|over|between|up to|above|below|or|and|than)\b/i;

const NUMBER = String.raw`[+-]?(?:\d+ \d+ ?/ ?\d+|\d+(?:,\d+)*(?:\.\d+)?(?: ?/ ?\d+)?|\.\d+)`;
const MEASURED = new RegExp(
  String
    .raw`^(?<lead>[a-zA-Z][a-zA-Z' ]*? |)(?<currency>[+-]?(?:US)?[$\u20AC\u00A3\u00A5] ?|)(?<number>${NUMBER})(?<tail>[^]*)$`,
);

/** A word in the singular, by its usual name. */
function unitWord(word: string): string {
  const name = word.toLowerCase();
  const known = (each: string) => Object.hasOwn(NAMES, each) ? NAMES[each] : undefined;
  return known(name) ?? known(name.replace(/s$/, "")) ?? (name.length > 3 ? name.replace(/s$/, "") : name);
}

/** Words as a unit: without articles and circumstances, squares as powers. */
function unitOf(words: string): string {
  const plain = ` ${words.trim()}`.replace(CIRCUMSTANCE, "").trim();
  const [, squared, rest] = /^(square |sq\.? |cubic |)(.*)$/i.exec(plain)!;
  const named = rest.split(/[ .]+/).filter((word) => word !== "" && !/^(?:of|the|a|an)$/i.test(word)).map((word) => {
    const [base, power] = word.split("^");
    return power === undefined || word.startsWith("^") ? unitWord(word) : `${unitWord(base)}^${power}`;
  });
  if (squared !== "" && named.length > 0) named[0] = `${named[0]}^${/^c/i.test(squared) ? 3 : 2}`;
  return named.join(" ").replace("mi per h", "mph");
}

/** Whether what follows a number are words about it, and no more of an expression. */
function isWords(tail: string): boolean {
  const counted = ` ${tail}`.replace(CIRCUMSTANCE, "");
  if (/^\s*(?:%|\^\{?\\circ\}?)\s*$/.test(tail)) return true;
  const [, apart, first = ""] = /^(,? |-|)([a-zA-Z]*)/.exec(tail)!;
  const isWord = first.length > 1 || SHORT.has(first) || (apart.startsWith(",") && first === "a");
  return isWord && (apart !== "" || Object.hasOwn(NAMES, first.toLowerCase()) && first.length > 1) &&
    /^[a-zA-Z .,'/()-]*(?:\^\{?[23]\}?)?[a-zA-Z .,'/()-]*$/.test(counted) &&
    !/ (?:to|or|and|plus|minus) /i.test(counted);
}

/**
 * A number and what it counts: `$18 per day`, `about 5 cm`, `72, in total`. Undefined for what is not one number with words
 * beside it, such as `2x`, `18 to 20` and `at least 3`.
 *
 * @param text A plain answer
 */
export function readQuantity(text: string): Quantity | undefined {
  const whole = exactNumber(text);
  if (whole !== undefined) return { value: whole, unit: "" };
  const { lead = "", currency = "", number, tail = "" } = MEASURED.exec(text)?.groups ?? {};
  if (number === undefined || OTHERWISE.test(lead)) return undefined;
  const sign = /^(?:minus|negative) $/i.test(lead) || currency.startsWith("-") ? "-" : "";
  const value = exactNumber(`${sign}${number}`);
  if (value === undefined || (tail !== "" && !isWords(tail))) return undefined;
  const symbol = currency.replaceAll(/[+\-US ]/g, "");
  const words = tail.replace(/^,.*$/, "").replaceAll(/[{}(),]/g, "").replace(/^-/, "");
  return { value, unit: [symbol && unitWord(symbol), unitOf(words)].filter((each) => each !== "").join(" ") };
}
