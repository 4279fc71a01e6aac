/**
 * JSON as Python reads and writes it: NaN and Infinity are numbers, a byte order mark is no error, and numbers that nobody
 * changes keep their spelling (`0.0` stays a float, `1e-05` stays so).
 *
 * @module
 */
import { OneloraError } from "../error.ts";
import { guarded } from "./file.ts";
import { checkNesting, isObject } from "./json.ts";
import { readWhole, SETTINGS_BYTES } from "./read.ts";
import { isNowhere } from "./store.ts";

/** A number's text in the file, in the place of the number. */
interface Spelling {
  readonly spelling: string;
}

/** Bytes as text: UTF-8, or UTF-16 with a byte order mark, as Windows' tools write it; the mark is left out. */
function textOf(bytes: Uint8Array): string {
  const [first, second] = bytes;
  const encoding = first === 0xff && second === 0xfe
    ? "utf-16le"
    : first === 0xfe && second === 0xff
    ? "utf-16be"
    : "utf-8";
  return new TextDecoder(encoding, { fatal: true }).decode(bytes);
}

/** NaN and Infinity outside strings, as strings with a mark that no setting begins with: JSON's own parser reads them. */
function marked(text: string): string {
  // Strings first, so that a word within one is skipped with it.
  return text.replace(
    /"(?:[^"\\]|\\.)*"|-?\b(?:NaN|Infinity)\b/gs,
    (part) => part[0] === '"' ? part : `"\\u0000${part}"`,
  );
}

function isMarked(value: unknown): value is string {
  return typeof value === "string" && /^\0(?:NaN|-?Infinity)$/.test(value);
}

/** The number of a marked text. */
function unmarked(value: unknown): unknown {
  return isMarked(value) ? Number(value.slice(1)) : value;
}

/** The name under which a number's spelling stands in its place. */
export const SPELLED = "\0number";

/** A number that JavaScript would write otherwise than Python: `2.0`, or a whole one that it cannot hold. */
export interface SpelledNumber {
  /** As the text has it. */
  readonly [SPELLED]: string;
}

/** Whether a text may have such a number. */
const MAY_HAVE = /\d[.eE]|\d{16}/;

/**
 * A number, or its spelling where JavaScript's would be another.
 *
 * @param source As a text has it
 */
export function spelledNumber(source: string): number | SpelledNumber {
  const value = Number(source);
  const isOther = Number.isInteger(value) && (/[.eE]/.test(source) || !Number.isSafeInteger(value));
  return isOther ? { [SPELLED]: source } : value;
}

/**
 * The value of JSON text, where NaN, Infinity and -Infinity are numbers.
 *
 * @param text The text
 * @param spelled Whether numbers are kept as {@linkcode spelledNumber} does it
 * @throws SyntaxError for what Python's `json` refuses as well
 */
export function parsePythonJson(text: string, spelled: boolean = false): unknown {
  type Reviver = (key: string, value: unknown, context?: { readonly source?: string }) => unknown;
  const keeping: Reviver = (_, value, context) =>
    typeof value === "number" && context?.source !== undefined ? spelledNumber(context.source) : unmarked(value);
  const reviver = spelled && MAY_HAVE.test(text) ? keeping : undefined;
  try {
    // Most files have no such number, and a tokenizer's has 100,000 strings to be looked through for one.
    return JSON.parse(text, reviver);
  } catch {
    return JSON.parse(marked(text), reviver ?? ((_, value) => unmarked(value)));
  }
}

/**
 * The same value with plain numbers, but for what stands under some names.
 *
 * @param value A value with spellings
 * @param kept The names
 */
export function withoutSpellings(value: unknown, kept: readonly string[]): unknown {
  if (Array.isArray(value)) return value.map((each) => withoutSpellings(each, kept));
  if (!isObject(value)) return value;
  if (typeof value[SPELLED] === "string") return Number(value[SPELLED]);
  return Object.fromEntries(
    Object.entries(value).map(([name, each]) => [name, kept.includes(name) ? each : withoutSpellings(each, kept)]),
  );
}

/** The same tree with numbers as their spelling. */
function spellings(text: string): unknown {
  type Reviver = (key: string, value: unknown, context?: { readonly source?: string }) => unknown;
  const revive: Reviver = (_, value, context) => {
    if (typeof value === "number") return { spelling: context?.source ?? `${value}` };
    return isMarked(value) ? { spelling: value.slice(1) } : value;
  };
  return JSON.parse(marked(text), revive);
}

function write(value: unknown, known: unknown, indent: string): string {
  if (typeof value === "number") {
    const { spelling } = isObject(known) ? known as unknown as Partial<Spelling> : {};
    if (typeof spelling === "string" && Object.is(Number(spelling), value)) return spelling;
    return Number.isFinite(value) ? JSON.stringify(value) : `${value}`;
  }
  const deeper = `${indent}  `;
  const listed = (open: string, items: readonly string[], close: string) =>
    items.length === 0 ? `${open}${close}` : `${open}\n${deeper}${items.join(`,\n${deeper}`)}\n${indent}${close}`;
  if (Array.isArray(value)) {
    const before = Array.isArray(known) ? known : [];
    return listed("[", value.map((each, i) => write(each, before[i], deeper)), "]");
  }
  if (isObject(value)) {
    const before = isObject(known) ? known : {};
    const entries = Object.entries(value).filter(([, each]) => each !== undefined);
    return listed(
      "{",
      entries.map(([name, each]) => `${JSON.stringify(name)}: ${write(each, before[name], deeper)}`),
      "}",
    );
  }
  return JSON.stringify(value);
}

/**
 * A value as JSON on lines of its own, as Python's `json` writes it, with a line break at the end.
 *
 * @param value The value; what is undefined in objects is left out
 * @param original The text that it was read from: numbers that are still the same keep their spelling
 */
export function formatPythonJson(value: unknown, original: string = "null"): string {
  return `${write(value, spellings(original), "")}\n`;
}

/** A JSON file's object, and its text. */
export interface JsonFile {
  /** The object. */
  readonly json: Readonly<Record<string, unknown>>;
  /** The text that it was read from, without a byte order mark. */
  readonly text: string;
}

/**
 * Reads a JSON file that holds one object. Needs `--allow-read`.
 *
 * @param path The file
 * @param most Most bytes
 * @throws OneloraError for what is no text, no JSON or no object; a missing file's cause is `Deno.errors.NotFound`
 */
export async function readJsonFile(path: string, most: number = SETTINGS_BYTES): Promise<JsonFile> {
  const attempted = `reading ${path}`;
  const allowed = "a JSON object, in UTF-8";
  const bytes = await readWhole(path, most);
  return await guarded(attempted, allowed, () => {
    const text = textOf(bytes);
    checkNesting(text);
    const json = parsePythonJson(text);
    if (isObject(json)) return { json, text };
    throw new OneloraError({ attempted, found: "no JSON object", allowed });
  });
}

/**
 * Reads a JSON file as {@linkcode readJsonFile} does, if it is there.
 *
 * @param path The file
 * @param most Most bytes
 * @returns Its object and text, or undefined where there is no such file
 */
export async function readJsonIfThere(path: string, most?: number): Promise<JsonFile | undefined> {
  try {
    return await readJsonFile(path, most);
  } catch (error) {
    const cause = error instanceof OneloraError ? error.cause : undefined;
    // Beside a file of weights, which is no folder, there is nothing.
    if (isNowhere(cause)) return undefined;
    throw error;
  }
}
