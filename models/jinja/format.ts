/**
 * Python's ways to put values into texts: `'%s' % x` and `'{}'.format(x)`.
 *
 * @module
 */
import { type Args, Dict, isNumber, represented, typeName, type Value, written } from "./values.ts";

/** A number with so many digits behind the point, as Python rounds it. */
export function fixed(value: number, digits: number): string {
  if (digits > 100) throw new Error(`a number with ${digits} digits behind its point`);
  const text = value.toFixed(digits);
  // What stands exactly in the middle goes to the even digit; a double's own digits are fewer than these.
  const [, rest = ""] = value.toFixed(Math.min(100, digits + 60)).split(".");
  const isMiddle = Math.abs(value) < 2 ** 52 && /^50*$/.test(rest.slice(digits));
  if (!isMiddle) return text;
  const down = Math.trunc(value * 10 ** digits);
  const even = down % 2 === 0 ? down : down + Math.sign(value);
  const found = (even / 10 ** digits).toFixed(digits);
  return value < 0 && !found.startsWith("-") ? `-${found}` : found;
}

/** Most places that a format fills. */
const MOST_PLACES = 2 ** 20;

/** Places that are filled up, at the side that is asked. */
function filled(text: string, width: number, side: string, fill = " "): string {
  if (width > MOST_PLACES) throw new Error(`a format of ${width} places, more than a chat needs`);
  const missing = width - [...text].length;
  if (missing <= 0) return text;
  if (side === "<") return text + fill.repeat(missing);
  if (side === ">") return fill.repeat(missing) + text;
  const before = Math.floor(missing / 2);
  return fill.repeat(before) + text + fill.repeat(missing - before);
}

/** A number with zeros behind its sign. */
function withZeros(text: string, width: number): string {
  const sign = /^[-+ ]/.exec(text)?.[0] ?? "";
  return sign + filled(text.slice(sign.length), width - sign.length, ">", "0");
}

function wholeOf(value: Value): bigint {
  if (typeof value === "bigint") return value;
  if (typeof value === "boolean") return BigInt(value);
  if (typeof value === "number" && Number.isFinite(value)) return BigInt(Math.trunc(value));
  throw new Error(`a whole number of a value of type ${typeName(value)}`);
}

/** A number by the letter of a format. */
function numbered(value: Value, kind: string, digits: number | undefined): string {
  switch (kind) {
    case "d":
    case "i":
      return `${wholeOf(value)}`;
    case "x":
      return wholeOf(value).toString(16);
    case "X":
      return wholeOf(value).toString(16).toUpperCase();
    case "o":
      return wholeOf(value).toString(8);
    case "b":
      return wholeOf(value).toString(2);
    case "f":
    case "F":
      if (!isNumber(value)) throw new Error(`a number of a value of type ${typeName(value)}`);
      return fixed(Number(value), digits ?? 6);
    case "e":
      if (!isNumber(value)) throw new Error(`a number of a value of type ${typeName(value)}`);
      return Number(value).toExponential(digits ?? 6).replace(/e([-+])(\d)$/, "e$10$2");
    case "%":
      return `${fixed(Number(value) * 100, digits ?? 6)}%`;
  }
  throw new Error(`the format "${kind}"`);
}

