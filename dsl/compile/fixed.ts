/**
 * What is the same in every run of a program.
 *
 * @module
 */
import { bytesOf, type Program, type ValueId } from "./program.ts";

/** Largest value worth keeping between runs, in bytes: past that, computing it again costs less than the memory. */
const FOLDED_BYTES = 2 ** 18;

/**
 * The values that are the same in every run and small enough to be kept: constants, and what is computed from them alone.
 *
 * @param program The program
 */
export function fixedValues(program: Program): ReadonlySet<ValueId> {
  const fixed = new Set(program.constants.keys());
  for (const { inputs, outputs } of program.calls) {
    const isFixed = inputs.every((value) => fixed.has(value)) &&
      outputs.every((value) => bytesOf(program.types[value]) <= FOLDED_BYTES);
    if (isFixed) { for (const value of outputs) fixed.add(value); }
  }
  return fixed;
}
