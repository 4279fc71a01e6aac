/**
 * Sums down columns, the gradients of biases and gains: each with the elementwise calls that make its terms is a cluster
 * of its own. One pass over memory takes half the time of TensorFlow's own sum, and the terms are never written; joined
 * with the calls that make what it reads, it would compute those again.
 *
 * @module
 */
import type { Call, Program } from "../program.ts";

/** Whether a call sums over all axes but the last. */
function isColumnSum({ kernel, inputs, attrs }: Call, { types }: Program): boolean {
  if (kernel !== "Sum") return false;
  const rank = types[inputs[0]].shape.length;
  const axes = [attrs.axis ?? attrs.reductionIndices].flat().map(Number).sort();
  return rank > 1 && axes.length === rank - 1 && axes.every((axis, i) => axis === i);
}

/**
 * Finds them.
 *
 * @param program The program
 * @param isTerm Whether the call of a number can be compiled with the sum of another that alone reads it
 * @returns For the number of every call in such a cluster that of its sum
 */
export function columnSums(program: Program, isTerm: (call: number, sum: number) => boolean): Map<number, number> {
  const { calls } = program;
  const maker = new Map(calls.flatMap(({ outputs }, i) => outputs.map((value) => [value, i] as const)));
  const readers = calls.map(() => new Set<number>());
  calls.forEach(({ inputs }, i) => inputs.forEach((value) => readers[maker.get(value) ?? -1]?.add(i)));
  const results = new Set(program.outputs.map((value) => maker.get(value)));
  const sumOf = new Map<number, number>();
  // From the last call to the first: readers come before what they read.
  for (let i = calls.length - 1; i >= 0; i--) {
    if (isColumnSum(calls[i], program)) sumOf.set(i, i);
    else {
      const sums = new Set([...readers[i]].map((reader) => sumOf.get(reader)));
      const [sum] = sums;
      if (sums.size === 1 && sum !== undefined && !results.has(i) && isTerm(i, sum)) sumOf.set(i, sum);
    }
  }
  return sumOf;
}
