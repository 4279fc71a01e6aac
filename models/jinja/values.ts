/**
 * Values of Python as templates have them. A text is a text, a whole number a bigint, another one a number, a list an array that
 * nobody changes: templates are not allowed to.
 *
 * @module
 */
import { isObject } from "../../dsl/files/json.ts";
import { SPELLED } from "../../dsl/files/python_json.ts";
import { pythonFloat } from "./python_number.ts";
import { SPACE } from "./lex.ts";

/** A value. */
export type Value =
  | null
  | boolean
  | bigint
  | number
  | string
  | readonly Value[]
  | Tuple
  | Dict
  | Undefined
  | Iter
  | Callable
  | Attributes
  | Safe;

/** What a call gives to a function. */
export interface Args {
  readonly args: readonly Value[];
  readonly named: ReadonlyMap<string, Value>;
}

/** A tuple; one of `groupby` has names for its items. */
export class Tuple {
  constructor(readonly items: readonly Value[], readonly names: readonly string[] = []) {}
}

/** What is not there. */
export class Undefined {
  constructor(readonly what: string) {}
}

/** What can be gone through once, as `map` and its like give it; `view` names those of dicts, which are written and counted. */
export class Iter {
  private gone = false;

  constructor(private readonly all: readonly Value[], readonly view?: string) {}

  /** The items that nobody has taken yet. */
  take(): readonly Value[] {
    const left = this.gone ? [] : this.all;
    this.gone = this.view === undefined;
    return left;
  }
}

/** What can be called. */
export class Callable {
  constructor(readonly name: string, readonly call: (given: Args) => Value, readonly isMacro = false) {}
}

/** A namespace, whose attributes templates may set, and the state of a loop. */
export class Attributes {
  constructor(readonly kind: "namespace" | "loop", readonly all: Map<string, Value>, readonly call?: Callable) {}
}

/** A text that is marked as safe: it can be written, and nothing else is done with it. */
export class Safe {
  constructor(readonly text: string) {}
}

/** What equal keys have in common. */
function keyOf(key: Value): string {
  if (typeof key === "string") return `s${key}`;
  if (typeof key === "boolean") return `n${Number(key)}`;
  if (typeof key === "bigint" || typeof key === "number") return `n${key}`;
  if (key === null) return "z";
  if (key instanceof Tuple) return `(${key.items.map((each) => JSON.stringify(keyOf(each))).join(",")})`;
  throw new Error(`a key of ${typeName(key)}`);
}

/** A dict, in the order in which its keys came. */
export class Dict {
  private readonly map = new Map<string, readonly [Value, Value]>();

  constructor(entries: Iterable<readonly [Value, Value]> = []) {
    for (const [key, value] of entries) this.map.set(keyOf(key), [this.map.get(keyOf(key))?.[0] ?? key, value]);
  }

  /** Keys with their values. */
  get entries(): readonly (readonly [Value, Value])[] {
    return [...this.map.values()];
  }

  /** How many there are. */
  get size(): number {
    return this.map.size;
  }

  /** The value of a key, if it is there. */
  get(key: Value): Value | undefined {
    return this.map.get(keyOf(key))?.[1];
  }

  /** Whether a key is there. */
  has(key: Value): boolean {
    return this.map.has(keyOf(key));
  }
}

/** The name of a value's type in Python. */
export function typeName(value: Value): string {
  if (value === null) return "NoneType";
  switch (typeof value) {
    case "boolean":
      return "bool";
    case "bigint":
      return "int";
    case "number":
      return "float";
    case "string":
      return "str";
  }
  if (Array.isArray(value)) return "list";
  if (value instanceof Tuple) return "tuple";
  if (value instanceof Dict) return "dict";
  if (value instanceof Undefined) return "Undefined";
  if (value instanceof Iter) return value.view ?? "generator";
  if (value instanceof Callable) return value.isMacro ? "Macro" : "function";
  return value instanceof Safe ? "Markup" : (value as Attributes).kind;
}

/** An error for a value that something cannot be done with. */
export function wrong(what: string, value: Value): Error {
  if (value instanceof Undefined) return new Error(`${what} of what is not defined: ${value.what}`);
  return new Error(`${what} of a value of type ${typeName(value)}`);
}

/** A value of JSON's as one of Python's. */
export function fromJson(value: unknown): Value {
  if (value === null || value === undefined) return null;
  if (typeof value === "number") return Number.isInteger(value) && !Object.is(value, -0) ? BigInt(value) : value;
  if (typeof value === "string" || typeof value === "boolean" || typeof value === "bigint") return value;
  if (value instanceof Date) return value.toISOString();
  if (ArrayBuffer.isView(value)) return fromJson(Array.from(value as unknown as ArrayLike<unknown>));
  if (Array.isArray(value)) return value.map(fromJson);
  if (!isObject(value)) throw new Error(`a value that is none of JSON's: ${String(value)}`);
  const spelling = value[SPELLED];
  if (typeof spelling === "string") return /[.eE]/.test(spelling) ? Number(spelling) : BigInt(spelling);
  return new Dict(Object.entries(value).map(([name, each]) => [name, fromJson(each)]));
}

/** Whether a value is a number; Python's truth values are. */
export function isNumber(value: Value): value is boolean | bigint | number {
  return typeof value === "number" || typeof value === "bigint" || typeof value === "boolean";
}

/** Whether a value counts as true. */
export function isTrue(value: Value): boolean {
  if (value === null || value instanceof Undefined) return false;
  if (value instanceof Tuple) return value.items.length > 0;
  if (value instanceof Dict) return value.size > 0;
  if (value instanceof Safe) return value.text !== "";
  if (value instanceof Iter) return value.view === undefined || value.take().length > 0;
  return Array.isArray(value) ? value.length > 0 : Boolean(value);
}

