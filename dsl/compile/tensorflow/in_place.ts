/**
 * State that moves in place: a cluster that makes what variables are to be next, and nothing else, is given the variables
 * themselves and writes into their memory. New tensors beside the old ones would take that much more, and leave holes
 * between what is kept and what comes and goes.
 *
 * @module
 */
import { ELEMENT, type GraphBuilder } from "../../engine/tensorflow_graph/graph.ts";
import { readersOf } from "../uses.ts";
import type { Program, ValueId } from "../program.ts";
import { sizeOf } from "../../tree.ts";
import { type Cluster, isElementwise } from "./clusters.ts";
import { type Operand, T } from "./lowering.ts";
import { FUSE_FROM } from "./probe.ts";
import type { Variable } from "./variables.ts";

/** What a cluster moves. */
export interface Moved {
  /** Resources by the values that the cluster reads of them. */
  readonly variables: ReadonlyMap<ValueId, string>;
  /** What each of these is next. */
  readonly next: ReadonlyMap<ValueId, ValueId>;
  /** Control inputs: what must be over before. */
  readonly after: readonly string[];
  /** To be told the node that moves them. */
  readonly done: (node: string) => void;
}

/** State that clusters may move in place. */
export interface InPlace {
  /** What a cluster moves, if it is to move all that it makes. */
  readonly claim: (
    cluster: Cluster,
    inputs: readonly ValueId[],
    exported: readonly ValueId[],
    find: (value: ValueId) => Operand | undefined,
  ) => Moved | undefined;
  /** Nodes that moved state. */
  readonly nodes: readonly string[];
  /** The results that are not to be assigned any more. */
  readonly moved: ReadonlySet<ValueId>;
}

/** A condition in a graph. */
export interface Gate {
  /** What waits for this runs only where the condition holds. */
  readonly yes: string;
  /** A node that follows others, or the condition where it does not hold. */
  readonly close: (nodes: readonly string[]) => string;
}

/**
 * Lets nodes run only where a condition holds.
 *
 * @param graph Where to
 * @param condition Name of a truth value
 */
export function gateOf(graph: GraphBuilder, condition: string): Gate {
  const type = { T: T(ELEMENT.bool) };
  const branch = graph.add("Switch", [condition, condition], type);
  const [no, yes] = [branch, `${branch}:1`].map((output) => graph.add("Identity", [output], type));
  return {
    yes,
    close: (nodes) => {
      const done = graph.add("Identity", [yes, ...nodes.map((node) => `^${node}`)], type);
      return graph.add("Merge", [no, done], { ...type, N: { int: 2 } });
    },
  };
}

/** Nodes that give their input's memory another shape. */
const SHARING: ReadonlySet<string> = new Set(["Reshape", "Identity"]);

/** Which nodes read an output, those that read its memory by another shape among them. */
function readersIn({ graph: { nodes } }: GraphBuilder): (output: string) => readonly string[] {
  const readers = new Map<string, number[]>();
  let seen = 0;
  const find = (output: string): readonly string[] => {
    for (; seen < nodes.length; seen++) {
      for (const input of nodes[seen].inputs) readers.set(input, [...readers.get(input) ?? [], seen]);
    }
    return (readers.get(output) ?? []).flatMap((i) =>
      SHARING.has(nodes[i].op) ? [nodes[i].name, ...find(nodes[i].name)] : [nodes[i].name]
    );
  };
  return find;
}

/**
 * State that clusters may move in place.
 *
 * @param graph Where to
 * @param program The step
 * @param state The moving inputs, first of all outputs too, and their variables
 * @param gate What moving waits for, once it is known
 */
export function inPlace(
  graph: GraphBuilder,
  program: Program,
  state: readonly (readonly [ValueId, Variable])[],
  gate: (find: (value: ValueId) => Operand | undefined) => Gate | undefined,
): InPlace {
  const { outputs, types } = program;
  const timesOf = new Map<ValueId, number>();
  for (const value of outputs) timesOf.set(value, (timesOf.get(value) ?? 0) + 1);
  const targetOf = new Map(
    outputs.slice(0, state.length).flatMap((value, i) => timesOf.get(value) === 1 ? [[value, i] as const] : []),
  );
  const callsOf = readersOf(program);
  const nodesOf = readersIn(graph);
  const nodes: string[] = [];
  const moved = new Set<ValueId>();
  return {
    nodes,
    moved,
    claim: (cluster, inputs, exported, find) => {
      const own = new Set(cluster);
      const isReadOutside = (value: ValueId) => (callsOf.get(value) ?? []).some((i) => !own.has(i));
      const read = new Set(inputs);
      const pairs = exported.flatMap((value) => {
        const at = targetOf.get(value);
        if (at === undefined || isReadOutside(value)) return [];
        const [current, { handle, value: operand }] = state[at];
        const isSame = `${types[current].shape}` === `${types[value].shape}` && operand.type === ELEMENT.float32;
        return read.has(current) && isSame ? [{ value, current, handle, operand }] : [];
      });
      const condition = pairs.length > 0 && pairs.length === exported.length ? gate(find) : undefined;
      if (condition === undefined) return undefined;
      // The memory is free to be written into once all others that read it are done; one that is late is safe too, for then
      // the memory is not the variable's alone, and the cluster makes new memory.
      const others = pairs.flatMap(({ current, operand: { name } }) =>
        isReadOutside(current) ? [name, ...nodesOf(name)] : []
      );
      for (const { value } of pairs) moved.add(value);
      return {
        variables: new Map(pairs.map(({ current, handle }) => [current, handle])),
        next: new Map(pairs.map(({ current, value }) => [current, value])),
        after: [...new Set([condition.yes, ...others])].map((node) => `^${node}`),
        done: (node) => nodes.push(node),
      };
    },
  };
}

/**
 * The results of a step that will be written into the memory of what they replace, where clusters are compiled.
 *
 * @param program The step
 * @param moving How many of its results are what its moving state is next
 */
export function movedInPlace(program: Program, moving: number): ReadonlySet<ValueId> {
  const { calls, outputs, types } = program;
  const next = new Set(outputs.slice(0, moving));
  const made = calls.filter(isElementwise).flatMap((call) => call.outputs);
  return new Set(made.filter((value) => next.has(value) && sizeOf(types[value].shape) >= FUSE_FROM));
}
