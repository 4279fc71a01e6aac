/**
 * Functions that every template may call.
 *
 * @module
 */
import { bound, countArgument, textArgument } from "./arguments.ts";
import { timeAs } from "./time.ts";
import { type Args, Attributes, Callable, Dict, itemsOf, Iter, type Value, written, wrong } from "./values.ts";

/** Most items of a range, as in Jinja's sandbox. */
const MOST_IN_RANGE = 100_000;

function range({ args, named }: Args): Value {
  if (named.size > 0 || args.length < 1 || args.length > 3) throw new Error(`range with ${args.length} values`);
  const [first, second, third = 1] = args.map((each) => countArgument(each ?? undefined, "range", NaN, Infinity));
  if ([first, second ?? 0, third].some(Number.isNaN)) throw wrong("range", args.find((each) => each === null)!);
  const [from, to] = second === undefined ? [0, first] : [first, second];
  if (third === 0) throw new Error("range of step 0");
  const length = Math.max(0, Math.ceil((to - from) / third));
  if (length > MOST_IN_RANGE) throw new Error(`${length} items at once, more than a chat needs`);
  return new Iter(Array.from({ length }, (_, i) => BigInt(from + i * third)), "range");
}

/** Pairs of keys and values: of a dict, or a list of such. */
function dictOf({ args, named }: Args, name: string): Dict {
  if (args.length > 1) throw new Error(`${name} with ${args.length} values`);
  const [from] = args;
  const pairs = from === undefined ? [] : from instanceof Dict ? from.entries : itemsOf(from).map((pair) => {
    const parts = itemsOf(pair);
    if (parts.length !== 2) throw new Error(`${name} with parts that are no pairs`);
    return [parts[0], parts[1]] as const;
  });
  return new Dict([...pairs, ...named]);
}

function namespace(given: Args): Value {
  const entries = dictOf(given, "namespace").entries.map(([key, value]): [string, Value] => [
    textArgument(key, "namespace"),
    value,
  ]);
  const hidden = entries.find(([name]) => name.startsWith("_"));
  if (hidden !== undefined) throw new Error(`the attribute "${hidden[0]}"`);
  return new Attributes("namespace", new Map(entries));
}

function cycler({ args }: Args): Value {
  if (args.length === 0) throw new Error("cycler with nothing");
  const all = new Map<string, Value>([["current", args[0]]]);
  let at = 0;
  const move = (to: number) => {
    at = to % args.length;
    all.set("current", args[at]);
  };
  all.set(
    "next",
    new Callable("next", () => {
      const now = args[at];
      move(at + 1);
      return now;
    }),
  );
  all.set("reset", new Callable("reset", () => (move(0), null)));
  return new Attributes("loop", all);
}

function joiner(given: Args): Value {
  const { sep = ", " } = bound(given, "joiner", "sep");
  let used = false;
  return new Callable("joiner", () => {
    const now = used ? sep : "";
    used = true;
    return now;
  });
}

/** The functions by name. */
export const GLOBALS: readonly (readonly [string, Value])[] = Object.entries<(given: Args) => Value>({
  range,
  dict: (given) => dictOf(given, "dict"),
  namespace,
  cycler,
  joiner,
  lipsum: () => {
    throw new Error("lipsum, which writes at random");
  },
  raise_exception: (given) => {
    throw new Error(written(bound(given, "raise_exception", "message").message ?? null));
  },
  strftime_now: (given) =>
    timeAs(textArgument(bound(given, "strftime_now", "format").format, "strftime_now"), new Date()),
}).map(([name, call]) => [name, new Callable(name, call)]);
