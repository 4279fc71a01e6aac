/**
 * Promises at the border: what a command throws for the user to read becomes a value.
 *
 * @module
 */

import { left, right } from "fp-ts/Either";
import { OneloraError } from "../../dsl/error.ts";
import type { Flags } from "./flags.ts";
import type { Body } from "./main.ts";
import type { Parsed } from "./parse.ts";

/**
 * A command's body from an async function: its OneloraErrors become lefts, anything else stays a defect.
 *
 * @param action The function
 */
export function attempt<F extends Flags>(action: (parsed: Parsed<F>) => Promise<void>): Body<F> {
  return (parsed) => async () => {
    try {
      return right(await action(parsed));
    } catch (error) {
      if (error instanceof OneloraError) return left(error);
      throw error;
    }
  };
}
