/**
 * What a step's program goes through before it becomes a graph.
 *
 * @module
 */
import { flow } from "fp-ts/function";
import { forwardCopies, type Pass, removeDead, simplify } from "../passes.ts";
import { recomputeForWeights } from "./recompute.ts";
import { multiplyRankOne } from "./rank_one.ts";
import { asRows } from "./rows.ts";
import { sinkTails } from "./sink.ts";

/** Simplifies, and puts products of columns and rows, and the ends of backward passes, where clusters can take them in. */
const prepare: Pass = flow(simplify, multiplyRankOne, forwardCopies, sinkTails);

/** The same, and what only gradients of whole weights still need is computed again for them. */
export const prepareGraph: Pass = flow(prepare, recomputeForWeights, removeDead);

/** The first for a step that becomes one function. */
export const prepareWhole: Pass = flow(simplify, asRows, prepare);
