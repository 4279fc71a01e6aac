/**
 * The order in which a program's calls and clusters become nodes, and what must wait for what.
 *
 * @module
 */
import { placesOf } from "../uses.ts";
import { isAlias, type Program, segmentsOf, type ValueId } from "../program.ts";
import type { Cluster } from "./clusters.ts";

/** A call, or a cluster of them, whose inputs are made by units before it. */
export interface Unit {
  /** Numbers of its calls in the program. */
  readonly calls: readonly number[];
  /** The values of a cluster that are read outside it; none for a call alone. */
  readonly exported?: readonly ValueId[];
  /** The stretch of calls of one region that it is made in, and that region. */
  readonly stretch: number;
  /** 0 outside of regions. */
  readonly region: number;
}

/**
 * Puts calls and clusters in order: a cluster comes when its first value is needed, with what it reads just before it.
 *
 * @param program The program
 * @param clusters Its clusters
 * @param given Values that are there
 */
export function schedule(
  program: Program,
  clusters: readonly Cluster[],
  given: ReadonlySet<ValueId>,
): readonly Unit[] {
  const { calls, constants } = program;
  const maker = new Map(calls.flatMap(({ outputs }, i) => outputs.map((value) => [value, i] as const)));
  const clusterOf = new Map(clusters.flatMap((cluster) => cluster.map((i) => [i, cluster] as const)));
  const outside = readOutside(program, clusterOf);
  const segment = segmentsOf(program);
  const made = new Set(given);
  const units: Unit[] = [];
  const place = (value: ValueId, at: number) => {
    if (!made.has(value) && !constants.has(value)) emit(maker.get(value)!, at);
  };
  const emit = (i: number, at: number) => {
    const cluster = clusterOf.get(i);
    const where = { stretch: segment[at], region: calls[at].region };
    if (cluster === undefined || isAlias(calls[i])) {
      calls[i].inputs.forEach((value) => place(value, at));
      units.push({ calls: [i], ...where });
      calls[i].outputs.forEach((value) => made.add(value));
      return;
    }
    const inner = new Set(cluster.flatMap((each) => calls[each].outputs));
    for (const value of cluster.flatMap((each) => calls[each].inputs)) if (!inner.has(value)) place(value, at);
    const exported = cluster.filter((each) => !isAlias(calls[each])).flatMap((each) => calls[each].outputs)
      .filter((value) => outside.has(value));
    units.push({ calls: cluster, exported, ...where });
    exported.forEach((value) => made.add(value));
  };
  calls.forEach((call, i) => {
    const isNeeded = !clusterOf.has(i) || call.outputs.some((value) => outside.has(value));
    if (isNeeded && !made.has(call.outputs[0])) emit(i, i);
  });
  return units;
}

/**
 * The values that depend on some inputs.
 *
 * @param program The program
 * @param inputs The inputs
 */
export function dependents({ calls }: Program, inputs: readonly ValueId[]): ReadonlySet<ValueId> {
  const varying = new Set(inputs);
  for (const { inputs, outputs } of calls) {
    if (inputs.some((value) => varying.has(value))) outputs.forEach((value) => varying.add(value));
  }
  return varying;
}

/** Values that are read outside the cluster that makes them; a reshape's reader outside reads what is reshaped. */
function readOutside(program: Program, clusterOf: ReadonlyMap<number, Cluster>): ReadonlySet<ValueId> {
  const { calls, outputs } = program;
  const maker = placesOf(calls);
  const read = new Set<ValueId>();
  const readFrom = (value: ValueId, cluster: Cluster | undefined) => {
    const i = maker.get(value);
    if (i === undefined || (cluster !== undefined && clusterOf.get(i) === cluster)) return;
    read.add(value);
    if (isAlias(calls[i])) readFrom(calls[i].inputs[0], undefined);
  };
  calls.forEach((call, i) => call.inputs.forEach((value) => readFrom(value, clusterOf.get(i))));
  outputs.forEach((value) => readFrom(value, undefined));
  return read;
}
