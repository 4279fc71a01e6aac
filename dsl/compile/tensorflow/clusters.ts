/**
 * Clusters: groups of elementwise calls, and sums along rows between them, that one compiled kernel can do in one pass
 * over memory.
 *
 * @module
 */
import { sizeOf } from "../../tree.ts";
import { biasedProducts } from "../passes.ts";
import type { Call, Program, ValueId } from "../program.ts";
import type { Halved } from "./half.ts";

/** Kernels that compute each element from the elements in the same place. */
const ELEMENTWISE: ReadonlySet<string> = new Set([
  ..."Abs Add AddN Cast ClipByValue Cos Elu Equal Erf Exp Expm1 Greater GreaterEqual LeakyRelu Less LessEqual".split(
    " ",
  ),
  ..."Log Log1p LogicalAnd LogicalNot LogicalOr Maximum Minimum Multiply Neg NotEqual Pow RealDiv Reciprocal".split(
    " ",
  ),
  ..."Relu Relu6 Rsqrt Select Sigmoid Sign Sin Softplus Sqrt Square SquaredDifference Step Sub Tanh".split(" "),
]);

/** Kernels that reduce; those along rows are taken. */
const REDUCTIONS: ReadonlySet<string> = new Set(["Max", "Mean", "Min", "Sum"]);

/** The calls of a cluster, by their numbers in the program, in order. */
export type Cluster = readonly number[];

/** Whether a call can be in a cluster: yes, or only between calls that are. */
function fusible(call: Call, program: Program): boolean {
  if (ELEMENTWISE.has(call.kernel) || call.kernel === "Reshape") return true;
  if (!REDUCTIONS.has(call.kernel)) return false;
  const rank = program.types[call.inputs[0]].shape.length;
  const axes = [call.attrs.axis ?? call.attrs.reductionIndices].flat().map(Number);
  return axes.length === 1 && (axes[0] === rank - 1 || axes[0] === -1);
}

/**
 * Stretches of calls of one region, numbered: clusters stay within one, so that what is to be computed again later is.
 *
 * @param program The program
 * @returns Number of the stretch of every call
 */
export function segmentsOf(program: Program): readonly number[] {
  let segment = 0;
  return program.calls.map(({ region }, i) => i > 0 && region !== program.calls[i - 1].region ? ++segment : segment);
}

/** Whether one cluster needs results of another. */
function dependsOn(from: Iterable<number>, on: number, needs: readonly ReadonlySet<number>[]): boolean {
  const seen = new Set<number>();
  const stack = [...from];
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    if (next === on) return true;
    if (seen.has(next)) continue;
    seen.add(next);
    stack.push(...needs[next]);
  }
  return false;
}

/**
 * Finds clusters: every fusible call joins the last one that makes one of its inputs, unless that would have the
 * cluster wait for itself.
 *
 * @param program The program
 * @param least Size of the largest tensor that a cluster must at least work on
 * @param halved What is in bfloat16: a kernel converts what it reads and makes, so that one call alone is worth one
 */
export function clustersOf(program: Program, least: number, halved: Halved): readonly Cluster[] {
  const { calls, types } = program;
  const segment = segmentsOf(program);
  // A bias is added by the float32 matrix product itself.
  const biases = new Set(
    biasedProducts(program).filter(({ product }) => !halved.products.has(product)).map(({ add }) => add),
  );
  const members: number[][] = [];
  const needs: Set<number>[] = [];
  const home = new Map<ValueId, number>();
  const upstream = new Map<ValueId, ReadonlySet<number>>();
  const needed = (values: readonly ValueId[]) => new Set(values.flatMap((value) => [...upstream.get(value) ?? []]));
  calls.forEach((call, i) => {
    const joins = (cluster: number) => {
      if (segment[members[cluster][0]] !== segment[i]) return false;
      const others = call.inputs.filter((value) => home.get(value) !== cluster);
      return !dependsOn(needed(others), cluster, needs);
    };
    const isFusible = fusible(call, program) && !biases.has(call);
    const candidates = call.inputs.flatMap((value) => home.get(value) ?? []).sort((a, b) => b - a);
    let cluster = isFusible ? candidates.find(joins) : undefined;
    const isSeed = isFusible && call.kernel !== "Reshape";
    if (cluster === undefined && isSeed) {
      cluster = members.length;
      members.push([]);
      needs.push(new Set());
    }
    if (cluster === undefined) {
      const all = needed(call.inputs);
      for (const value of call.outputs) upstream.set(value, all);
      return;
    }
    members[cluster].push(i);
    const own = call.inputs.filter((value) => home.get(value) !== cluster);
    for (const other of needed(own)) needs[cluster].add(other);
    for (const value of call.outputs) {
      home.set(value, cluster);
      upstream.set(value, new Set([cluster]));
    }
  });
  const isWorthwhile = (cluster: Cluster) => {
    const values = cluster.flatMap((i) => [...calls[i].inputs, ...calls[i].outputs]);
    return values.some((value) => sizeOf(types[value].shape) >= least) &&
      (cluster.filter((i) => calls[i].kernel !== "Reshape").length > 1 ||
        values.some((value) => halved.values.has(value)));
  };
  return members.filter(isWorthwhile);
}
