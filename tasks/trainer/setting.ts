/**
 * Settings as data: declared once, a setting gives its type, its help, its flag and its errors.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";

/** What every setting says about itself. */
export interface About {
  /** What it does, one line. */
  readonly help: string;
  /** The value's name in `--help`, e.g. `DIR`. */
  readonly value?: string;
  /** Whether it decides how far a run goes and how it is judged and shown, but nothing in any of its steps. */
  readonly aside?: true;
  /** Whether it acts in training and what is shown after it alone: an evaluation has no such setting. */
  readonly training?: true;
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

/** One setting whose value is a `T`; `default` is what it is when not given. */
export interface Setting<T> extends About, Bounds {
  /** What kind of value it has. */
  readonly kind: "text" | "integer" | "number" | "interval" | "duration" | "boolean" | "choice";
  /** The value when none is given. */
  readonly default: T;
  /** Whether it must be given. */
  readonly required?: boolean;
  /** Whether a command line may give it several times, for values that commas separate. */
  readonly repeatable?: boolean;
  /** The values of a choice. */
  readonly allowed?: readonly string[];
  /** Other names of a choice's values that a command line may give, in small letters. */
  readonly aliases?: Readonly<Record<string, string>>;
}

/** Settings by name. */
export type Settings = Readonly<Record<string, Setting<unknown>>>;

/** The declarations of an interface's settings. */
export type SettingsOf<Values extends object> = { readonly [K in keyof Values]-?: Setting<Values[K]> };

/** Text that is not empty. */
export function text(about: About & { readonly default: string }): Setting<string>;
/** Text that is not empty; undefined when not given. */
export function text(about: About): Setting<string | undefined>;
export function text(about: About & { readonly default?: string }): Setting<string | undefined> {
  return { value: "TEXT", ...about, kind: "text", default: about.default };
}

/** Parts separated by commas; on the command line the flag may be given for each of them. */
export function list(about: About): Setting<string | undefined> {
  return { ...text(about), repeatable: true };
}

/** A whole number within bounds. */
export function integer(about: About & Bounds & { readonly default: number }): Setting<number>;
/** A whole number within bounds; undefined when not given. */
export function integer(about: About & Bounds): Setting<number | undefined>;
export function integer(about: About & Bounds & { readonly default?: number }): Setting<number | undefined> {
  return { value: "N", ...about, kind: "integer", default: about.default };
}

/** A finite number within bounds. */
export function number(about: About & Bounds & { readonly default: number }): Setting<number>;
/** A finite number within bounds; undefined when not given. */
export function number(about: About & Bounds): Setting<number | undefined>;
export function number(about: About & Bounds & { readonly default?: number }): Setting<number | undefined> {
  return { value: "X", ...about, kind: "number", default: about.default };
}

/** A whole number of steps, or below 1 a share of all steps, which {@linkcode stepsOf} makes steps of; 0 for never. */
export function interval(about: About & { readonly default: number }): Setting<number> {
  return { value: "N", min: 0, ...about, kind: "interval" };
}

/**
 * An interval in steps.
 *
 * @param interval Steps, or a share of all steps below 1; 0 for never
 * @param steps All steps
 * @returns Steps, at least one of them; 0 for never
 */
export function stepsOf(interval: number, steps: number): number {
  return interval > 0 && interval < 1 ? Math.max(1, Math.round(interval * steps)) : interval;
}

/** A span of time in seconds; on the command line with its unit too: `24h`, `90m`, `30s`. */
export function duration(about: About & Bounds): Setting<number | undefined> {
  return { value: "TIME", ...about, kind: "duration", default: undefined };
}

/** On or off; on the command line `--name`, `--name true`, `--no-name`, `--name false`. */
export function boolean(about: About & { readonly default?: boolean }): Setting<boolean> {
  return { ...about, kind: "boolean", default: about.default ?? false };
}

/** One of some names. */
export function choice<const A extends readonly string[]>(
  about: About & { readonly allowed: A; readonly default: A[number] },
): Setting<A[number]>;
/** One of some names; undefined when not given. */
export function choice<const A extends readonly string[]>(
  about: About & { readonly allowed: A; readonly aliases?: Readonly<Record<string, A[number]>> },
): Setting<A[number] | undefined>;
export function choice(
  about: About & Pick<Setting<unknown>, "aliases"> & {
    readonly allowed: readonly string[];
    readonly default?: string;
  },
): Setting<string | undefined> {
  return { value: "NAME", ...about, kind: "choice", default: about.default };
}

/**
 * The same setting, which must be given.
 *
 * @param setting A setting without a default
 */
export function required<T>(setting: Setting<T>): Setting<NonNullable<T>> {
  return { ...setting, required: true, default: undefined as unknown as NonNullable<T> };
}

/**
 * The same setting, with the value that the task's recipe has where none is given.
 *
 * @param setting A setting
 */
export function fromRecipe<T>(setting: Setting<T>): Setting<NonNullable<T>> {
  return { ...setting, default: undefined as unknown as NonNullable<T> };
}

/**
 * A setting's name on the command line and in configuration files: `batchSize` is `batch-size`.
 *
 * @param name Its name in code
 */
export function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/**
 * What a setting accepts, in words.
 *
 * @param setting The setting
 */
export function allowedWords(setting: Setting<unknown>): string {
  const { kind, min, max, above, below } = setting;
  if (kind === "choice") return setting.allowed?.join(", ") ?? "";
  if (kind === "boolean") return "true, false";
  if (kind === "text") return "text that is not empty";
  if (kind === "interval") return "an integer at least 0, or a share of all steps below 1";
  const lower = min !== undefined ? `at least ${min}` : above !== undefined ? `above ${above}` : undefined;
  const upper = max !== undefined ? `at most ${max}` : below !== undefined ? `below ${below}` : undefined;
  const bounds = [lower, upper].filter((bound) => bound !== undefined).join(" and ");
  const kinds = { integer: "an integer", number: "a number", duration: "a time such as 24h, 90m, 30s or seconds" };
  return `${kinds[kind]}${bounds === "" ? "" : ` ${bounds}`}`;
}

/**
 * Whether a number is an interval: whole, or a share below 1.
 *
 * @param value The number
 */
export function isInterval(value: number): boolean {
  return value >= 0 && (value < 1 || Number.isSafeInteger(value));
}

/**
 * Whether a number is within bounds.
 *
 * @param value The number
 * @param bounds The bounds
 */
export function isWithin(value: number, { min, max, above, below }: Bounds): boolean {
  return value >= (min ?? -Infinity) && value <= (max ?? Infinity) && value > (above ?? -Infinity) &&
    value < (below ?? Infinity);
}

function isAllowed(setting: Setting<unknown>, value: unknown): boolean {
  switch (setting.kind) {
    case "text":
      return typeof value === "string" && value !== "";
    case "choice":
      return typeof value === "string" && setting.allowed?.includes(value) === true;
    case "boolean":
      return typeof value === "boolean";
    case "integer":
      return Number.isSafeInteger(value) && isWithin(value as number, setting);
    case "interval":
      return typeof value === "number" && isInterval(value);
    default:
      return Number.isFinite(value) && isWithin(value as number, setting);
  }
}

/**
 * Checks a setting's value.
 *
 * @param name The setting's name
 * @param setting The setting
 * @param value A value
 * @throws OneloraError (exit code 2) for a value of another kind or out of bounds
 *
 * @example
 * ```ts
 * import { assertThrows } from "@std/assert";
 * import { integer } from "@onelora/onelora/tasks";
 * import { checkSetting } from "./setting.ts";
 * const rank = integer({ help: "Rank", min: 1 });
 * assertThrows(() => checkSetting("rank", rank, 0), Error, "setting rank: found 0; allowed: an integer at least 1");
 * ```
 */
export function checkSetting(name: string, setting: Setting<unknown>, value: unknown): void {
  if (isAllowed(setting, value)) return;
  const found = typeof value === "string" ? JSON.stringify(value) : String(value);
  throw new OneloraError({ attempted: `setting ${name}`, found, allowed: allowedWords(setting) }, { exitCode: 2 });
}
