/**
 * Flags as data: what a command accepts, declared once, gives its types, its help and its errors.
 *
 * @module
 */

import { type Either, left, right } from "fp-ts/Either";
import { OneloraError, unknownName } from "../../dsl/error.ts";

/** What every flag says about itself. */
export interface About {
  /** What the flag does, one line. */
  readonly help: string;
  /** The value's name in `--help`, e.g. `DIR`. */
  readonly value?: string;
}

/** Bounds of a number; each is optional. */
export interface Bounds {
  /** The smallest allowed value. */
  readonly min?: number;
  /** The largest allowed value. */
  readonly max?: number;
  /** A value that must be exceeded. */
  readonly above?: number;
  /** A value that must not be reached. */
  readonly below?: number;
}

/** One flag whose value is a `T`; `default` is what it is when not given. */
export interface Flag<T> extends About, Bounds {
  /** How its text is read. */
  readonly kind: "text" | "integer" | "number" | "boolean" | "choice";
  /** The value when the flag is not given. */
  readonly default: T;
  /** Whether it must be given. */
  readonly required?: boolean;
  /** The values of a choice. */
  readonly allowed?: readonly string[];
}

/** The flags of a command: camel-case names, `batchSize` for `--batch-size`. */
export type Flags = Readonly<Record<string, Flag<unknown>>>;

/** The values of flags, each of its own type. */
export type Options<F extends Flags> = { readonly [K in keyof F]: F[K]["default"] };

/** A flag that takes any text that is not empty. */
export function text(about: About & { readonly default: string }): Flag<string>;
/** A flag that takes any text that is not empty; undefined when not given. */
export function text(about: About): Flag<string | undefined>;
export function text(about: About & { readonly default?: string }): Flag<string | undefined> {
  return { value: "TEXT", ...about, kind: "text", default: about.default };
}

/** A flag that takes a whole number within bounds. */
export function integer(about: About & Bounds & { readonly default: number }): Flag<number>;
/** A flag that takes a whole number within bounds; undefined when not given. */
export function integer(about: About & Bounds): Flag<number | undefined>;
export function integer(about: About & Bounds & { readonly default?: number }): Flag<number | undefined> {
  return { value: "N", ...about, kind: "integer", default: about.default };
}

/** A flag that takes a finite number within bounds. */
export function number(about: About & Bounds & { readonly default: number }): Flag<number>;
/** A flag that takes a finite number within bounds; undefined when not given. */
export function number(about: About & Bounds): Flag<number | undefined>;
export function number(about: About & Bounds & { readonly default?: number }): Flag<number | undefined> {
  return { value: "X", ...about, kind: "number", default: about.default };
}

/** A flag that is on (`--name`, `--name true`) or off (`--no-name`, `--name false`). */
export function boolean(about: About & { readonly default?: boolean }): Flag<boolean> {
  return { ...about, kind: "boolean", default: about.default ?? false };
}

/** A flag that takes one of some names. */
export function choice<const A extends readonly string[]>(
  about: About & { readonly allowed: A; readonly default: A[number] },
): Flag<A[number]>;
/** A flag that takes one of some names; undefined when not given. */
export function choice<const A extends readonly string[]>(
  about: About & { readonly allowed: A },
): Flag<A[number] | undefined>;
export function choice(
  about: About & { readonly allowed: readonly string[]; readonly default?: string },
): Flag<string | undefined> {
  return { value: "NAME", ...about, kind: "choice", default: about.default };
}

/**
 * The same flag, which must be given.
 *
 * @param flag A flag without a default
 */
export function required<T>(flag: Flag<T>): Flag<NonNullable<T>> {
  return { ...flag, required: true, default: undefined as unknown as NonNullable<T> };
}

/**
 * A flag's name on the command line and in configuration files: `batchSize` is `batch-size`.
 *
 * @param name Its name in code
 */
export function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/**
 * What a flag accepts, in words.
 *
 * @param flag The flag
 */
export function allowedWords(flag: Flag<unknown>): string {
  const { kind, min, max, above, below } = flag;
  if (kind === "choice") return flag.allowed?.join(", ") ?? "";
  if (kind === "boolean") return "true, false";
  if (kind === "text") return "text that is not empty";
  const lower = min !== undefined ? `at least ${min}` : above !== undefined ? `above ${above}` : undefined;
  const upper = max !== undefined ? `at most ${max}` : below !== undefined ? `below ${below}` : undefined;
  const bounds = [lower, upper].filter((bound) => bound !== undefined).join(" and ");
  return `${kind === "integer" ? "an integer" : "a number"}${bounds === "" ? "" : ` ${bounds}`}`;
}

/** Decimal text as a finite number. */
function decimal(raw: string): number | undefined {
  if (!/^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(raw)) return undefined;
  return Number.isFinite(Number(raw)) ? Number(raw) : undefined;
}

/** Whether a number is within a flag's bounds. */
function isWithin(value: number, { min, max, above, below }: Bounds): boolean {
  return value >= (min ?? -Infinity) && value <= (max ?? Infinity) && value > (above ?? -Infinity) &&
    value < (below ?? Infinity);
}

/**
 * A flag's value from its text.
 *
 * @param flag The flag
 * @param raw The text; empty for a flag given without a value
 * @param where Where the text stands, for errors: `--rank`, or `rank in train.yaml`
 * @returns The value, or a wrong-usage error
 */
export function readValue(flag: Flag<unknown>, raw: string, where: string): Either<OneloraError, unknown> {
  const refusal = left(
    new OneloraError({
      attempted: `reading ${where}`,
      found: raw === "" ? "no value" : JSON.stringify(raw),
      allowed: allowedWords(flag),
    }, { exitCode: 2 }),
  );
  switch (flag.kind) {
    case "text":
      return raw === "" ? refusal : right(raw);
    case "choice":
      if (flag.allowed?.includes(raw)) return right(raw);
      return raw === "" ? refusal : left(unknownName(where, raw, flag.allowed ?? []));
    case "boolean":
      return raw === "" || raw === "true" ? right(true) : raw === "false" ? right(false) : refusal;
    default: {
      const value = decimal(raw);
      if (value === undefined || !isWithin(value, flag)) return refusal;
      return flag.kind === "number" || Number.isSafeInteger(value) ? right(value) : refusal;
    }
  }
}
