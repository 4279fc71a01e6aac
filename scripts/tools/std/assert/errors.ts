import { AssertionError, suffix } from "./assertion_error.ts";

/** A class of errors: what `instanceof` takes. */
// deno-lint-ignore no-explicit-any -- any argument list, as in lib.dom's own constructor types
export type ErrorClass<E extends Error = Error> = new (...args: any[]) => E;

/** What was caught, checked against a class and a part of its message. */
function checked<E extends Error>(
  caught: unknown,
  ErrorClass: ErrorClass<E> | undefined,
  msgIncludes: string | undefined,
  msg: string | undefined,
  verb: string,
): unknown {
  if (ErrorClass === undefined) return caught;
  if (!(caught instanceof Error)) throw new AssertionError(`A non-Error object was ${verb}${suffix(msg)}`);
  if (!(caught instanceof ErrorClass)) {
    throw new AssertionError(
      `Expected error to be instance of "${ErrorClass.name}", but was "${caught.constructor.name}" (${caught.message})${
        suffix(msg)
      }`,
      { cause: caught },
    );
  }
  if (msgIncludes !== undefined && !caught.message.includes(msgIncludes)) {
    throw new AssertionError(
      `Expected error message to include ${JSON.stringify(msgIncludes)}, but got ${JSON.stringify(caught.message)}${
        suffix(msg)
      }`,
      { cause: caught },
    );
  }
  return caught;
}

/** The overloaded tail `(msg?)` or `(ErrorClass, msgIncludes?, msg?)`, told apart. */
function sorted<E extends Error>(
  first: ErrorClass<E> | string | undefined,
  second: string | undefined,
  third: string | undefined,
): [ErrorClass<E> | undefined, string | undefined, string | undefined] {
  return typeof first === "string" ? [undefined, undefined, first] : [first, second, third];
}

/**
 * A function throws; gives back what it threw.
 *
 * @param fn The function
 * @param msg Said on failure
 */
export function assertThrows(fn: () => unknown, msg?: string): unknown;
/**
 * A function throws an error of a class; gives back the error.
 *
 * @param fn The function
 * @param ErrorClass The class of the error
 * @param msgIncludes A part of the error's message
 * @param msg Said on failure
 */
export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  ErrorClass: ErrorClass<E>,
  msgIncludes?: string,
  msg?: string,
): E;
export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  classOrMsg?: ErrorClass<E> | string,
  includesOrMsg?: string,
  msg?: string,
): unknown {
  const [ErrorClass, msgIncludes, said] = sorted(classOrMsg, includesOrMsg, msg);
  try {
    fn();
  } catch (caught) {
    return checked(caught, ErrorClass, msgIncludes, said, "thrown");
  }
  throw new AssertionError(`Expected function to throw${suffix(said)}`);
}

/**
 * A promise is rejected; gives back the reason.
 *
 * @param fn Makes the promise
 * @param msg Said on failure
 */
export function assertRejects(fn: () => PromiseLike<unknown>, msg?: string): Promise<unknown>;
/**
 * A promise is rejected with an error of a class; gives back the error.
 *
 * @param fn Makes the promise
 * @param ErrorClass The class of the error
 * @param msgIncludes A part of the error's message
 * @param msg Said on failure
 */
export function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  ErrorClass: ErrorClass<E>,
  msgIncludes?: string,
  msg?: string,
): Promise<E>;
export async function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  classOrMsg?: ErrorClass<E> | string,
  includesOrMsg?: string,
  msg?: string,
): Promise<unknown> {
  const [ErrorClass, msgIncludes, said] = sorted(classOrMsg, includesOrMsg, msg);
  let promise: PromiseLike<unknown>;
  try {
    promise = fn();
  } catch (caught) {
    throw new AssertionError(`Function throws when expected to reject${suffix(said)}`, { cause: caught });
  }
  try {
    await promise;
  } catch (caught) {
    return checked(caught, ErrorClass, msgIncludes, said, "rejected");
  }
  throw new AssertionError(`Expected function to reject${suffix(said)}`);
}
