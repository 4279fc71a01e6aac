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
    super(`${problem.attempted}: found ${problem.found}; allowed: ${problem.allowed}`, { cause: options.cause });
    this.problem = problem;
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
  return ranked.length > 0 && ranked[0][0] <= Math.max(2, Math.floor(name.length / 3)) ? ranked[0][1] : undefined;
}

/**
 * A wrong-usage error (exit code 2) for a name that does not exist, with the nearest match and the whole list.
 *
 * @param what What kind of name it is, e.g. `adapter`
 * @param name What was typed
 * @param allowed The names that exist
 */
export function unknownName(what: string, name: string, allowed: readonly string[]): OneloraError {
  const near = nearest(name, allowed);
  return new OneloraError({
    attempted: `choosing ${what}`,
    found: `"${name}"${near === undefined ? "" : ` (did you mean "${near}"?)`}`,
    allowed: allowed.join(", "),
  }, { exitCode: 2 });
}

/**
 * First line of whatever was thrown.
 *
 * @param error An error, or anything else
 */
export function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).trim().split("\n")[0];
}
