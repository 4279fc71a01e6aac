/**
 * Jinja's filters for lists.
 *
 * @module
 */
import { bound, countArgument, flagArgument, textArgument } from "./arguments.ts";
import { itemOf, operated } from "./operators.ts";
import { passes } from "./tests.ts";
import {
  type Args,
  Dict,
  isEqual,
  isTrue,
  itemsOf,
  Iter,
  order,
  Safe,
  Tuple,
  Undefined,
  type Value,
  written,
  wrong,
} from "./values.ts";

/** A filter: what it makes of a value. */
export type Filter = (value: Value, given: Args) => Value;

/** The filters and tests that `map`, `select` and their like name. */
export interface Known {
  /** The filter of a name. */
  readonly filterOf: (name: string) => Filter;
  /** Whether there is a filter of a name. */
  readonly hasFilter: (name: string) => boolean;
}

/** A text as small letters, anything else as it is: how Jinja compares where capitals do not count. */
const small = (value: Value): Value => typeof value === "string" ? value.toLowerCase() : value;

/** A part of each item, by names with points between; `otherwise` where it is not there. */
function getter(attribute: Value, otherwise?: Value): (value: Value) => Value {
  const parts = typeof attribute === "string" ? attribute.split(".") : [attribute];
  return (value) =>
    parts.reduce<Value>((found, part) => {
      const key = typeof part === "string" && /^\d+$/.test(part) ? BigInt(part) : part;
      const next = itemOf(found, key);
      return next instanceof Undefined && otherwise !== undefined ? otherwise : next;
    }, value);
}

/** One or several parts of each item, to compare by. */
function keyed(attribute: Value | undefined, sensitive: boolean, otherwise?: Value): (value: Value) => Value {
  const asCompared = sensitive ? (value: Value) => value : small;
  if ((attribute ?? null) === null) return asCompared;
  const parts = typeof attribute === "string" ? attribute.split(",") : [attribute!];
  const getters = parts.map((part) => getter(part, otherwise));
  if (getters.length === 1) return (value) => asCompared(getters[0](value));
  return (value) => getters.map((get) => asCompared(get(value)));
}

function sorted(items: readonly Value[], key: (value: Value) => Value, reverse: boolean): readonly Value[] {
  const keys = items.map((value) => ({ value, key: key(value) }));
  // What is equal stays in its order, also the other way round.
  return keys.sort((a, b) => (reverse ? -1 : 1) * order(a.key, b.key)).map(({ value }) => value);
}

/** The items that pass a test, or those that do not. */
function chosen({ hasFilter }: Known, name: string, ofPart: boolean, keeps: boolean): Filter {
  return (value, given) => {
    const { args, named } = given;
    const [attribute, ...rest] = ofPart ? args : [null, ...args];
    if (attribute === undefined) throw new Error(`${name} without an attribute`);
    const get = ofPart ? getter(attribute) : (each: Value) => each;
    const [test, ...others] = rest;
    const holds = (each: Value) =>
      test === undefined
        ? isTrue(get(each))
        : passes(textArgument(test, name), get(each), { args: others, named }, hasFilter);
    return new Iter(itemsOf(value).filter((each) => holds(each) === keeps));
  };
}

function mapped({ filterOf }: Known, value: Value, { args, named }: Args): Value {
  if (args.length === 0 && named.has("attribute")) {
    const { attribute, default: otherwise } = bound({ args, named }, "map", "attribute", "default");
    return new Iter(itemsOf(value).map(getter(attribute!, otherwise)));
  }
  const [name, ...rest] = args;
  const filter = filterOf(textArgument(name, "map"));
  return new Iter(itemsOf(value).map((each) => filter(each, { args: rest, named })));
}

function extreme(name: "min" | "max"): Filter {
  return (value, given) => {
    const { case_sensitive: sensitive, attribute } = bound(given, name, "case_sensitive", "attribute");
    const key = keyed(attribute, flagArgument(sensitive, false));
    const items = itemsOf(value);
    if (items.length === 0) return new Undefined("an item of nothing");
    return items.reduce((best, each) => {
      const difference = order(key(each), key(best));
      return (name === "min" ? difference < 0 : difference > 0) ? each : best;
    });
  };
}

function unique(value: Value, given: Args): Value {
  const { case_sensitive: sensitive, attribute } = bound(given, "unique", "case_sensitive", "attribute");
  const key = keyed(attribute, flagArgument(sensitive, false));
  const seen: Value[] = [];
  return new Iter(
    itemsOf(value).filter((each) => {
      const own = key(each);
      if (seen.some((other) => isEqual(own, other))) return false;
      seen.push(own);
      return true;
    }),
  );
}

