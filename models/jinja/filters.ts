/**
 * Jinja's filters for texts and numbers; those for lists are in `lists.ts`.
 *
 * @module
 */
import { bound, countArgument, flagArgument, textArgument } from "./arguments.ts";
import { fixed, formatted } from "./format.ts";
import { toJson } from "./json.ts";
import { type Filter, listFilters } from "./lists.ts";
import { attributeOf, lengthOf } from "./operators.ts";
import { capitalised, centred, linesOf, replaced } from "./text.ts";
import {
  type Args,
  characters,
  Dict,
  isNumber,
  isTrue,
  Iter,
  Safe,
  stripped,
  Tuple,
  Undefined,
  type Value,
  written,
  wrong,
} from "./values.ts";

/** Filters that Python's Jinja has and these are not. */
const OTHERS = ["filesizeformat", "pprint", "random", "urlencode", "urlize", "wordwrap", "xmlattr"];

const text = (name: string, change: (text: string) => string): Filter => (value, given) => {
  bound(given, name);
  if (value instanceof Safe) throw wrong(name, value);
  return change(written(value));
};

function escaped(value: Value): Safe {
  if (value instanceof Safe) return value;
  const letters: Readonly<Record<string, string>> = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&#34;",
    "'": "&#39;",
  };
  return new Safe(written(value).replace(/[&<>"']/g, (letter) => letters[letter]));
}

function otherwise(name: string): Filter {
  return (value, given) => {
    const { default_value = "", boolean } = bound(given, name, "default_value", "boolean");
    return value instanceof Undefined || flagArgument(boolean, false) && !isTrue(value) ? default_value : value;
  };
}

function rounded(value: Value, given: Args): Value {
  const { precision, method = "common" } = bound(given, "round", "precision", "method");
  if (!isNumber(value)) throw wrong("round", value);
  const digits = countArgument(precision, "round", 0);
  if (method === "common") {
    if (typeof value !== "number") {
      if (digits >= 0) return BigInt(value);
      throw new Error(`round of a whole number to ${digits} digits`);
    }
    if (digits >= 0 && Number.isFinite(value)) return Number(fixed(value, digits));
    throw new Error(`round to ${digits} digits`);
  }
  if (method !== "ceil" && method !== "floor") throw new Error("round by another method than common, ceil and floor");
  const by = 10 ** digits;
  return Math[method](Number(value) * by) / by;
}

const WHOLE = /^[-+]?\d+(?:_\d+)*$/;
const FLOAT = /^[-+]?(?:(?:\d+(?:_\d+)*)?\.?\d+(?:_\d+)*\.?(?:e[-+]?\d+)?|inf(?:inity)?|nan)$/i;

/** A number that Python's `float` reads, if it is one. */
function floatOf(value: Value): number | undefined {
  if (isNumber(value)) return Number(value);
  const found = typeof value === "string" ? stripped(value, "both").replaceAll("_", "") : "";
  if (typeof value !== "string" || !FLOAT.test(stripped(value, "both"))) return undefined;
  if (/nan/i.test(found)) return NaN;
  return /inf/i.test(found) ? (found.startsWith("-") ? -Infinity : Infinity) : Number(found);
}

function toWhole(value: Value, given: Args): Value {
  const { default: fallback = 0n, base = 10n } = bound(given, "int", "default", "base");
  if (base !== 10n) throw new Error("int with another base than 10");
  if (typeof value === "bigint" || typeof value === "boolean") return BigInt(value);
  if (typeof value === "string" && WHOLE.test(stripped(value, "both"))) {
    return BigInt(stripped(value, "both").replaceAll("_", "").replace(/^\+/, ""));
  }
  const number = floatOf(value);
  return number !== undefined && Number.isFinite(number) ? BigInt(Math.trunc(number)) : fallback;
}

function indented(value: Value, given: Args): Value {
  const { width = 4n, first, blank } = bound(given, "indent", "width", "first", "blank");
  const by = typeof width === "string" ? width : " ".repeat(countArgument(width, "indent", 4));
  const [head = "", ...rest] = linesOf(`${textArgument(value, "indent")}\n`);
  const lines = rest.map((line) => line === "" && !flagArgument(blank, false) ? "" : by + line);
  return (flagArgument(first, false) ? by : "") + [head, ...lines].join("\n");
}

function truncated(value: Value, given: Args): Value {
  const { length, killwords, end = "...", leeway } = bound(given, "truncate", "length", "killwords", "end", "leeway");
  const letters = characters(textArgument(value, "truncate"));
  const [most, ending] = [countArgument(length, "truncate", 255), textArgument(end, "truncate")];
  const kept = most - characters(ending).length;
  if (kept < 0) throw new Error(`truncate to ${most} characters, fewer than its end has`);
  if (letters.length <= most + countArgument(leeway, "truncate", 5)) return value;
  const head = letters.slice(0, kept).join("");
  const space = head.lastIndexOf(" ");
  return (flagArgument(killwords, false) || space < 0 ? head : head.slice(0, space)) + ending;
}

/** Words as Jinja's own `title` has them. */
function titled(value: string): string {
  return value.split(/([-\s({[<]+)/).map((word) => {
    const [first = "", ...rest] = word;
    return first.toUpperCase() + rest.join("").toLowerCase();
  }).join("");
}

const defaults = (name: string) => ({ [name]: otherwise(name) });

const FILTERS: Readonly<Record<string, Filter>> = {
  ...listFilters({ filterOf, hasFilter }),
  abs: (value) => {
    if (!isNumber(value)) throw wrong("abs", value);
    return typeof value === "number" ? Math.abs(value) : BigInt(value) < 0n ? -BigInt(value) : BigInt(value);
  },
  attr: (value, given) => {
    const name = textArgument(bound(given, "attr", "name").name, "attr");
    if (value instanceof Undefined) throw wrong("attr", value);
    const found = attributeOf(value, name);
    return found === undefined ? new Undefined(`"${name}"`) : found;
  },
  capitalize: text("capitalize", capitalised),
  center: (value, given) =>
    centred(textArgument(value, "center"), countArgument(bound(given, "center", "width").width, "center", 80)),
  count: lengthOf,
  ...defaults("default"),
  ...defaults("d"),
  e: escaped,
  escape: escaped,
  forceescape: (value) => escaped(value instanceof Safe ? value.text : value),
  float: (value, given) => {
    const { default: fallback = 0 } = bound(given, "float", "default");
    return floatOf(value) ?? fallback;
  },
  format: (value, { args, named }) => {
    if (args.length > 0 && named.size > 0) throw new Error("format with values with and without names");
    const all = new Dict([...named]);
    return formatted(textArgument(value, "format"), args, named.size > 0 ? all : undefined);
  },
  indent: indented,
  int: toWhole,
  length: lengthOf,
  lower: text("lower", (value) => value.toLowerCase()),
  replace: (value, given) => {
    const { old, new: by, count } = bound(given, "replace", "old", "new", "count");
    if (value instanceof Safe) throw wrong("replace", value);
    const [from, to] = [textArgument(old, "replace"), textArgument(by, "replace")];
    return replaced(written(value), from, to, countArgument(count, "replace", -1));
  },
  round: rounded,
  safe: (value) => value instanceof Safe ? value : new Safe(written(value)),
  string: (value) => value instanceof Safe ? value : written(value),
  striptags: (value) => {
    const bare = written(value).replace(/<!--.*?-->/gs, "").replace(/<[^>]*>/g, "");
    if (/&#?\w+;/.test(bare)) throw new Error("striptags of a text with entities");
    return stripped(bare.replace(/\s+/g, " "), "both");
  },
  title: text("title", titled),
  tojson: toJson,
  trim: (value, given) => {
    const { chars = null } = bound(given, "trim", "chars");
    if (value instanceof Safe) throw wrong("trim", value);
    return stripped(written(value), "both", chars === null ? undefined : textArgument(chars, "trim"));
  },
  truncate: truncated,
  upper: text("upper", (value) => value.toUpperCase()),
  wordcount: (value) => BigInt([...written(value).matchAll(/[\p{L}\p{N}_]+/gu)].length),
  items: (value) => {
    if (value instanceof Undefined) return new Iter([]);
    if (value instanceof Dict) return new Iter(value.entries.map((entry) => new Tuple(entry)));
    throw wrong("items", value);
  },
};

/** Whether there is a filter of a name. */
export function hasFilter(name: string): boolean {
  return Object.hasOwn(FILTERS, name);
}

/**
 * A filter by its name.
 *
 * @param name The name
 * @throws Error if there is none
 */
export function filterOf(name: string): Filter {
  if (hasFilter(name)) return FILTERS[name];
  throw new Error(`the filter "${name}"${OTHERS.includes(name) ? ", which is not known here" : ""}`);
}
