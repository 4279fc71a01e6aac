/**
 * Operators, parts and attributes of Python's values, as Jinja's sandbox lets templates use them.
 *
 * @module
 */
import { formatted } from "./format.ts";
import { DICT_METHODS, dictMethod, LIST_METHODS, listMethod, NUMBER_ATTRIBUTES } from "./methods.ts";
import { textMethod } from "./text.ts";
import {
  Attributes,
  Callable,
  characters,
  Dict,
  isEqual,
  isNumber,
  itemsOf,
  Iter,
  order,
  Safe,
  Tuple,
  typeName,
  Undefined,
  type Value,
  wrong,
} from "./values.ts";

/** Most characters of a text or items of a list that a template may multiply to. */
export const MOST_AT_ONCE = 2 ** 24;

const whole = (value: boolean | bigint) => typeof value === "bigint" ? value : BigInt(value);
const isWhole = (value: Value): value is boolean | bigint => typeof value === "bigint" || typeof value === "boolean";

/** Division that rounds down, as Python's. */
function divided(a: bigint, b: bigint): bigint {
  const quotient = a / b;
  return quotient * b !== a && (a < 0n) !== (b < 0n) ? quotient - 1n : quotient;
}

/** What is left of a float's division, with the divisor's sign. */
function remainder(a: number, b: number): number {
  const left = a % b;
  if (left === 0) return b < 0 ? -0 : 0;
  return (left < 0) !== (b < 0) ? left + b : left;
}

function calculated(operator: string, a: boolean | bigint | number, b: boolean | bigint | number): Value | undefined {
  if (["/", "//", "%"].includes(operator) && Number(b) === 0) throw new Error("a division by zero");
  if (operator === "/") return Number(a) / Number(b);
  if (isWhole(a) && isWhole(b)) {
    const [left, right] = [whole(a), whole(b)];
    switch (operator) {
      case "+":
        return left + right;
      case "-":
        return left - right;
      case "*":
        return left * right;
      case "//":
        return divided(left, right);
      case "%":
        return left - divided(left, right) * right;
      case "**":
        if (right < 0n) return Number(left) ** Number(right);
        if (right * BigInt(left.toString(2).length) > 2n ** 16n) throw new Error(`${left} ** ${right}`);
        return left ** right;
    }
  }
  const [left, right] = [Number(a), Number(b)];
  switch (operator) {
    case "+":
      return left + right;
    case "-":
      return left - right;
    case "*":
      return left * right;
    case "//":
      return (left - remainder(left, right)) / right;
    case "%":
      return remainder(left, right);
    case "**":
      return left ** right;
  }
}

/** A list or text several times. */
function repeated(value: Value, count: boolean | bigint): Value | undefined {
  const times = Math.max(0, Number(whole(count)));
  const items = value instanceof Tuple ? value.items : value;
  if (typeof items !== "string" && !Array.isArray(items)) return undefined;
  if (items.length * times > MOST_AT_ONCE) throw new Error(`${items.length * times} items at once`);
  if (typeof items === "string") return items.repeat(times);
  const all = Array.from({ length: times }, () => items).flat();
  return value instanceof Tuple ? new Tuple(all) : all;
}

/** The result of an operator between two values. */
export function operated(operator: string, a: Value, b: Value): Value {
  let found: Value | undefined;
  if (isNumber(a) && isNumber(b)) found = calculated(operator, a, b);
  else if (operator === "+") {
    if (typeof a === "string" && typeof b === "string") found = a + b;
    if (Array.isArray(a) && Array.isArray(b)) found = [...a, ...b];
    if (a instanceof Tuple && b instanceof Tuple) found = new Tuple([...a.items, ...b.items]);
  } else if (operator === "*") {
    found = isWhole(b) ? repeated(a, b) : isWhole(a) ? repeated(b, a) : undefined;
  } else if (operator === "%" && typeof a === "string") found = formatted(a, b instanceof Tuple ? b.items : [b], b);
  if (found !== undefined) return found;
  if (a instanceof Undefined || b instanceof Undefined) throw wrong(`"${operator}"`, a instanceof Undefined ? a : b);
  throw new Error(`"${operator}" between a value of type ${typeName(a)} and one of type ${typeName(b)}`);
}

/** Whether a value is in another. */
export function isIn(part: Value, all: Value): boolean {
  if (typeof all === "string") {
    if (typeof part === "string") return all.includes(part);
    throw wrong("looking in a text for something", part);
  }
  return all instanceof Dict ? all.has(part) : itemsOf(all).some((each) => isEqual(each, part));
}

/** The result of a comparison. */
export function compared(operator: string, a: Value, b: Value): boolean {
  switch (operator) {
    case "==":
      return isEqual(a, b);
    case "!=":
      return !isEqual(a, b);
    case "in":
      return isIn(a, b);
    case "not in":
      return !isIn(a, b);
    case "<":
      return order(a, b) < 0;
    case "<=":
      return order(a, b) <= 0;
    case ">":
      return order(a, b) > 0;
    default:
      return order(a, b) >= 0;
  }
}

