/**
 * What a step's program goes through before it becomes a graph.
 *
 * @module
 */
import { flow } from "fp-ts/function";
import { forwardCopies, type Pass, simplify } from "../passes.ts";
import { multiplyRankOne } from "./rank_one.ts";

/** Simplifies, and lets products of columns and rows take part in clusters. */
export const prepareGraph: Pass = flow(simplify, multiplyRankOne, forwardCopies);
