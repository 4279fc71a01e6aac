/**
 * What a step's program goes through before it becomes a graph.
 *
 * @module
 */
import { flow } from "fp-ts/function";
import { forwardCopies, type Pass, removeDead, simplify } from "../passes.ts";
import type { Precision } from "../../engine/precision.ts";
import { inRegionOf, recomputeForWeights } from "./recompute.ts";
import { joinProducts } from "./join_products.ts";
import { centreSoftmaxGradients, joinColumnSums } from "./one_pass.ts";
import { multiplyColumns, multiplyRankOne } from "./rank_one.ts";
import { asRows } from "./rows.ts";
import { sinkTails } from "./sink.ts";
import { addBiasesAgain, recomputeValues } from "./values.ts";

/** Simplifies, and puts products of columns and rows, and the ends of backward passes, where clusters can take them in. */
const prepare: Pass = flow(simplify, multiplyRankOne, forwardCopies, sinkTails);

/** The same, and what only gradients of whole weights still need is computed again for them. */
export const prepareGraph: Pass = flow(prepare, (program) => recomputeForWeights(program), removeDead);

/** The same for a step that becomes one function, in rows. */
const prepareRows: Pass = flow(
  simplify,
  asRows,
  prepare,
  (program) => recomputeForWeights(program, inRegionOf(program)),
  removeDead,
);

/** Fewer and larger kernels. */
const joined: Pass = flow(
  centreSoftmaxGradients,
  joinProducts,
  multiplyColumns,
  addBiasesAgain,
  joinColumnSums,
  forwardCopies,
  removeDead,
);

/** For a step that becomes one function. */
export const prepareWhole: Pass = flow(prepareRows, joined);

/** The same where activations are float32, and so take twice as much: values of attention are computed again. */
const prepareWholeFloat: Pass = flow(prepareRows, recomputeValues, joined);

/**
 * What a step's program goes through.
 *
 * @param whole Whether it becomes one function
 * @param precision Of matrix products
 */
export function preparing(whole: boolean, precision: Precision): Pass {
  if (!whole) return prepareGraph;
  return precision === "float32" ? prepareWholeFloat : prepareWhole;
}
