/**
 * JSON from untrusted files: what `JSON.parse` lets through (a name given twice, deep nesting, lists of
 * lists) is refused.
 *
 * @module
 */
import { messageOf, OneloraError } from "../error.ts";

/** Most commas: several times what real checkpoints have, and few enough to parse within seconds. */
const maxCommas = 2 ** 20;

/** A parsed JSON object. */
export type Json = Readonly<Record<string, unknown>>;

/** What a caller accepts. */
export interface JsonRules {
  /** Largest nesting of objects and arrays; the outermost counts as 1. */
  readonly depth: number;
  /** Refuse numbers written with a sign, a fraction or an exponent. */
  readonly wholeNumbers: boolean;
}

/**
 * A value for an error line: JSON on one line, cut after 80 characters.
 *
 * @param value Anything that came from JSON
 */
export function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 80)}...` : text;
}

const STRANGE = ["NaN", "Infinity", "-Infinity"];

/**
 * JSON in which numbers that JSON does not have keep their names: `"NaN"`, `"Infinity"`, `"-Infinity"`. All JSON that is
 * written or printed is made here.
 *
 * @param value What to write
 * @param options `each`: what is written in place of each part of it; `indent`: spaces a level (default: one line)
 */
export function writeNumbers(
  value: unknown,
  { each = (part) => part, indent }: { readonly each?: (part: unknown) => unknown; readonly indent?: number } = {},
): string {
  return JSON.stringify(
    value,
    (_, part) => typeof part === "number" && !Number.isFinite(part) ? String(part) : each(part),
    indent,
  );
}

/**
 * What {@linkcode writeNumbers} wrote.
 *
 * @param text The JSON
 * @throws SyntaxError for what is no JSON, and for more than 64 levels
 */
export function readNumbers(text: string): unknown {
  checkNesting(text);
  return JSON.parse(text, (_, part) => STRANGE.includes(part) ? Number(part) : part);
}

/** Whether a value is a JSON object, not an array or null. */
export function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Index of the quote that ends the string starting at `start`, or -1. */
function closingQuote(text: string, start: number): number {
  let end = text.indexOf('"', start + 1);
  while (end !== -1) {
    let slashes = 0;
    while (text[end - 1 - slashes] === "\\") slashes++;
    if (slashes % 2 === 0) return end;
    end = text.indexOf('"', end + 1);
  }
  return -1;
}

/** Deepest nesting of settings. */
const MOST_LEVELS = 64;

/**
 * Refuses text that JSON's parsers would take long over or that nests so deep that functions on its value would overflow: one
 * pass, before anything is built of it.
 *
 * @param text JSON, or Python's variant of it
 * @throws SyntaxError for a string without an end, and for more than 64 levels
 */
export function checkNesting(text: string): void {
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const character = text[i];
    if (character === "{" || character === "[") {
      if (++depth > MOST_LEVELS) throw new SyntaxError(`nesting deeper than ${MOST_LEVELS} levels`);
    } else if (character === "}" || character === "]") {
      depth--;
    } else if (character === '"') {
      i = closingQuote(text, i);
      if (i === -1) throw new SyntaxError("a string without an end");
    }
  }
}

/**
 * What JSON stands for.
 *
 * @param text The JSON
 * @throws SyntaxError for what is no JSON, and for more than 64 levels
 */
export function parseSettings(text: string): unknown {
  checkNesting(text);
  return JSON.parse(text);
}

/**
 * The first offence in `text`, in words, if any. One pass, memory only for the names: it runs before `JSON.parse`, so that
 * nothing large is built from a hostile text. Text that is not JSON is left for `JSON.parse` to refuse.
 */
function offence(text: string, { depth, wholeNumbers }: JsonRules): string | undefined {
  // What is open at this point: the names so far of an object, or null for a list.
  const open: (Set<string> | undefined | null)[] = [];
  let commas = 0;
  for (let i = 0; i < text.length; i++) {
    const character = text[i];
    if (character === "{" || character === "[") {
      if (open.length === depth) return `nesting deeper than ${depth} levels`;
      if (open[open.length - 1] === null) return "a list with a list or an object in it";
      open.push(character === "{" ? undefined : null);
    } else if (character === "}" || character === "]") {
      open.pop();
    } else if (character === ",") {
      if (++commas > maxCommas) return `more than ${maxCommas} commas`;
    } else if (character === '"') {
      const end = closingQuote(text, i);
      if (end === -1) return undefined;
      let next = end + 1;
      while (text[next] === " " || text[next] === "\n" || text[next] === "\r" || text[next] === "\t") next++;
      if (text[next] === ":") {
        const raw = text.slice(i + 1, end);
        const name = raw.includes("\\") ? JSON.parse(`"${raw}"`) as string : raw;
        const names = open[open.length - 1] ??= new Set();
        if (names.has(name)) return `the name ${show(name)} twice`;
        names.add(name);
      }
      i = next - 1;
    } else if (wholeNumbers) {
      const exponent = (character === "e" || character === "E") && text[i - 1] >= "0" && text[i - 1] <= "9";
      if (character === "-" || character === "." || exponent) return "a number with a sign, fraction or exponent";
    }
  }
  return undefined;
}

/**
 * The value that UTF-8 JSON bytes stand for.
 *
 * @param bytes UTF-8 text
 * @param attempted What is being read, for the error line
 * @param rules What is accepted
 * @throws {OneloraError} for bytes that are not UTF-8, text that is not JSON, and what `rules` forbid
 */
export function parseJson(bytes: Uint8Array, attempted: string, rules: JsonRules): unknown {
  const numbers = rules.wholeNumbers ? ", numbers written as digits only" : "";
  const allowed =
    `UTF-8 JSON, each name once, at most ${rules.depth} levels and ${maxCommas} commas, flat lists${numbers}`;
  const refuse = (found: string, cause?: unknown) => new OneloraError({ attempted, found, allowed }, { cause });
  let found: string | undefined;
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    found = offence(text, rules);
    if (found === undefined) return JSON.parse(text);
  } catch (cause) {
    throw refuse(show(cause instanceof Error ? messageOf(cause) : cause), cause);
  }
  throw refuse(found);
}
