/**
 * A step as a graph whose state lives in variables.
 *
 * @module
 */
import {
  ELEMENT,
  elementOf,
  type ElementType,
  type Graph,
  type GraphBuilder,
  graphBuilder,
} from "../../engine/tensorflow_graph/graph.ts";
import type { Precision } from "../../engine/precision.ts";
import type { Program, ValueId } from "../program.ts";
import { halve, nothingHalved } from "./half.ts";
import { lower } from "./lower.ts";
import { type Operand, T } from "./lowering.ts";

/** A step's program and what its values are. */
export interface StepProgram {
  /** Inputs: fixed state, moving state, batch. Outputs: moving state, metrics. */
  readonly program: Program;
  /** How many inputs are fixed. */
  readonly fixed: number;
  /** How many inputs, and outputs, are moving. */
  readonly moving: number;
  /** Number of the output that decides whether the state moves on: only if it is finite. */
  readonly loss: number;
}

/** Names of the nodes that a session of the graph uses. */
export interface StepGraph {
  /** The graph. */
  readonly graph: Graph;
  /** Takes in fixed and moving state, in order. */
  readonly uploads: { readonly fixed: readonly string[]; readonly moving: readonly string[] };
  /** Element types of the fixed state. */
  readonly fixedTypes: readonly ElementType[];
  /** To be asked for after feeding state. */
  readonly uploaded: { readonly fixed: string; readonly moving: string };
  /** The state as it is. */
  readonly values: { readonly fixed: readonly string[]; readonly moving: readonly string[] };
  /** Takes in the batch. */
  readonly batch: readonly string[];
  /** A step's metrics; asking for them makes the state move on. */
  readonly metrics: readonly string[];
}

/** A variable of the session. */
interface Variable {
  readonly handle: string;
  readonly upload: string;
  readonly assigned: string;
  readonly value: Operand;
}

function variable(
  graph: GraphBuilder,
  name: string,
  { shape, type }: { readonly shape: readonly number[]; readonly type: ElementType },
): Variable {
  const dtype = { dtype: T(type) };
  const handle = graph.add("VarHandleOp", [], {
    ...dtype,
    shape: { shape },
    shared_name: { text: name },
    container: { text: "" },
  }, name);
  const upload = graph.add("Placeholder", [], { ...dtype, shape: { shape } }, `${name}_upload`);
  const assigned = graph.add("AssignVariableOp", [handle, upload], dtype, `${name}_set`);
  const value = graph.add("ReadVariableOp", [handle], dtype, `${name}_value`);
  return { handle, upload, assigned, value: { name: value, shape, type } };
}

/** A node that can be asked for once others have run. */
function after(graph: GraphBuilder, nodes: readonly string[], name: string): string {
  const tensor = { type: ELEMENT.bool, shape: [], bytes: Uint8Array.of(1) };
  return graph.add("Const", nodes.map((node) => `^${node}`), { dtype: T(ELEMENT.bool), value: { tensor } }, name);
}

/**
 * Lets nodes run only where a condition holds, and gives a node that follows either way.
 *
 * @param make Makes the nodes, which must wait for the node given
 */
function onlyIf(graph: GraphBuilder, condition: string, make: (wait: string) => readonly string[]): string {
  const type = { T: T(ELEMENT.bool) };
  const branch = graph.add("Switch", [condition, condition], type);
  const [no, yes] = [branch, `${branch}:1`].map((output) => graph.add("Identity", [output], type));
  const done = graph.add("Identity", [yes, ...make(yes).map((node) => `^${node}`)], type);
  return graph.add("Merge", [no, done], { ...type, N: { int: 2 } });
}

/**
 * Builds the graph. All variables are read before any is assigned; the moving ones are assigned only if the loss is
 * finite.
 *
 * @param step The step
 * @param fuseFrom Clusters of elementwise calls that work on tensors of at least this size are compiled
 * @param precision Precision of frozen weights and matrix products
 * @throws OneloraError for kernels and types that TensorFlow graphs are not made of here
 */
export function stepGraph(
  { program, fixed, moving, loss }: StepProgram,
  fuseFrom: number,
  precision: Precision,
): StepGraph {
  const graph = graphBuilder();
  const halved = precision === "bf16" ? halve(program, fixed) : nothingHalved;
  const typeOf = (value: ValueId) => ({
    shape: program.types[value].shape,
    type: halved.values.has(value) ? ELEMENT.bfloat16 : elementOf(program.types[value].dtype),
  });
  const closedOver = [...program.constants].filter(([, { kind }]) => kind === "tensor").map(([value]) => value);
  const fixedValues = [...program.inputs.slice(0, fixed), ...closedOver];
  const movingValues = program.inputs.slice(fixed, fixed + moving);
  const fixedVariables = fixedValues.map((value, i) => variable(graph, `fixed${i}`, typeOf(value)));
  const movingVariables = movingValues.map((value, i) => variable(graph, `moving${i}`, typeOf(value)));
  const batch = program.inputs.slice(fixed + moving).map((value, i) => {
    const { shape, type } = typeOf(value);
    const name = graph.add("Placeholder", [], { dtype: T(type), shape: { shape } }, `batch${i}`);
    return [value, { name, shape, type }] as const;
  });
  const given = new Map<ValueId, Operand>([
    ...fixedValues.map((value, i) => [value, fixedVariables[i].value] as const),
    ...movingValues.map((value, i) => [value, movingVariables[i].value] as const),
    ...batch,
  ]);
  const place = lower(graph, { program, given, halved }, fuseFrom, program.inputs.slice(fixed + moving));
  const results = program.outputs.map(place);
  const isFinite = graph.add("IsFinite", [results[loss].name], { T: T(results[loss].type) });
  const moved = onlyIf(
    graph,
    isFinite,
    (wait) =>
      movingVariables.map(({ handle, value }, i) =>
        graph.add("AssignVariableOp", [handle, results[i].name, `^${value.name}`, `^${wait}`], { dtype: T(value.type) })
      ),
  );
  const metrics = results.slice(moving).map(({ name, type }, i) =>
    graph.add("Identity", [name, `^${moved}`], { T: T(type) }, `metric${i}`)
  );
  const names = (variables: readonly Variable[]) => ({
    uploads: variables.map(({ upload }) => upload),
    values: variables.map(({ value }) => value.name),
    uploaded: variables.map(({ assigned }) => assigned),
  });
  const [ofFixed, ofMoving] = [names(fixedVariables), names(movingVariables)];
  return {
    graph: graph.graph,
    uploads: { fixed: ofFixed.uploads, moving: ofMoving.uploads },
    fixedTypes: fixedVariables.map(({ value }) => value.type),
    uploaded: {
      fixed: after(graph, ofFixed.uploaded, "fixed_uploaded"),
      moving: after(graph, ofMoving.uploaded, "moving_uploaded"),
    },
    values: { fixed: ofFixed.values, moving: ofMoving.values },
    batch: batch.map(([, { name }]) => name),
    metrics,
  };
}
