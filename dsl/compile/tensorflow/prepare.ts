/**
 * What a step's program goes through before it becomes a graph.
 *
 * @module
 */
import { flow } from "fp-ts/function";
import { forwardCopies, type Pass, simplify } from "../passes.ts";
import { multiplyRankOne } from "./rank_one.ts";
import { asRows } from "./rows.ts";
import { sinkTails } from "./sink.ts";

/** Simplifies, and puts products of columns and rows, and the ends of backward passes, where clusters can take them in. */
export const prepareGraph: Pass = flow(simplify, multiplyRankOne, forwardCopies, sinkTails);

/** The same for a step that becomes one function. */
export const prepareWhole: Pass = flow(simplify, asRows, prepareGraph);
