/**
 * Jinja as Hugging Face's templates use it, within bounds: a template is a program that somebody else wrote.
 *
 * @module
 */
import { onDemand } from "../../dsl/on_demand.ts";
import { within } from "../../dsl/files/within.ts";
import { asPython, type Interpreter, type Value } from "./jinja_python.ts";

/** On demand: only chats need it. */
const LIBRARY = "npm:@huggingface/jinja@0.5.11";

/** Seconds that a template may take to be read, or to write a chat. */
const SECONDS = 5;
/** Most characters of a text, or items of a list, that a template makes. */
const MOST = { characters: 2 ** 24, items: 2 ** 20 };
/** Most characters and items that it makes in all. */
const MOST_IN_ALL = { characters: 2 ** 28, items: 2 ** 23 };

/** What is used of the library. */
interface Library {
  readonly Template: new (text: string) => { render(values: Readonly<Record<string, unknown>>): string };
  readonly Interpreter: { readonly prototype: Interpreter };
}

/** Parts of a template whose value was there before. */
const LOOKED_UP: readonly string[] = ["Identifier", "MemberExpression", "StringLiteral", "Program"];

let made = { characters: 0, items: 0 };

function tooMuch(what: string): Error {
  return new Error(`${what}, more than a chat needs`);
}

/** Counts a value that a template has made. */
function count(value: unknown): void {
  if (typeof value === "string") made.characters += value.length;
  else if (Array.isArray(value)) made.items += value.length;
  else return;
  for (const kind of ["characters", "items"] as const) {
    if (typeof value === "string" === (kind === "characters")) {
      const { length } = value;
      if (length > MOST[kind]) throw tooMuch(`${length} ${kind} at once`);
    }
    if (made[kind] > MOST_IN_ALL[kind]) throw tooMuch(`${made[kind]} ${kind} in all`);
  }
}

/** `range` refuses lists that are too long before they are made. */
function boundedRange(range: Value): Value {
  const own = range.value as (args: readonly Value[], scope: unknown) => Value;
  const Kind = range.constructor as new (call: typeof own) => Value;
  return new Kind((args, scope) => {
    const [first = 0, second, step = 1] = args.map(({ value }) => Number(value));
    const length = Math.abs((second === undefined ? first : second - first) / (step || 1));
    if (length > MOST.items) throw tooMuch(`${Math.ceil(length)} items at once`);
    return own(args, scope);
  });
}

let library: Promise<Library> | undefined;

/** The library, what it makes counted. */
async function load(): Promise<Library> {
  const loaded = await onDemand<Library>(LIBRARY);
  const { prototype } = loaded.Interpreter;
  asPython(prototype);
  const evaluate = prototype.evaluate;
  prototype.evaluate = function (node, environment) {
    const found = evaluate.call(this, node, environment);
    // The ends of a slice may be missing.
    if (node === undefined) return found;
    if (!LOOKED_UP.includes(node.type)) count(found?.value);
    const isRange = node.type === "Identifier" && node.value === "range" && typeof found.value === "function";
    return isRange ? boundedRange(found) : found;
  };
  return loaded;
}

/** A template that writes. */
export type Writer = (values: Readonly<Record<string, unknown>>) => string;

/**
 * Loads the library.
 *
 * @returns Reads a template; both that and its writing end within seconds and megabytes, else they throw
 * @throws OneloraError where it cannot be had
 */
export async function loadJinja(): Promise<(text: string) => Writer> {
  const { Template } = await (library ??= load()).catch((error) => {
    library = undefined;
    throw error;
  });
  return (text) => {
    const template = within(SECONDS, "reading a Jinja template", () => new Template(text));
    return (values) => {
      made = { characters: 0, items: 0 };
      return within(SECONDS, "writing by a Jinja template", () => template.render(values));
    };
  };
}
