/**
 * Flags: the settings of tasks and commands as the command line writes them.
 *
 * @module
 */

import { type Either, left, right } from "fp-ts/Either";
import { OneloraError, unknownName } from "../../dsl/error.ts";
import { allowedWords, isInterval, isWithin, kebab, type Setting } from "../../tasks/trainer/setting.ts";

export {
  allowedWords,
  boolean,
  choice,
  integer,
  kebab,
  list,
  number,
  required,
  text,
} from "../../tasks/trainer/setting.ts";

/** One flag: a setting. */
export type Flag<T> = Setting<T>;

/** The flags of a command: camel-case names, `batchSize` for `--batch-size`. */
export type Flags = Readonly<Record<string, Flag<unknown>>>;

/** The values of flags, each of its own type. */
export type Options<F extends Flags> = { readonly [K in keyof F]: F[K]["default"] };

/**
 * A library's message as the command line says it: a setting in backquotes becomes its flag, `lr` to --lr and `clip: 1` to
 * --clip 1.
 *
 * @param flags The command's flags
 * @param message The message
 */
export function withFlags(flags: Flags, message: string): string {
  return message.replace(/`(\w+)(?:: ([^`]+))?`/g, (whole, name: string, value?: string) => {
    if (!Object.hasOwn(flags, name)) return whole;
    return value === undefined ? `--${kebab(name)}` : `--${kebab(name)} ${value}`;
  });
}

/** Decimal text as a finite number. */
function decimal(raw: string): number | undefined {
  if (!/^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(raw)) return undefined;
  return Number.isFinite(Number(raw)) ? Number(raw) : undefined;
}

/** A time such as `24h`, `90m`, `30s`, or seconds without a unit. */
function seconds(raw: string): number | undefined {
  const [, number = "", unit = "s"] = /^(.*?)([hms])?$/s.exec(raw) ?? [];
  const value = decimal(number);
  return value === undefined ? undefined : value * { h: 3600, m: 60, s: 1 }[unit as "h" | "m" | "s"];
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
      if (Object.hasOwn(flag.aliases ?? {}, raw.toLowerCase())) return right(flag.aliases?.[raw.toLowerCase()]);
      return raw === "" ? refusal : left(unknownName(where, raw, flag.allowed ?? []));
    case "boolean":
      return raw === "" || raw === "true" ? right(true) : raw === "false" ? right(false) : refusal;
    case "duration": {
      const value = seconds(raw);
      return value === undefined || !isWithin(value, flag) ? refusal : right(value);
    }
    case "interval": {
      const value = decimal(raw);
      return value === undefined || !isInterval(value) ? refusal : right(value);
    }
    default: {
      const value = decimal(raw);
      if (value === undefined || !isWithin(value, flag)) return refusal;
      return flag.kind === "number" || Number.isSafeInteger(value) ? right(value) : refusal;
    }
  }
}