/** How many a value has. */
export function lengthOf(value: Value): bigint {
  if (typeof value === "string") return BigInt(characters(value).length);
  if (value instanceof Dict) return BigInt(value.size);
  if (value instanceof Safe || value instanceof Iter && value.view === undefined) throw wrong("the length", value);
  if (value === null || isNumber(value) || value instanceof Callable) throw wrong("the length", value);
  if (value instanceof Attributes) throw wrong("the length", value);
  return BigInt(itemsOf(value).length);
}

/** Items that have places, and what makes a value like the one that they are of. */
function placed(value: Value): readonly [readonly Value[], (items: readonly Value[]) => Value] | undefined {
  if (typeof value === "string") return [characters(value), (items) => items.join("")];
  if (Array.isArray(value)) return [value, (items) => items];
  if (value instanceof Tuple) return [value.items, (items) => new Tuple(items)];
  return value instanceof Iter && value.view === "range"
    ? [value.take(), (items) => new Iter(items, "range")]
    : undefined;
}

/** A part of a value, by place, by key or by name: what is not there is undefined. */
export function itemOf(object: Value, key: Value): Value {
  if (object instanceof Undefined) throw wrong(`"${typeof key === "string" ? key : "a part"}"`, object);
  if (object instanceof Dict && !(key instanceof Undefined)) {
    const found = object.get(key);
    if (found !== undefined) return found;
  }
  const places = isWhole(key) ? placed(object)?.[0] : undefined;
  if (places !== undefined) {
    const at = Number(whole(key as bigint));
    const found = places.at(at);
    // None is an item, too.
    return found === undefined ? new Undefined(`item ${at}`) : found;
  }
  const found = typeof key === "string" ? attributeOf(object, key) : undefined;
  return found === undefined ? new Undefined(typeof key === "string" ? `"${key}"` : "a part") : found;
}

/** An attribute of a value, if Python's has it. */
export function attributeOf(object: Value, name: string): Value | undefined {
  // The sandbox keeps these to itself.
  if (name.startsWith("_")) throw new Error(`the attribute "${name}"`);
  if (object instanceof Attributes) return object.all.get(name);
  if (object instanceof Dict && DICT_METHODS.includes(name)) return dictMethod(object, name);
  if (typeof object === "string") return textMethod(object, name);
  if (Array.isArray(object) && LIST_METHODS.includes(name)) return listMethod(object, name);
  if (object instanceof Tuple) {
    const at = object.names.indexOf(name);
    if (at >= 0) return object.items[at];
    if (["count", "index"].includes(name)) return listMethod(object.items, name);
  }
  if (isNumber(object) && NUMBER_ATTRIBUTES.includes(name)) throw wrong(`"${name}"`, object);
  if (object instanceof Safe || object instanceof Callable || object instanceof Iter) throw wrong(`"${name}"`, object);
}

/** `object.name`: an attribute, else the item of that key. */
export function memberOf(object: Value, name: string): Value {
  if (object instanceof Undefined) throw wrong(`"${name}"`, object);
  const found = attributeOf(object, name);
  if (found !== undefined) return found;
  const item = object instanceof Dict ? object.get(name) : undefined;
  return item === undefined ? new Undefined(`"${name}"`) : item;
}

/** A slice of a value. */
export function sliceOf(object: Value, ends: readonly (Value | undefined)[]): Value {
  const found = placed(object);
  if (found === undefined) {
    if (object instanceof Undefined) throw wrong("a slice", object);
    return new Undefined("a slice");
  }
  const [items, like] = found;
  const [from, to, by = null] = ends.map((end) => {
    if (end === undefined || end === null) return undefined;
    if (!isWhole(end)) throw wrong("a slice by an end", end);
    return Number(whole(end));
  });
  const step = by ?? 1;
  if (step === 0) throw new Error("a slice of step 0");
  const { length } = items;
  const [least, most] = step > 0 ? [0, length] : [-1, length - 1];
  const placeOf = (end: number | undefined, otherwise: number) =>
    end === undefined ? otherwise : Math.min(Math.max(end < 0 ? end + length : end, least), most);
  const [begin, end] = step > 0 ? [placeOf(from, 0), placeOf(to, length)] : [placeOf(from, most), placeOf(to, -1)];
  const kept: Value[] = [];
  for (let at = begin; step > 0 ? at < end : at > end; at += step) kept.push(items[at]);
  return like(kept);
}

/** `-value` and `+value`. */
export function signed(value: Value, negative: boolean): Value {
  if (!isNumber(value)) throw wrong(negative ? "the negative" : "the number", value);
  if (isWhole(value)) return negative ? -whole(value) : whole(value);
  return negative ? -value : value;
}
