/**
 * Methods of Python's texts.
 *
 * @module
 */
import { bound, countArgument, flagArgument, textArgument } from "./arguments.ts";
import { braced } from "./format.ts";
import { SPACE } from "./lex.ts";
import { type Args, Callable, characters, itemsOf, stripped, Tuple, type Value } from "./values.ts";

const SPACES = new RegExp(`[${SPACE}]+`);
const SEPARATORS = "\\x1c-\\x1e\\x85\\u2028\\u2029";
const LINES = new RegExp(`\\r\\n|[\\n\\r\\v\\f${SEPARATORS}]`, "g");

/** First letters as capitals, the others small. */
export function capitalised(text: string): string {
  const [first = "", ...rest] = text;
  return first.toUpperCase() + rest.join("").toLowerCase();
}

/** Lines of a text, without their ends. */
export function linesOf(text: string, ends = false): readonly string[] {
  const found: string[] = [];
  let at = 0;
  for (const match of text.matchAll(LINES)) {
    found.push(text.slice(at, match.index + (ends ? match[0].length : 0)));
    at = match.index + match[0].length;
  }
  return at < text.length ? [...found, text.slice(at)] : found;
}

/** A text in the middle of so many places. */
export function centred(text: string, width: number, fill = " "): string {
  const missing = Math.max(0, width - characters(text).length);
  // As Python: of an odd rest, the larger half is before the text where the width is odd.
  const before = Math.floor(missing / 2) + (missing & width & 1);
  return fill.repeat(before) + text + fill.repeat(missing - before);
}

/** `text.replace(old, new, count)`. */
export function replaced(text: string, old: string, by: string, count: number): string {
  if (count < 0) {
    return old === "" ? by + characters(text).map((each) => each + by).join("") : text.replaceAll(old, () => by);
  }
  const parts = old === "" ? ["", ...characters(text), ""] : text.split(old);
  const head = parts.slice(0, count + 1);
  return head.join(by) + parts.slice(count + 1).map((part) => old + part).join("");
}

/** Pieces between separators, at most so many cuts, from the left or from the right. */
function split(text: string, separator: string | undefined, most: number, fromRight: boolean): readonly string[] {
  if (separator === "") throw new Error("split with an empty separator");
  if (separator !== undefined) {
    const parts = text.split(separator);
    const cuts = parts.length - 1;
    if (most < 0 || cuts <= most) return parts;
    return fromRight
      ? [parts.slice(0, cuts - most + 1).join(separator), ...parts.slice(cuts - most + 1)]
      : [...parts.slice(0, most), parts.slice(most).join(separator)];
  }
  const words: string[] = [];
  let rest = stripped(text, fromRight ? "right" : "left");
  while (rest !== "" && (most < 0 || words.length < most)) {
    const at = fromRight ? rest.length - [...rest].reverse().join("").search(SPACES) : rest.search(SPACES);
    const none = fromRight ? at > rest.length : at < 0;
    if (none) break;
    words.push(fromRight ? rest.slice(at) : rest.slice(0, at));
    rest = stripped(fromRight ? rest.slice(0, at) : rest.slice(at), fromRight ? "right" : "left");
  }
  if (rest !== "") words.push(rest);
  return fromRight ? words.reverse() : words;
}

/** Where a text begins in another, counted in characters: the first or the last place, -1 where it does not. */
function placeOf(text: string, given: Args, name: string, last: boolean): number {
  const { sub, start, end } = bound(given, name, "sub", "start", "end");
  const letters = characters(text);
  const [from, to] = ends(letters.length, start, end, name);
  if (from > letters.length) return -1;
  const part = letters.slice(from, to).join("");
  const wanted = textArgument(sub, name);
  const at = last ? part.lastIndexOf(wanted) : part.indexOf(wanted);
  return at < 0 || from > to ? -1 : from + characters(part.slice(0, at)).length;
}

/** Places between which something is looked for. */
function ends(
  length: number,
  start: Value | undefined,
  end: Value | undefined,
  name: string,
): readonly [number, number] {
  const placed = (at: number) => at < 0 ? Math.max(0, at + length) : at;
  return [placed(countArgument(start, name, 0)), Math.min(length, placed(countArgument(end, name, length)))];
}

/** Whether a text begins or ends with another, or one of several. */
function touches(text: string, given: Args, name: "startswith" | "endswith"): boolean {
  const { prefix, start, end } = bound(given, name, "prefix", "start", "end");
  const letters = characters(text);
  const [from, to] = ends(letters.length, start, end, name);
  if (from > letters.length) return false;
  const part = letters.slice(from, to).join("");
  const all = prefix instanceof Tuple ? prefix.items : [prefix];
  return all.some((each) =>
    name === "startswith" ? part.startsWith(textArgument(each, name)) : part.endsWith(textArgument(each, name))
  );
}

/** Whether every character is of a kind, of which there is one at least. */
const each = (pattern: string) => {
  const all = new RegExp(`^${pattern}+$`, "u");
  return (text: string): boolean => all.test(text);
};
const hasCase = (text: string) => text.toLowerCase() !== text.toUpperCase();

/** Words as Python's `title` has them: a capital behind what is no letter. */
function titled(text: string): string {
  return text.replace(/\p{L}[\p{L}\p{Mn}]*/gu, (word) => capitalised(word));
}

