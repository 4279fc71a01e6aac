/**
 * Command lines: arguments and a configuration file become typed options, or one error that says what is allowed.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { type Either, isLeft, left, right } from "fp-ts/Either";
import { nearest, OneloraError, unknownName } from "../../dsl/error.ts";
import { flagMeant } from "./elsewhere.ts";
import { type Flags, kebab, type Options, readValue } from "./flags.ts";

/** A command: its name as a task, what it does, and its flags. */
export interface Command<F extends Flags> {
  /** The task's name: `deno task NAME`. */
  readonly name: string;
  /** What it does, one line. */
  readonly summary: string;
  /** What it accepts. */
  readonly flags: F;
  /** The flag whose name may be left out: an argument without a flag is its value, or several are where it may have several. */
  readonly bare?: Extract<keyof F, string>;
}

/** Values by flag name as they were written, before they are read. */
export type Written = ReadonlyMap<string, { readonly raw: string; readonly where: string }>;

/** What a command line says. */
export interface Spoken {
  /** Whether help was asked for. */
  readonly help: boolean;
  /** The configuration file, if one was named. */
  readonly config?: string;
  /** The flags that were given. */
  readonly written: Written;
}

/** Typed options, and which of them were given rather than left at their defaults. */
export interface Parsed<F extends Flags> {
  /** A value for every flag. */
  readonly options: Options<F>;
  /** The flags that were given, on the command line or in a file. */
  readonly given: ReadonlySet<keyof F>;
}

const dashed = (name: string | undefined) => name && `--${name}`;

/** A wrong-usage error. */
function misuse(attempted: string, found: string, allowed: string): OneloraError {
  return new OneloraError({ attempted, found, allowed }, { exitCode: 2 });
}

/**
 * `--no-name` of a boolean flag as `--name=false`, a negative number joined to its flag (`--x -1` as `--x=-1`), and no
 * `--` in front, which npm's users write there.
 */
function normalised(flags: Flags, args: readonly string[]): readonly string[] {
  const named = (kinds: readonly string[], prefix: string) =>
    new Set(Object.keys(flags).filter((key) => kinds.includes(flags[key].kind)).map((key) => prefix + kebab(key)));
  const negations = named(["boolean"], "--no-");
  const numeric = named(["integer", "interval", "number"], "--");
  const joined: string[] = [];
  for (const arg of args[0] === "--" ? args.slice(1) : args) {
    const last = joined.at(-1) ?? "";
    if (numeric.has(last) && /^-[\d.]/.test(arg)) joined[joined.length - 1] = `${last}=${arg}`;
    else joined.push(negations.has(arg) ? `--${arg.slice("--no-".length)}=false` : arg);
  }
  return joined;
}

/**
 * Splits arguments into flags.
 *
 * @param flags What is accepted, besides `--help` and `--config`
 * @param args The arguments, such as `Deno.args`
 * @param bareFlag The flag that an argument without a flag is the value of (each of several, of a repeatable one), if there is one
 * @returns What was said, or a wrong-usage error: unknown or repeated flag, argument without a flag
 */
export function splitArguments(
  flags: Flags,
  args: readonly string[],
  bareFlag?: string,
): Either<OneloraError, Spoken> {
  const keys = new Map(Object.keys(flags).map((key) => [kebab(key), key]));
  const names = [...keys.keys(), "config", "help"];
  const strays: string[] = [];
  const parsed: Readonly<Record<string, unknown>> = parseArgs([...normalised(flags, args)], {
    string: [...names, "_"],
    collect: names,
    alias: { help: "h" },
    unknown: (arg: string) => {
      strays.push(arg);
      return false;
    },
  });
  const unknown = strays.find((arg) => arg.startsWith("-"));
  const [bare, ...others] = [...strays, ...(parsed._ as string[])];
  const texts = (name: string) => parsed[name] as string[];
  if (texts("help").length > 0) return right({ help: true, written: new Map() });

  const written = new Map<string, { raw: string; where: string }>();
  for (const name of names) {
    const key = keys.get(name);
    const given = texts(name);
    if (given.length > 1 && (key === undefined || !flags[key].repeatable)) {
      return left(misuse(`reading --${name}`, `${given.length} values`, "each flag once"));
    }
    // An empty one among others stays one: it is refused where it is read.
    if (key !== undefined && given.length > 0) written.set(key, { raw: given.join(","), where: `--${name}` });
  }
  if (unknown !== undefined) {
    const flag = unknown.split("=")[0];
    return left(
      keys.has(flag.slice(2)) ? misuse(`reading ${flag}`, "no value", `${flag}=value`) : unknownName(
        "flag",
        flag,
        names.map((name) => `--${name}`),
        dashed(flagMeant(flag.slice(2), names) ?? nearest(flag.slice(2), names)),
      ),
    );
  }
  const before = bareFlag === undefined ? undefined : written.get(bareFlag);
  // What a shell makes of `*.jpg` is several arguments, after the flag or without it.
  const isSeveral = bareFlag !== undefined && flags[bareFlag].repeatable;
  const isTaken = bareFlag !== undefined && (isSeveral || (before === undefined && others.length === 0));
  if (bare !== undefined && isTaken) {
    const raw = [...(before === undefined ? [] : [before.raw]), bare, ...others].join(",");
    written.set(bareFlag, { raw, where: `--${kebab(bareFlag)}` });
  } else if (bare !== undefined) {
    const allowed = `flags (--name value): --${names.join(", --")}`;
    return left(misuse("reading the command line", `"${bare}" without a flag`, allowed));
  }
  const config = texts("config").at(0);
  if (config === "") return left(misuse("reading --config", "no value", "a JSON or YAML file"));
  return right({ help: false, config, written });
}

/**
 * Reads every flag's value: from the first source that has it, else its default.
 *
 * @param flags What is accepted
 * @param sources Written values, strongest first
 * @returns Typed options, or the first error
 */
export function readOptions<F extends Flags>(flags: F, sources: readonly Written[]): Either<OneloraError, Parsed<F>> {
  const options: Record<string, unknown> = {};
  const given = new Set<keyof F>();
  for (const [key, flag] of Object.entries(flags)) {
    const found = sources.map((source) => source.get(key)).find((value) => value !== undefined);
    if (found === undefined) {
      if (flag.required) {
        return left(misuse("reading the command line", `no --${kebab(key)}`, `--${kebab(key)} ${flag.value}`));
      }
      options[key] = flag.default;
      continue;
    }
    const value = readValue(flag, found.raw, found.where);
    if (isLeft(value)) return value;
    options[key] = value.right;
    given.add(key);
  }
  return right({ options: options as Options<F>, given });
}
