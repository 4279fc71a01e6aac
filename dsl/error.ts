/**
 * The one error users see: a single line that says what was attempted, what was found and what is allowed.
 *
 * @module
 */

/** What went wrong, as data. */
export interface Problem {
  /** What was being done, e.g. `reading model.safetensors`. */
  readonly attempted: string;
  /** What was there instead, e.g. `a header of 9 bytes`. */
  readonly found: string;
  /** What would have been accepted, e.g. `a header of at least 10 bytes`. */
  readonly allowed: string;
}

/** Most characters of each part of a message. */
const MOST_CHARACTERS = 2000;

/** What moves a terminal's cursor, hides text or turns it round: control characters, bidirectional ones, unpaired surrogates. */
// deno-lint-ignore no-control-regex
const UNPRINTABLE = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]|\p{Cs}/gu;

/**
 * Text from anywhere as a line for a terminal: what is no printable character is written as its code, what is too long is cut.
 *
 * @param text Any text
 * @param most Most characters
 *
 * @example
 * ```ts
 * import { printable } from "./error.ts";
 * import { assertEquals } from "@std/assert";
 * assertEquals(printable("red: \u001b[31m\nnext"), "red: \\u001b[31m next");
 * assertEquals(printable("abcdef", 3), "abc... (6 characters)");
 * ```
 */
export function printable(text: string, most: number = MOST_CHARACTERS): string {
  const cut = text.length > most ? `${text.slice(0, most)}... (${text.length} characters)` : text;
  return cut.replace(/[ \t]*[\r\n]\s*|\t/g, " ").replace(
    UNPRINTABLE,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/**
 * What a system says of a file, without its number and call: `no such file or directory` of
 * `NotFound, No such file or directory (os error 2): stat 'a'`, with the file where the reader does not know it yet.
 */
function plainly(found: string, attempted: string): string {
  const [, words, path] = /^(?:[A-Z]\w+, )?([A-Z][^()]*) \(os error \d+\)(?:: \w+ '(.*)')?$/.exec(found) ?? [];
  if (words === undefined) return found;
  // Each system says it in words of its own.
  const isMissing = found.startsWith("NotFound, ") || /^No such file|cannot find/.test(words);
  const said = isMissing ? "no such file or directory" : words[0].toLowerCase() + words.slice(1);
  return path === undefined || attempted.includes(path) ? said : `${said}: ${path}`;
}

/**
 * A failure the user can act on. Its message is `attempted: found X; allowed: Y`.
 *
 * @example
 * ```ts
 * import { OneloraError } from "@onelora/onelora/dsl";
 * import { assertEquals } from "@std/assert";
 * const error = new OneloraError({ attempted: "reading rank", found: "-1", allowed: "a positive integer" });
 * assertEquals(error.message, "reading rank: found -1; allowed: a positive integer");
 * ```
 */
export class OneloraError extends Error {
  /** Always `OneloraError`. */
  override readonly name = "OneloraError";
  /** The parts of the message. */
  readonly problem: Problem;
  /** Process exit code: 1 for failures, 2 for wrong usage (unknown flag, name or value). */
  readonly exitCode: 1 | 2;

  /**
   * Makes the error; its message is composed of the problem's parts.
   *
   * @param problem What was attempted, found and allowed
   * @param options `exitCode` 2 marks wrong usage; `cause` keeps the original error
   */
  constructor(problem: Problem, options: { exitCode?: 1 | 2; cause?: unknown } = {}) {
    const { attempted, found, allowed } = problem;
    const shown = {
      attempted: printable(attempted),
      found: plainly(printable(found), attempted),
      allowed: printable(allowed),
    };
    super(`${shown.attempted}: found ${shown.found}; allowed: ${shown.allowed}`, { cause: options.cause });
    this.problem = shown;
    this.exitCode = options.exitCode ?? 1;
  }
}

/** Levenshtein distance between two short names. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next[j] = Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1));
    }
    row = next;
  }
  return row[b.length];
}

/**
 * The allowed name nearest to what was typed, if any is near enough to be a slip.
 *
 * @param name What was typed
 * @param allowed The names that exist
 */
export function nearest(name: string, allowed: readonly string[]): string | undefined {
  const ranked = allowed.map((each) => [distance(name.toLowerCase(), each.toLowerCase()), each] as const)
    .sort((a, b) => a[0] - b[0]);
  // Of a name whose every letter would have to change nothing is near.
  const most = Math.min(Math.max(2, Math.floor(name.length / 3)), name.length - 1);
  if (ranked.length > 0 && ranked[0][0] <= most) return ranked[0][1];
  // A part of one name alone: "classification".
  const around = name.length < 4 ? [] : allowed.filter((each) => each.toLowerCase().includes(name.toLowerCase()));
  return around.length === 1 ? around[0] : undefined;
}

/**
 * A wrong-usage error (exit code 2) for a name that does not exist, with the nearest match and the whole list.
 *
 * @param what What kind of name it is, e.g. `adapter`
 * @param name What was typed
 * @param allowed The names that exist
 * @param meant The one that is meant, where that is known (default: the nearest)
 */
export function unknownName(
  what: string,
  name: string,
  allowed: readonly string[],
  meant: string | undefined = nearest(name, allowed),
): OneloraError {
  return new OneloraError({
    attempted: `choosing ${what}`,
    found: `"${name}"${meant === undefined ? "" : ` (did you mean "${meant}"?)`}`,
    allowed: allowed.join(", "),
  }, { exitCode: 2 });
}

/**
 * What was thrown, in words, without what JSON's parser quotes of a file: that may be somebody else's, behind a link.
 *
 * @param error An error, or anything else
 */
export function messageOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return error instanceof SyntaxError
    ? message.replace(/, (?:\.\.\.)?"[^]*"(?:\.\.\.)? is not/, ": this is not")
    : message;
}

/**
 * First line of whatever was thrown.
 *
 * @param error An error, or anything else
 */
export function firstLine(error: unknown): string {
  return messageOf(error).trim().split("\n")[0];
}
