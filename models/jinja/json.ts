/**
 * `tojson` as transformers has it: Python's `json.dumps`.
 *
 * @module
 */
import { pythonFloat } from "./python_number.ts";
import { bound, flagArgument, textArgument } from "./arguments.ts";
import { type Args, Dict, isNumber, itemsOf, order, Tuple, type Value, wrong } from "./values.ts";

/** How JSON is written. */
interface Style {
  readonly ascii: boolean;
  readonly indent: string | undefined;
  readonly item: string;
  readonly key: string;
  readonly sorted: boolean;
}

const SHORT: Readonly<Record<string, string>> = {
  '"': '\\"',
  "\\": "\\\\",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  "\f": "\\f",
  "\b": "\\b",
};

// In JSON of ASCII everything else is written by its number, too.
const CONTROL = '["\\\\\\x00-\\x1f';
const ESCAPED = new RegExp(`${CONTROL}]`, "g");
const ESCAPED_ASCII = new RegExp(`${CONTROL}\\x7f-\\uffff]`, "g");

function quoted(text: string, ascii: boolean): string {
  const escaped = (letter: string) => SHORT[letter] ?? `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`;
  return `"${text.replace(ascii ? ESCAPED_ASCII : ESCAPED, escaped)}"`;
}

function numbered(value: boolean | bigint | number): string {
  if (typeof value === "boolean") return value ? "true" : "false";
  if (typeof value === "bigint") return `${value}`;
  return Number.isFinite(value)
    ? pythonFloat(value)
    : Number.isNaN(value)
    ? "NaN"
    : value > 0
    ? "Infinity"
    : "-Infinity";
}

function keyOf(key: Value): string {
  if (typeof key === "string") return key;
  if (key === null) return "null";
  if (isNumber(key)) return numbered(key);
  throw wrong("JSON with a key", key);
}

function dumped(value: Value, style: Style, depth: number): string {
  if (value === null) return "null";
  if (typeof value === "string") return quoted(value, style.ascii);
  if (isNumber(value)) return numbered(value);
  const line = style.indent === undefined ? "" : `\n${style.indent.repeat(depth + 1)}`;
  const last = style.indent === undefined ? "" : `\n${style.indent.repeat(depth)}`;
  const listed = (open: string, parts: readonly string[], close: string) =>
    parts.length === 0 ? open + close : open + line + parts.join(style.item + line) + last + close;
  if (Array.isArray(value) || value instanceof Tuple) {
    return listed("[", itemsOf(value).map((each) => dumped(each, style, depth + 1)), "]");
  }
  if (!(value instanceof Dict)) throw wrong("JSON", value);
  const entries = style.sorted ? value.entries.toSorted(([a], [b]) => order(a, b)) : value.entries;
  return listed(
    "{",
    entries.map(([key, each]) => `${quoted(keyOf(key), style.ascii)}${style.key}${dumped(each, style, depth + 1)}`),
    "}",
  );
}

function indentOf(value: Value): string | undefined {
  if (value === null) return undefined;
  if (typeof value === "string") return value;
  if (typeof value === "bigint" || typeof value === "boolean") return " ".repeat(Math.max(0, Number(value)));
  throw wrong("tojson with an indent", value);
}

/**
 * The JSON of a value.
 *
 * @param value The value
 * @param given `ensure_ascii`, `indent`, `separators` and `sort_keys`
 */
export function toJson(value: Value, given: Args): string {
  const { ensure_ascii: ascii, indent = null, separators = null, sort_keys: sorted } = bound(
    given,
    "tojson",
    "ensure_ascii",
    "indent",
    "separators",
    "sort_keys",
  );
  const by = indentOf(indent);
  const [item, key] = separators === null
    ? [by === undefined ? ", " : ",", ": "]
    : itemsOf(separators).map((each) => textArgument(each, "tojson with a separator"));
  return dumped(value, {
    ascii: flagArgument(ascii, false),
    indent: by,
    item,
    key,
    sorted: flagArgument(sorted, false),
  }, 0);
}
