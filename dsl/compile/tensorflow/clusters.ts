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
interface Drafts {
  /** Calls by cluster; undefined for one that was merged into another. */
  readonly members: (number[] | undefined)[];
  /** The cluster that makes a value. */
  readonly homeOf: (value: ValueId) => number | undefined;
  /** Begins a cluster; its number. */
  readonly begin: () => number;
  /** Puts a call into a cluster. */
  readonly put: (i: number, cluster: number) => void;
  /** Leaves a call out of all clusters. */
  readonly leave: (call: Call) => void;
  /** Merges a cluster into another. */
  readonly merge: (from: number, into: number) => void;
  /** Whether any of the values depends on a cluster. */
  readonly dependOn: (values: readonly ValueId[], cluster: number) => boolean;
  /** Whether neither of two clusters depends on the other by way of something else. */
  readonly areApart: (a: number, b: number) => boolean;
}

/** No clusters yet. */
function drafts({ calls }: Program, segment: readonly number[]): Drafts {
  const members: (number[] | undefined)[] = [];
  /** What a cluster was merged into. */
  const mergedInto: number[] = [];
  const home = new Map<ValueId, number>();
  /** The clusters that a value which none makes depends on; those that these depend on are left out. */
  const upstream = new Map<ValueId, readonly number[]>();
  /** For every cluster, those whose values it reads, and those that other values which it reads depend on. */
  const [direct, indirect]: [Set<number>[], Set<number>[]] = [[], []];
  /** The search that a cluster was last met in. */
  const met: number[] = [];
  let searches = 0;
  const now = (cluster: number): number => {
    let found = cluster;
    while (mergedInto[found] !== found) found = mergedInto[found] = mergedInto[mergedInto[found]];
    return found;
  };
  const homeOf = (value: ValueId) => {
    const cluster = home.get(value);
    return cluster === undefined ? undefined : now(cluster);
  };
  const above = (value: ValueId): readonly number[] => {
    const own = homeOf(value);
    return own === undefined ? upstream.get(value) ?? [] : [own];
  };
  /** Whether one of some clusters is one of those that are looked for, or depends on it. */
  const reach = (from: readonly number[], goals: readonly number[]): boolean => {
    searches++;
    // A cluster lies within a segment, and nothing depends on what comes later.
    const earliest = Math.min(...goals.map((goal) => segment[members[goal]![0]]));
    const stack = [...from];
    for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
      const cluster = now(next);
      if (goals.includes(cluster)) return true;
      if (met[cluster] === searches) continue;
      met[cluster] = searches;
      if (segment[members[cluster]![0]] < earliest) continue;
      stack.push(...direct[cluster], ...indirect[cluster]);
    }
    return false;
  };
  return {
    members,
    homeOf,
    begin: () => {
      const cluster = members.push([]) - 1;
      mergedInto.push(cluster);
      direct.push(new Set());
      indirect.push(new Set());
      return cluster;
    },
    put: (i, cluster) => {
      members[cluster]!.push(i);
      for (const value of calls[i].inputs) {
        const own = homeOf(value);
        if (own === undefined) { for (const each of upstream.get(value) ?? []) indirect[cluster].add(now(each)); }
        else if (own !== cluster) direct[cluster].add(own);
      }
      for (const value of calls[i].outputs) home.set(value, cluster);
    },
    leave: ({ inputs, outputs }) => {
      const all = [...new Set(inputs.flatMap((value) => above(value).map(now)))];
      for (const value of outputs) upstream.set(value, all);
    },
    merge: (from, into) => {
      for (const i of members[from]!) members[into]!.push(i);
      members[from] = undefined;
      mergedInto[from] = into;
      for (const each of direct[from]) direct[into].add(each);
      for (const each of indirect[from]) indirect[into].add(each);
      direct[into].delete(from);
      direct[into].delete(into);
    },
    dependOn: (values, cluster) => reach(values.flatMap(above), [cluster]),
    areApart: (a, b) => {
      const between = [...direct[a], ...direct[b]].filter((each) => now(each) !== a && now(each) !== b);
      return !reach([...between, ...indirect[a], ...indirect[b]], [a, b]);
    },
  };
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
  const { members, homeOf, begin, put, leave, merge, dependOn, areApart } = drafts(program, segment);
  const canJoin = (i: number) => isFusible(calls[i], program) && !biases.has(calls[i]);
  const sumOf = columnSums(program, (i, sum) => segment[i] === segment[sum] && canJoin(i));
  const columns = new Map<number, number>();
  calls.forEach((call, i) => {
    const sum = sumOf.get(i);
    if (sum !== undefined) {
      // What reads the sum does not join: a norm of all gradients would join all of them.
      if (!columns.has(sum)) columns.set(sum, begin());
      return put(i, columns.get(sum)!);
    }
    const candidates = new Set(call.inputs.flatMap((value) => homeOf(value) ?? []));
    const near = [...candidates].filter((cluster) =>
      segment[members[cluster]![0]] === segment[i] && !sumOf.has(members[cluster]![0])
    );
    const joined = canJoin(i) && !isExpanding(call, program) ? near.sort((a, b) => b - a) : [];
    const own = joined.find((cluster) => !dependOn(call.inputs.filter((value) => homeOf(value) !== cluster), cluster));
    if (own !== undefined) {
      put(i, own);
      for (const other of joined) {
        if (other !== own && areApart(own, other)) merge(other, own);
      }
    } else if (canJoin(i) && call.kernel !== "Reshape") {
      put(i, begin());
    } else leave(call);
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