function grouped(value: Value, given: Args): Value {
  const { attribute, default: otherwise, case_sensitive: sensitive } = bound(
    given,
    "groupby",
    "attribute",
    "default",
    "case_sensitive",
  );
  const key = keyed(attribute, flagArgument(sensitive, false), otherwise);
  const groups: { readonly key: Value; readonly first: Value; readonly items: Value[] }[] = [];
  for (const each of sorted(itemsOf(value), key, false)) {
    const last = groups.at(-1);
    if (last !== undefined && isEqual(last.key, key(each))) last.items.push(each);
    else groups.push({ key: key(each), first: keyed(attribute, true, otherwise)(each), items: [each] });
  }
  return groups.map(({ first, items }) => new Tuple([first, items], ["grouper", "list"]));
}

function batched(value: Value, given: Args): Value {
  const { linecount, fill_with: fill = null } = bound(given, "batch", "linecount", "fill_with");
  const count = countArgument(linecount, "batch", 0);
  if (count < 1) throw new Error(`batch by ${count}`);
  const items = itemsOf(value);
  const batches = Array.from(
    { length: Math.ceil(items.length / count) },
    (_, i) => items.slice(i * count, (i + 1) * count),
  );
  const missing = batches.length * count - items.length;
  if (fill !== null && missing > 0) batches[batches.length - 1] = [...batches.at(-1)!, ...Array(missing).fill(fill)];
  return new Iter(batches);
}

function sliced(value: Value, given: Args): Value {
  const { slices, fill_with: fill = null } = bound(given, "slice", "slices", "fill_with");
  const [items, count] = [itemsOf(value), countArgument(slices, "slice", 0)];
  if (count < 1) throw new Error(`slice by ${count}`);
  const [each, more] = [Math.floor(items.length / count), items.length % count];
  let at = 0;
  return new Iter(Array.from({ length: count }, (_, i) => {
    const part = items.slice(at, at += each + (i < more ? 1 : 0));
    return fill !== null && i >= more ? [...part, fill] : part;
  }));
}

function joined(value: Value, given: Args): Value {
  const { d = "", attribute = null } = bound(given, "join", "d", "attribute");
  const items = attribute === null ? itemsOf(value) : itemsOf(value).map(getter(attribute));
  const safe = [d, ...items].find((each) => each instanceof Safe);
  if (safe !== undefined) throw wrong("join", safe);
  return items.map(written).join(written(d));
}

/** The first or the last item; a text's is a character. */
function end(name: "first" | "last"): Filter {
  return (value, given) => {
    bound(given, name);
    if (name === "last" && value instanceof Iter && value.view === undefined) throw wrong("last", value);
    const found = itemsOf(value).at(name === "first" ? 0 : -1);
    return found === undefined ? new Undefined("an item of nothing") : found;
  };
}

/**
 * The filters.
 *
 * @param known What they may name
 */
export function listFilters(known: Known): Readonly<Record<string, Filter>> {
  return {
    batch: batched,
    dictsort: (value, given) => {
      const { case_sensitive: sensitive, by = "key", reverse } = bound(
        given,
        "dictsort",
        "case_sensitive",
        "by",
        "reverse",
      );
      if (!(value instanceof Dict)) throw wrong("dictsort", value);
      if (by !== "key" && by !== "value") throw new Error('dictsort by another part than "key" and "value"');
      const key = keyed(by === "key" ? 0n : 1n, flagArgument(sensitive, false));
      return sorted(value.entries.map((entry) => new Tuple(entry)), key, flagArgument(reverse, false));
    },
    first: end("first"),
    groupby: grouped,
    join: joined,
    last: end("last"),
    list: (value, given) => {
      bound(given, "list");
      return itemsOf(value);
    },
    map: (value, given) => mapped(known, value, given),
    max: extreme("max"),
    min: extreme("min"),
    reject: chosen(known, "reject", false, false),
    rejectattr: chosen(known, "rejectattr", true, false),
    reverse: (value, given) => {
      bound(given, "reverse");
      const items = itemsOf(value).toReversed();
      return typeof value === "string" ? items.join("") : new Iter(items);
    },
    select: chosen(known, "select", false, true),
    selectattr: chosen(known, "selectattr", true, true),
    slice: sliced,
    sort: (value, given) => {
      const { reverse, case_sensitive: sensitive, attribute } = bound(
        given,
        "sort",
        "reverse",
        "case_sensitive",
        "attribute",
      );
      return sorted(itemsOf(value), keyed(attribute, flagArgument(sensitive, false)), flagArgument(reverse, false));
    },
    sum: (value, given) => {
      const { attribute = null, start = 0n } = bound(given, "sum", "attribute", "start");
      const items = attribute === null ? itemsOf(value) : itemsOf(value).map(getter(attribute));
      return items.reduce((sum, each) => operated("+", sum, each), start);
    },
    unique,
  };
}