/** Characters of a text: what Python counts and cuts it by. */
export function characters(text: string): readonly string[] {
  return /[\ud800-\udfff]/.test(text) ? Array.from(text) : text.split("");
}

/** What a loop goes through. */
export function itemsOf(value: Value): readonly Value[] {
  if (typeof value === "string") return characters(value);
  if (Array.isArray(value)) return value;
  if (value instanceof Tuple) return value.items;
  if (value instanceof Dict) return value.entries.map(([key]) => key);
  if (value instanceof Iter) return value.take();
  if (value instanceof Undefined) return [];
  throw wrong("the items", value);
}

/** Whether two values are equal to Python. */
export function isEqual(a: Value, b: Value): boolean {
  if (isNumber(a) && isNumber(b)) {
    const [left, right] = [a, b].map((each) => typeof each === "boolean" ? BigInt(each) : each);
    return left <= right && left >= right;
  }
  const inOrder = (left: readonly Value[], right: readonly Value[]) =>
    left.length === right.length && left.every((each, i) => isEqual(each, right[i]));
  if (Array.isArray(a) && Array.isArray(b)) return inOrder(a, b);
  if (a instanceof Tuple && b instanceof Tuple) return inOrder(a.items, b.items);
  if (a instanceof Dict && b instanceof Dict) {
    return a.size === b.size && a.entries.every(([key, each]) => b.has(key) && isEqual(each, b.get(key)!));
  }
  if (a instanceof Undefined && b instanceof Undefined) return true;
  if (a instanceof Safe || b instanceof Safe) throw wrong("comparing", a instanceof Safe ? a : b);
  return a === b;
}

/** Order of two texts, by their characters' numbers. */
function textOrder(a: string, b: string): number {
  const [left, right] = [Array.from(a), Array.from(b)];
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    const difference = left[i].codePointAt(0)! - right[i].codePointAt(0)!;
    if (difference !== 0) return difference;
  }
  return left.length - right.length;
}

/** Below 0 where the first of two values comes before the other, NaN where neither does. */
export function order(a: Value, b: Value): number {
  if (isNumber(a) && isNumber(b)) {
    const [left, right] = [a, b].map((each) => typeof each === "boolean" ? BigInt(each) : each);
    return left < right ? -1 : left > right ? 1 : left <= right ? 0 : NaN;
  }
  if (typeof a === "string" && typeof b === "string") return textOrder(a, b);
  const [left, right] = [a, b].map((each) => each instanceof Tuple ? each.items : each);
  if (Array.isArray(left) && Array.isArray(right) && Array.isArray(a) === Array.isArray(b)) {
    const at = left.findIndex((each, i) => i >= right.length || !isEqual(each, right[i]));
    if (at < 0) return left.length - right.length;
    return at >= right.length ? 1 : order(left[at], right[at]);
  }
  if (a instanceof Undefined || b instanceof Undefined) throw wrong("comparing", a instanceof Undefined ? a : b);
  throw new Error(`the order of a value of type ${typeName(a)} and one of type ${typeName(b)}`);
}

const UNPRINTED = /[\p{C}\p{Z}]/gu;

/** A text as Python's `repr` quotes it. */
function quoted(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const known: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t", " ": " " };
  const escaped = text.replaceAll("\\", "\\\\").replaceAll(quote, `\\${quote}`);
  return quote + escaped.replace(UNPRINTED, (letter) => {
    const code = letter.codePointAt(0)!;
    const hex = (digits: number) => code.toString(16).padStart(digits, "0");
    return known[letter] ?? (code < 0x100 ? `\\x${hex(2)}` : code < 0x10000 ? `\\u${hex(4)}` : `\\U${hex(8)}`);
  }) + quote;
}

/** A value as Python's `repr` has it. */
export function represented(value: Value): string {
  if (typeof value === "string") return quoted(value);
  if (value instanceof Undefined) return "Undefined";
  if (value instanceof Safe) return `Markup(${quoted(value.text)})`;
  return written(value);
}

/** A value as it is written: Python's `str`. */
export function written(value: Value): string {
  if (typeof value === "string") return value;
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value === "bigint") return `${value}`;
  if (typeof value === "number") return pythonFloat(value);
  if (value instanceof Undefined) return "";
  if (value instanceof Safe) return value.text;
  if (Array.isArray(value)) return `[${value.map(represented).join(", ")}]`;
  if (value instanceof Tuple) {
    return `(${value.items.map(represented).join(", ")}${value.items.length === 1 ? "," : ""})`;
  }
  if (value instanceof Dict) {
    return `{${value.entries.map(([key, each]) => `${represented(key)}: ${represented(each)}`).join(", ")}}`;
  }
  if (value instanceof Iter && value.view?.startsWith("dict_")) return `${value.view}(${written(value.take())})`;
  // Python writes where in memory it is.
  throw wrong("writing", value);
}

const STRIPPED = new Map<string, RegExp>();

/** A text without some characters at its ends, white space where none are named. */
export function stripped(text: string, ends: "both" | "left" | "right", away?: string): string {
  if (away === undefined) {
    const pattern = STRIPPED.get(ends) ??
      new RegExp(
        [ends === "right" ? "" : `^[${SPACE}]+`, ends === "left" ? "" : `[${SPACE}]+$`].filter(Boolean).join("|"),
        "g",
      );
    STRIPPED.set(ends, pattern);
    return text.replace(pattern, "");
  }
  const [letters, set] = [characters(text), new Set(characters(away))];
  let [from, to] = [0, letters.length];
  while (ends !== "right" && from < to && set.has(letters[from])) from++;
  while (ends !== "left" && to > from && set.has(letters[to - 1])) to--;
  return letters.slice(from, to).join("");
}
