import { parseArgs as tokenise } from "node:util";

/** One name or several. */
export type Names = string | readonly string[];

/** What {@linkcode parseArgs} returns: a value for each flag, and the rest under `_` (and `--`). */
export interface Args {
  /** A flag's value: a string, a number, a boolean, or an array of them for collected flags. */
  [name: string]: unknown;
  /** Arguments that belong to no flag; number-like ones are numbers. */
  _: Array<string | number>;
}

/** How {@linkcode parseArgs} reads flags. */
export interface ParseOptions {
  /** Keep what follows `--` apart, under `--`, rather than in `_`. */
  "--"?: boolean;
  /** Other names of a flag; a value is returned under each of them. */
  alias?: Readonly<Record<string, Names>>;
  /** Flags that take no value (or `true`/`false`); absent ones are false. */
  boolean?: Names;
  /** Flags whose value stays text; one without a value is "". */
  string?: Names;
  /** Flags that may be given several times; absent ones of the declared kinds are []. */
  collect?: Names;
  /** Flags that `--no-NAME` sets to false. */
  negatable?: Names;
  /** Values of flags that are absent. */
  default?: Readonly<Record<string, unknown>>;
  /** Called with each undeclared argument; it is left out of the result when this returns false. */
  unknown?: (arg: string, key?: string, value?: unknown) => unknown;
}

/** Names as an array. */
function listed(names: Names | undefined): readonly string[] {
  return names === undefined ? [] : typeof names === "string" ? [names] : names;
}

/** Decimal or hexadecimal text as a number, other text as it is. */
function numeric(text: string): string | number {
  return /^0x[0-9a-f]+$/i.test(text) || /^[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[-+]?\d+)?$/.test(text) ? Number(text) : text;
}

/**
 * Reads command-line arguments into an object, minimist's way: `--a=b`, `--a b`, `--a`, `--no-a` for negatable flags,
 * `-a`; text after `--` belongs to no flag. Two features of the original are left out: names with dots (nested
 * objects) and values glued to short names (`-n5`).
 *
 * @example
 * ```ts
 * import { parseArgs } from "@std/cli/parse-args";
 * import { assertEquals } from "@std/assert";
 * assertEquals(
 *   parseArgs(["--rank", "2", "--no-shuffle", "in.txt"], { string: "rank", boolean: "shuffle", negatable: "shuffle" }),
 *   { _: ["in.txt"], rank: "2", shuffle: false },
 * );
 * ```
 *
 * @param args The arguments, such as `Deno.args`
 * @param options How flags are read
 */
export function parseArgs(args: readonly string[], options: ParseOptions = {}): Args {
  const groups = Object.entries(options.alias ?? {}).map(([name, others]) => [name, ...listed(others)]);
  const named = (key: string) => groups.find((group) => group.includes(key)) ?? [key];
  const declared = (names: Names | undefined) => new Set(listed(names).flatMap(named));
  const [strings, booleans, collected, negatable] = [
    options.string,
    options.boolean,
    options.collect,
    options.negatable,
  ]
    .map(declared);
  const aliased = new Set(groups.flat());

  const result: Args = { _: [] };
  const { tokens } = tokenise({ args: [...args], strict: false, allowPositionals: true, tokens: true });

  function set(key: string, raw: string | boolean, arg: string, collect = true): void {
    const isDeclared = strings.has(key) || booleans.has(key) || aliased.has(key);
    if (!isDeclared && options.unknown?.(arg, key, raw) === false) return;
    const value = typeof raw === "string" && !strings.has(key) ? numeric(raw) : raw;
    for (const name of named(key)) {
      const held = result[name];
      result[name] = collect && collected.has(name) ? [...(Array.isArray(held) ? held : []), value] : value;
    }
  }

  let terminated = false;
  for (let i = 0; i < tokens.length; i++) {
    const token = tokens[i];
    if (token.kind === "option-terminator") {
      terminated = true;
      if (options["--"]) result["--"] = args.slice(token.index + 1);
    } else if (token.kind === "positional") {
      if (terminated) {
        if (!options["--"]) result._.push(token.value);
      } else if (options.unknown?.(token.value) !== false) {
        result._.push(strings.has("_") ? token.value : numeric(token.value));
      }
    } else {
      const key = token.name;
      const arg = args[token.index];
      const next = tokens[i + 1];
      const following = next?.kind === "positional" && next.index === token.index + 1 ? next.value : undefined;
      if (token.inlineValue && token.value) {
        set(key, booleans.has(key) ? token.value !== "false" : token.value, arg);
      } else if (key.startsWith("no-") && negatable.has(key.slice(3))) {
        set(key.slice(3), false, arg, false);
      } else if (following !== undefined && (!booleans.has(key) || following === "true" || following === "false")) {
        set(key, booleans.has(key) ? following === "true" : following, arg);
        i++;
      } else {
        set(key, strings.has(key) ? "" : true, arg);
      }
    }
  }

  if (options["--"]) result["--"] ??= [];
  for (const [key, value] of Object.entries(options.default ?? {})) {
    for (const name of named(key)) if (!Object.hasOwn(result, name)) result[name] = value;
  }
  for (const name of booleans) if (!Object.hasOwn(result, name)) result[name] = collected.has(name) ? [] : false;
  for (const name of strings) if (!Object.hasOwn(result, name) && collected.has(name)) result[name] = [];
  return result;
}
