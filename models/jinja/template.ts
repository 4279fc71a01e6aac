/**
 * Jinja as Hugging Face's templates use it, as Python's Jinja writes it or refused by name, and within bounds: a template is a
 * program that somebody else wrote.
 *
 * @module
 */
import { within } from "../../dsl/files/within.ts";
import { workWithin } from "./evaluate.ts";
import { GLOBALS } from "./globals.ts";
import { Writer } from "./render.ts";
import { Scope } from "./scope.ts";
import { hasGeneration, parse } from "./statements.ts";
import { fromJson, type Value } from "./values.ts";

/** Seconds that a template may take to be read, or to write a chat. */
const SECONDS = 5;
/** Most characters of a text, or items of a list, that a template makes. */
const MOST = { characters: 2 ** 24, items: 2 ** 20 };
/** Most characters and items that it makes in all. */
const MOST_IN_ALL = { characters: 2 ** 28, items: 2 ** 23 };

/** Counts what a template makes. */
function counter(): (value: string | readonly Value[]) => void {
  const made = { characters: 0, items: 0 };
  return (value) => {
    const kind = typeof value === "string" ? "characters" : "items";
    made[kind] += value.length;
    const tooMuch = (what: string) => new Error(`${what}, more than a chat needs`);
    if (value.length > MOST[kind]) throw tooMuch(`${value.length} ${kind} at once`);
    if (made[kind] > MOST_IN_ALL[kind]) throw tooMuch(`${made[kind]} ${kind} in all`);
  };
}

/** A template that was read. */
export interface Template {
  /**
   * What it writes.
   *
   * @param values What it may name, as JSON's values
   * @param marks What is written around what the template says the model writes itself, if anything
   * @throws Error where Python's Jinja throws one, and for what is not known here
   */
  readonly write: (values: Readonly<Record<string, unknown>>, marks?: readonly [string, string]) => string;
  /** Whether it says what the model writes itself: `{% generation %}`. */
  readonly marks: boolean;
}

/**
 * Reads a template.
 *
 * @param source Its text
 * @returns What writes by it; both end within seconds and megabytes, else they throw
 * @throws Error for what is no Jinja
 */
export function readJinja(source: string): Template {
  const body = within(SECONDS, "reading a Jinja template", () => parse(source));
  return {
    marks: hasGeneration(body),
    write: (values, marks) => {
      const named = Object.entries(values).map(([name, value]) => [name, fromJson(value)] as const);
      const scope = new Scope(new Scope(undefined, GLOBALS), named);
      const writer = new Writer(workWithin(counter()), marks);
      return within(SECONDS, "writing by a Jinja template", () => writer.text(body, scope));
    },
  };
}
