/** What every assertion throws when it does not hold. */
export class AssertionError extends Error {
  /** Always `AssertionError`. */
  override readonly name: string = "AssertionError";

  /**
   * Makes the error.
   *
   * @param message What did not hold
   * @param options The original error, as `cause`
   */
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
  }
}

/**
 * Throws an {@linkcode AssertionError} when a condition does not hold.
 *
 * @param expr The condition, as a truthy or falsy value
 * @param msg Said on failure
 */
export function assert(expr: unknown, msg = ""): asserts expr {
  if (!expr) throw new AssertionError(msg);
}

/**
 * Fails always.
 *
 * @param msg Why
 */
export function fail(msg?: string): never {
  throw new AssertionError(`Failed assertion${msg ? `: ${msg}` : "."}`);
}

/**
 * Marks a line that is never reached.
 *
 * @param msg Why it cannot be reached
 */
export function unreachable(msg?: string): never {
  throw new AssertionError(`Unreachable${msg ? `: ${msg}` : "."}`);
}

/** The caller's message as a tail of the failure's own sentence. */
export function suffix(msg: string | undefined): string {
  return msg ? `: ${msg}` : ".";
}
