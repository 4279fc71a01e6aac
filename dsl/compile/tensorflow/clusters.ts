/**
 * Clusters: groups of elementwise calls, and sums along rows between them, that one compiled kernel can do in one pass
 * over memory.
 *
 * @module
 */
import { sizeOf } from "../../tree.ts";
import { biasedProducts } from "../passes.ts";
import { type Call, type Program, segmentsOf, type ValueId } from "../program.ts";
import { columnSums } from "./columns.ts";
import type { Halved } from "./half.ts";

/** Kernels that compute each element from the elements in the same place. */
const ELEMENTWISE: ReadonlySet<string> = new Set([
  ..."Abs Add AddN Cast ClipByValue Cos DropoutMask Elu Equal Erf Exp Expm1 Greater GreaterEqual LeakyRelu Less LessEqual"
    .split(
      " ",
    ),
  ..."Log Log1p LogicalAnd LogicalNot LogicalOr Maximum Minimum Multiply Neg NotEqual Pow RealDiv Reciprocal".split(
    " ",
  ),
  ..."Relu Relu6 Rsqrt Select Sigmoid Sign Sin Softplus Sqrt Square SquaredDifference Step Sub Tanh".split(" "),
]);

/**
 * Whether a call computes each element from the elements in the same place.
 *
 * @param call The call
 */
export function isElementwise({ kernel }: Call): boolean {
  return ELEMENTWISE.has(kernel);
}

/** Kernels that reduce; those along rows are taken. */
const REDUCTIONS: ReadonlySet<string> = new Set(["Max", "Mean", "Min", "Sum"]);

/** The calls of a cluster, by their numbers in the program, in order. */
export type Cluster = readonly number[];

/**
 * Whether a call can be in a cluster.
 *
 * @param call The call
 * @param program Its program
 */
export function isFusible(call: Call, program: Program): boolean {
  if (ELEMENTWISE.has(call.kernel) || call.kernel === "Reshape") return true;
  if (!REDUCTIONS.has(call.kernel)) return false;
  const rank = program.types[call.inputs[0]].shape.length;
  const axes = [call.attrs.axis ?? call.attrs.reductionIndices].flat().map(Number);
  return axes.length === 1 && (axes[0] === rank - 1 || axes[0] === -1);
}

/** Whether a call makes something larger of what it reads: that is left to the cluster that reads it. */
function isExpanding({ inputs, outputs: [output] }: Call, { types }: Program): boolean {
  return inputs.every((value) => sizeOf(types[value].shape) < sizeOf(types[output].shape));
}

/** Clusters in the making. */
interface Draft {
  /** Calls by cluster; undefined for one that was merged into another. */
  readonly members: (number[] | undefined)[];
  /** The cluster that makes a value. */
  readonly home: Map<ValueId, number>;
  /** The clusters that a value depends on, or the one that makes it; those that these depend on are left out. */
  readonly upstream: Map<ValueId, ReadonlySet<number>>;
}

/** Values that a cluster, and another that it may be merged with, take from elsewhere. */
function taken({ members, home }: Draft, { calls }: Program, clusters: readonly number[]): readonly ValueId[] {
  return clusters.flatMap((cluster) => members[cluster] ?? []).flatMap((i) => calls[i].inputs)
    .filter((value) => !clusters.includes(home.get(value) ?? -1));
}

/** Whether any of the values depends on one of the clusters. */
function dependOn(draft: Draft, program: Program, values: readonly ValueId[], clusters: readonly number[]): boolean {
  const seen = new Set<number>();
  const stack = values.flatMap((value) => [...draft.upstream.get(value) ?? []]);
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    if (clusters.includes(next)) return true;
    if (seen.has(next)) continue;
    seen.add(next);
    stack.push(...taken(draft, program, [next]).flatMap((value) => [...draft.upstream.get(value) ?? []]));
  }
  return false;
}

/**
 * Finds clusters: every fusible call joins those that make its inputs, and joins them with each other, unless a cluster
 * would then wait for itself.
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
  const draft: Draft = { members: [], home: new Map(), upstream: new Map() };
  const { members, home, upstream } = draft;
  const put = (i: number, cluster: number) => {
    members[cluster]!.push(i);
    for (const value of calls[i].outputs) {
      home.set(value, cluster);
      upstream.set(value, new Set([cluster]));
    }
  };
  const merge = (from: number, into: number) => {
    const moved = members[from]!;
    members[from] = undefined;
    moved.forEach((i) => put(i, into));
    for (const [value, clusters] of upstream) {
      if (clusters.has(from)) upstream.set(value, new Set([...clusters, into].filter((each) => each !== from)));
    }
  };
  const canJoin = (i: number) => isFusible(calls[i], program) && !biases.has(calls[i]);
  const sumOf = columnSums(program, (i, sum) => segment[i] === segment[sum] && canJoin(i));
  const columns = new Map<number, number>();
  calls.forEach((call, i) => {
    const sum = sumOf.get(i);
    if (sum !== undefined) {
      // What reads the sum does not join: a norm of all gradients would join all of them.
      if (!columns.has(sum)) columns.set(sum, members.push([]) - 1);
      return put(i, columns.get(sum)!);
    }
    const candidates = new Set(call.inputs.flatMap((value) => home.get(value) ?? []));
    const near = [...candidates].filter((cluster) =>
      segment[members[cluster]![0]] === segment[i] && !sumOf.has(members[cluster]![0])
    );
    const joined = canJoin(i) && !isExpanding(call, program) ? near.sort((a, b) => b - a) : [];
    const own = joined.find((cluster) =>
      !dependOn(draft, program, call.inputs.filter((value) => home.get(value) !== cluster), [cluster])
    );
    if (own !== undefined) {
      put(i, own);
      for (const other of joined) {
        const both = [own, other];
        if (other !== own && !dependOn(draft, program, taken(draft, program, both), both)) merge(other, own);
      }
    } else if (canJoin(i) && call.kernel !== "Reshape") {
      members.push([]);
      put(i, members.length - 1);
    } else {
      const all = new Set(call.inputs.flatMap((value) => [...upstream.get(value) ?? []]));
      for (const value of call.outputs) upstream.set(value, all);
    }
  });
  const isWorthwhile = (cluster: Cluster) => {
    const values = cluster.flatMap((i) => [...calls[i].inputs, ...calls[i].outputs]);
    return values.some((value) => sizeOf(types[value].shape) >= least) &&
      (cluster.filter((i) => calls[i].kernel !== "Reshape").length > 1 || sumOf.has(cluster[0]) ||
        values.some((value) => halved.values.has(value)));
  };
  return members.flatMap((cluster) =>
    cluster !== undefined && isWorthwhile(cluster) ? [cluster.sort((a, b) => a - b)] : []
  );
}