const PERCENT = /%(?:\((\w+)\))?([-+ 0#]*)(\d+|\*)?(?:\.(\d+))?[hlL]?([^])/g;

/**
 * `text % values`.
 *
 * @param text The text with `%s` and its like
 * @param values What comes in their places
 * @param named The value whose keys names in parentheses are
 */
export function formatted(text: string, values: readonly Value[], named?: Value): string {
  let next = 0;
  let isNamed = false;
  const done = text.replace(PERCENT, (_, name: string, flags: string, width: string, digits: string, kind: string) => {
    if (kind === "%") return "%";
    if (width === "*" || flags.includes("#")) throw new Error(`the format "%${flags}${width}${kind}"`);
    if (name === undefined && next >= values.length) throw new Error("too few values for a format");
    isNamed ||= name !== undefined;
    const value = name === undefined ? values[next++] : named instanceof Dict ? named.get(name) : undefined;
    if (value === undefined) throw new Error(`no "${name}" for a format`);
    const most = digits === undefined ? undefined : Number(digits);
    const isText = kind === "s" || kind === "r";
    let found = kind === "s" ? written(value) : kind === "r" ? represented(value) : numbered(value, kind, most);
    if (isText) found = [...found].slice(0, most).join("");
    else if (!found.startsWith("-")) found = (flags.includes("+") ? "+" : flags.includes(" ") ? " " : "") + found;
    if (flags.includes("-")) return filled(found, Number(width ?? 0), "<");
    return flags.includes("0") && !isText
      ? withZeros(found, Number(width ?? 0))
      : filled(found, Number(width ?? 0), ">");
  });
  if (/%$/.test(text.replaceAll("%%", ""))) throw new Error("a format that is cut short");
  if (next < values.length && !isNamed && !(named instanceof Dict)) throw new Error("too many values for a format");
  return done;
}

const SPEC = /^(?:([^])?([<>^=]))?([-+ ]?)(0?)(\d*)([,_]?)(?:\.(\d+))?([a-zA-Z%]?)$/u;

/** A value by what stands behind the colon of a field. */
function specified(value: Value, spec: string): string {
  if (spec === "") return written(value);
  const match = SPEC.exec(spec);
  if (match === null) throw new Error(`the format "${spec}"`);
  const [, fill = " ", side, sign, zero, width, comma, precision, kind] = match;
  const digits = precision === undefined ? undefined : Number(precision);
  const isNumeric = isNumber(value) && typeof value !== "boolean";
  if (!isNumeric && typeof value !== "string") {
    throw new Error(`the format "${spec}" of a value of type ${typeName(value)}`);
  }
  if (!isNumeric) {
    if (!["", "s"].includes(kind) || sign + comma + zero !== "" || side === "=") {
      throw new Error(`the format "${spec}" of a text`);
    }
    return filled([...value as string].slice(0, digits).join(""), Number(width), side ?? "<", fill);
  }
  const letter = kind === "" ? typeof value === "bigint" ? "d" : digits === undefined ? "" : "g" : kind;
  if (letter === "g" || letter === "d" && (typeof value !== "bigint" || digits !== undefined)) {
    throw new Error(`the format "${spec}"`);
  }
  let found = letter === "" ? written(value) : numbered(value, letter, digits);
  if (comma !== "") found = found.replace(/^-?\d+/, (whole) => whole.replace(/\B(?=(\d{3})+$)/g, comma));
  if (!found.startsWith("-") && sign !== "" && sign !== "-") found = sign + found;
  if (zero !== "" && side === undefined || side === "=" && fill === "0") return withZeros(found, Number(width));
  if (side === "=") throw new Error(`the format "${spec}"`);
  return filled(found, Number(width), side ?? ">", fill);
}

/** The value that a field names: by its place, or by a name. */
function fieldOf(field: string, next: () => number, { args, named }: Args): Value {
  if (/[.[]/.test(field)) throw new Error(`the field "{${field}}" with a part, which is not known here`);
  const at = field === "" ? next() : /^\d+$/.test(field) ? Number(field) : undefined;
  const found = at === undefined ? named.get(field) : args[at];
  if (found === undefined) throw new Error(`no value for "{${field}}"`);
  return found;
}

/**
 * `text.format(...)`.
 *
 * @param text The text with fields in braces
 * @param given What comes in their places
 */
export function braced(text: string, given: Args): string {
  let count = 0;
  return text.replace(
    /\{\{|\}\}|\{([^{}!:]*)(?:!([rsa]))?(?::([^{}]*))?\}|[{}]/g,
    (all, field: string | undefined, how: string | undefined, spec: string | undefined) => {
      if (all === "{{" || all === "}}") return all[0];
      if (field === undefined || how === "a") throw new Error(`the format "${text}" at "${all}"`);
      const value = fieldOf(field, () => count++, given);
      const shown = how === "r" ? represented(value) : how === "s" ? written(value) : value;
      return specified(shown, spec ?? "");
    },
  );
}