/** Around the first or the last place where a separator is. */
function parted(text: string, given: Args, name: string): Tuple {
  const separator = textArgument(bound(given, name, "sep").sep, name);
  if (separator === "") throw new Error(`${name} with an empty separator`);
  const at = name === "partition" ? text.indexOf(separator) : text.lastIndexOf(separator);
  if (at < 0) return new Tuple(name === "partition" ? [text, "", ""] : ["", "", text]);
  return new Tuple([text.slice(0, at), separator, text.slice(at + separator.length)]);
}

type Method = (text: string, given: Args, name: string) => Value;

const plain = (change: (text: string) => Value): Method => (text, given, name) => {
  bound(given, name);
  return change(text);
};
const stripping = (side: "both" | "left" | "right"): Method => (text, given, name) => {
  const away = bound(given, name, "chars").chars ?? undefined;
  return stripped(text, side, away === undefined ? undefined : textArgument(away, name));
};
const splitting = (fromRight: boolean): Method => (text, given, name) => {
  const { sep, maxsplit } = bound(given, name, "sep", "maxsplit");
  const separator = (sep ?? undefined) === undefined ? undefined : textArgument(sep, name);
  return split(text, separator, countArgument(maxsplit, name, -1), fromRight);
};
const placing = (side: "left" | "right" | "middle"): Method => (text, given, name) => {
  const { width, fill = " " } = bound(given, name, "width", "fill");
  const [wanted, letter] = [countArgument(width, name, 0), textArgument(fill, name)];
  if (side === "middle") return centred(text, wanted, letter);
  const more = letter.repeat(Math.max(0, wanted - characters(text).length));
  return side === "left" ? text + more : more + text;
};
const finding = (last: boolean, must: boolean): Method => (text, given, name) => {
  const at = placeOf(text, given, name, last);
  if (must && at < 0) throw new Error(`${name} of what is not in a text`);
  return BigInt(at);
};

const METHODS: Readonly<Record<string, Method>> = {
  capitalize: plain(capitalised),
  casefold: plain((text) => text.toLowerCase().replaceAll("ß", "ss").replaceAll("ς", "σ")),
  center: placing("middle"),
  count: (text, given, name) => {
    const wanted = textArgument(bound(given, name, "sub").sub, name);
    return BigInt(wanted === "" ? characters(text).length + 1 : text.split(wanted).length - 1);
  },
  endswith: (text, given) => touches(text, given, "endswith"),
  find: finding(false, false),
  format: (text, given) => braced(text, given),
  index: finding(false, true),
  isalnum: plain(each("[\\p{L}\\p{N}]")),
  isalpha: plain(each("\\p{L}")),
  isascii: plain((text) => Array.from(text).every((letter) => letter < "\x80")),
  isdecimal: plain(each("\\p{Nd}")),
  isdigit: plain(each("[\\p{Nd}²³¹⁰⁴-⁹₀-₉]")),
  islower: plain((text) => hasCase(text) && text === text.toLowerCase()),
  isnumeric: plain(each("\\p{N}")),
  isspace: plain(each(`[${SPACE}]`)),
  isupper: plain((text) => hasCase(text) && text === text.toUpperCase()),
  join: (text, given, name) => {
    const { iterable = null } = bound(given, name, "iterable");
    return itemsOf(iterable).map((part) => textArgument(part, name)).join(text);
  },
  ljust: placing("left"),
  lower: plain((text) => text.toLowerCase()),
  lstrip: stripping("left"),
  partition: parted,
  removeprefix: (text, given, name) => {
    const prefix = textArgument(bound(given, name, "prefix").prefix, name);
    return text.startsWith(prefix) ? text.slice(prefix.length) : text;
  },
  removesuffix: (text, given, name) => {
    const suffix = textArgument(bound(given, name, "suffix").suffix, name);
    return suffix !== "" && text.endsWith(suffix) ? text.slice(0, -suffix.length) : text;
  },
  replace: (text, given, name) => {
    const { old, new: by, count } = bound(given, name, "old", "new", "count");
    return replaced(text, textArgument(old, name), textArgument(by, name), countArgument(count, name, -1));
  },
  rfind: finding(true, false),
  rindex: finding(true, true),
  rjust: placing("right"),
  rpartition: parted,
  rsplit: splitting(true),
  rstrip: stripping("right"),
  split: splitting(false),
  splitlines: (text, given, name) => linesOf(text, flagArgument(bound(given, name, "keepends").keepends, false)),
  startswith: (text, given) => touches(text, given, "startswith"),
  strip: stripping("both"),
  swapcase: plain((text) =>
    Array.from(text, (each) => each === each.toLowerCase() ? each.toUpperCase() : each.toLowerCase()).join("")
  ),
  title: plain(titled),
  upper: plain((text) => text.toUpperCase()),
  zfill: (text, given, name) => {
    const missing = countArgument(bound(given, name, "width").width, name, 0) - characters(text).length;
    const sign = /^[-+]/.exec(text)?.[0] ?? "";
    return sign + "0".repeat(Math.max(0, missing)) + text.slice(sign.length);
  },
};

/** Methods that Python's texts have and these do not. */
const OTHERS = [
  "encode",
  "expandtabs",
  "format_map",
  "isidentifier",
  "isprintable",
  "istitle",
  "maketrans",
  "translate",
];

/** A method of a text, if Python's has one of that name. */
export function textMethod(text: string, name: string): Value | undefined {
  if (OTHERS.includes(name)) throw new Error(`the method "${name}" of texts, which is not known here`);
  if (!Object.hasOwn(METHODS, name)) return undefined;
  return new Callable(name, (given) => METHODS[name](text, given, name));
}
