/**
 * Methods of Python's dicts and lists, as far as its sandbox has templates use them.
 *
 * @module
 */
import { bound } from "./arguments.ts";
import { Callable, Dict, isEqual, Iter, Tuple, type Value } from "./values.ts";

/** Methods that would change a value, which transformers' sandbox forbids. */
const DICT_CHANGES = ["clear", "pop", "popitem", "setdefault", "update"];
const LIST_CHANGES = ["append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort"];

/** Names of the methods of dicts. */
export const DICT_METHODS: readonly string[] = [...DICT_CHANGES, "copy", "fromkeys", "get", "items", "keys", "values"];

/** Names of the methods of lists. */
export const LIST_METHODS: readonly string[] = [...LIST_CHANGES, "copy", "count", "index"];

/** Attributes of numbers, none of which is known here. */
export const NUMBER_ATTRIBUTES: readonly string[] = [
  "as_integer_ratio",
  "bit_count",
  "bit_length",
  "conjugate",
  "denominator",
  "from_bytes",
  "fromhex",
  "hex",
  "imag",
  "is_integer",
  "numerator",
  "real",
  "to_bytes",
];

function forbidden(name: string): Value {
  return new Callable(name, () => {
    throw new Error(`"${name}", which would change a value: templates are not allowed to`);
  });
}

/** A method of a dict. */
export function dictMethod(dict: Dict, name: string): Value {
  if (DICT_CHANGES.includes(name)) return forbidden(name);
  return new Callable(name, (given) => {
    switch (name) {
      case "get": {
        const { key = null, default: otherwise = null } = bound(given, name, "key", "default");
        const found = dict.get(key);
        return found === undefined ? otherwise : found;
      }
      case "items":
        bound(given, name);
        return new Iter(dict.entries.map((entry) => new Tuple(entry)), "dict_items");
      case "keys":
        bound(given, name);
        return new Iter(dict.entries.map(([key]) => key), "dict_keys");
      case "values":
        bound(given, name);
        return new Iter(dict.entries.map(([, value]) => value), "dict_values");
      case "copy":
        bound(given, name);
        return new Dict(dict.entries);
    }
    throw new Error(`the method "${name}" of dicts, which is not known here`);
  });
}

/** A method of a list, or of a tuple. */
export function listMethod(list: readonly Value[], name: string): Value {
  if (LIST_CHANGES.includes(name)) return forbidden(name);
  return new Callable(name, (given) => {
    if (name === "copy") return list;
    const { value = null } = bound(given, name, "value");
    if (name === "count") return BigInt(list.filter((each) => isEqual(each, value)).length);
    const at = list.findIndex((each) => isEqual(each, value));
    if (at < 0) throw new Error("index of what is not in a list");
    return BigInt(at);
  });
}
