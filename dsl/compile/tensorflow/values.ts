/**
 * Values of attention are computed again for their gradient, from the normalised activations that are kept anyway: one product
 * of four, for a quarter of what attention keeps. The backward pass reads them once, queries and keys twice.
 *
 * @module
 */
import { sizeOf } from "../../tree.ts";
import { placesOf, sourcesOf, usesOf } from "../uses.ts";
import { type Call, isAlias, type Program, segmentsOf, type ValueId } from "../program.ts";
import { isElementwise } from "./clusters.ts";
import { type Again, computedAgain, inRegionOf, LEAST_GAP } from "./recompute.ts";

/** Smaller results are kept. */
const LEAST = 2 ** 15;

/** Tensors of so many times fewer numbers are there. */
const SMALL = 64;

/** Chains of more calls are not computed again. */
const MOST_CALLS = 16;

/**
 * Computes such values again, before the stretch of calls that reads them.
 *
 * @param program The program
 */
export function recomputeValues(program: Program): Program {
  const { calls, types, outputs } = program;
  const results = new Set(outputs);
  const maker = placesOf(calls);
  const sourceOf = sourcesOf(program);
  const usedAt = usesOf(program);
  /** The calls that compute a value again before one that reads it, with one product among them. */
  const chainTo = (value: ValueId, before: number): readonly number[] | undefined => {
    const chain = new Set<number>();
    const isMade = (call: Call) => isAlias(call) || call.kernel === "Transpose" || isElementwise(call);
    const products = () => [...chain].filter((i) => calls[i].kernel === "BatchMatMul").length;
    const isThere = (needed: ValueId): boolean => {
      const made = maker.get(needed);
      if (made === undefined || chain.has(made)) return true;
      const source = sourceOf(needed);
      const isSmall = sizeOf(types[needed].shape) * SMALL <= sizeOf(types[value].shape);
      if (isSmall || source !== sourceOf(value) && usedAt(source).some((use) => use > before)) return true;
      chain.add(made);
      const isChained = isMade(calls[made]) || calls[made].kernel === "BatchMatMul" && products() === 1;
      return isChained && chain.size <= MOST_CALLS && calls[made].inputs.every(isThere);
    };
    return isThere(value) && products() === 1 ? [...chain].sort((a, b) => a - b) : undefined;
  };
  const place = inRegionOf(program);
  const again: Again[] = [];
  for (const { kernel, outputs: [value] } of calls) {
    if (kernel !== "Transpose" || sizeOf(types[value].shape) < LEAST || results.has(value)) continue;
    const uses = [...usedAt(value)].sort((a, b) => a - b);
    const last = uses.at(-1)!;
    if (uses.length < 2 || calls[last].kernel !== "BatchMatMul" || last - uses.at(-2)! < LEAST_GAP) continue;
    const chain = chainTo(value, last);
    if (chain !== undefined) again.push({ value, chain, ...place(last) });
  }
  return computedAgain(program, again);
}

/**
 * Sums of a product and small terms (a bias, an adapter's column times its row) that are read again much later are computed again
 * there from the product, which is kept in their place: otherwise both would be written, in one pass over memory more.
 *
 * @param program The program
 */
export function addBiasesAgain(program: Program): Program {
  const { calls, types, outputs } = program;
  const results = new Set(outputs);
  const maker = placesOf(calls);
  const usedAt = usesOf(program);
  /** The calls from a product to a value, if that is all it is made of besides small terms. */
  const chainFrom = (value: ValueId): readonly number[] | undefined => {
    const chain = new Set<number>();
    const size = sizeOf(types[value].shape);
    let products = 0;
    const isMade = (needed: ValueId): boolean => {
      const made = maker.get(needed);
      if (sizeOf(types[needed].shape) * SMALL <= size) return true;
      if (made === undefined) return false;
      if (chain.has(made)) return true;
      const { kernel, inputs } = calls[made];
      if (
        kernel === "BatchMatMul" || kernel === "Slice" && calls[maker.get(inputs[0]) ?? made].kernel === "BatchMatMul"
      ) {
        products++;
        if (kernel === "Slice") chain.add(made);
        return products === 1;
      }
      // A column times a row is made again of both.
      const isTerm = kernel === "Add" || isAlias(calls[made]) || kernel === "Multiply";
      chain.add(made);
      return isTerm && chain.size <= MOST_BIASES && inputs.every(isMade);
    };
    return isMade(value) && products === 1 && chain.size > 0 ? [...chain].sort((a, b) => a - b) : undefined;
  };
  const place = inRegionOf(program);
  const segment = segmentsOf(program);
  const again: Again[] = [];
  for (const { kernel, outputs: [value] } of calls) {
    if (kernel !== "Add" || sizeOf(types[value].shape) < LEAST || results.has(value)) continue;
    const uses = [...usedAt(value)].sort((a, b) => a - b);
    const first = uses.findIndex((use, i) => i > 0 && use - uses[i - 1] >= LEAST_GAP);
    const chain = first < 0 ? undefined : chainFrom(value);
    if (chain === undefined) continue;
    // Each stretch of calls for itself: what one handed on to the next would be written too.
    const stretches = Map.groupBy(uses.slice(first), (use) => segment[use]);
    for (const [late] of stretches.values()) again.push({ value, chain, ...place(late) });
  }
  return computedAgain(program, again);
}

/** Calls that add small terms to a product, at most. */
const MOST_BIASES = 8;
