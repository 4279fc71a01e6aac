/**
 * A step as a graph whose state lives in variables.
 *
 * @module
 */
import {
  ELEMENT,
  type ElementType,
  type Graph,
  type GraphBuilder,
  graphBuilder,
} from "../../engine/tensorflow_graph/graph.ts";
import type { Precision } from "../../engine/precision.ts";
import type { ValueId } from "../program.ts";
import { after, type Feed, feedOf } from "./feed.ts";
import { functionBuilder, type NodeSink } from "./function_builder.ts";
import { halve, nothingHalved } from "./half.ts";
import { lower } from "./lower.ts";
import type { Source } from "./emitter.ts";
import { type Gate, gateOf, inPlace } from "./in_place.ts";
import { inType, type Operand, T } from "./lowering.ts";
import type { StepProgram } from "./step_program.ts";
import { fixedVariables, namesOf, typeIn, type Variable, variable, vectorVariable } from "./variables.ts";
import { joinState } from "./vectors.ts";
import { type Held, lowerWhole } from "./whole.ts";

/** How a step becomes a graph. */
export interface StepGraphOptions {
  /** Clusters of elementwise calls that work on tensors of at least this size are compiled. */
  readonly fuseFrom: number;
  /** Precision of frozen weights and matrix products. */
  readonly precision: Precision;
  /** Compile the whole step as one function. */
  readonly whole: boolean;
  /**
   * Take numbers of the batch as int32 words, which the addon leaves on the host until the graph sends them, and hold them in
   * variables: what is the same as in the step before is not sent again, and the next batch can be sent while a step runs.
   */
  readonly words: boolean;
  /** For each tensor of the batch whether it is the same in every step (default: it is not). */
  readonly staying?: readonly boolean[];
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
  readonly batch: readonly Feed[];
  /** A step's metrics as one vector; asking for it makes the state move on. */
  readonly metrics: string;
}

/** What a step computes, as nodes of the graph. */
interface Computed {
  /**
   * The next moving state; where the loss is not finite, the same again, or nothing that may be assigned. None for what has
   * moved in place.
   */
  readonly moving: readonly (string | undefined)[];
  /** Metrics as a float32 vector. */
  readonly metrics: string;
  /** Where moving state may be assigned only if a condition holds. */
  readonly gate?: Gate;
  /** Nodes that moved state in place. */
  readonly moved?: readonly string[];
}

/** Metrics as a float32 vector. */
function vector({ add }: NodeSink, metrics: readonly Operand[]): string {
  const floats = metrics.map((each) => inType(each, ELEMENT.float32, add));
  return add("Pack", floats, { T: T(ELEMENT.float32), N: { int: floats.length }, axis: { int: 0 } });
}

/** The step as nodes of the graph itself, clusters of elementwise calls compiled. */
function asNodes(
  graph: GraphBuilder,
  step: StepProgram,
  source: Source,
  fuseFrom: number,
  variables: readonly Variable[],
): Computed {
  const { program, fixed, moving, loss } = step;
  let gate: Gate | undefined;
  const gateFor = (find: (value: ValueId) => Operand | undefined): Gate | undefined => {
    const found = gate === undefined ? find(program.outputs[loss]) : undefined;
    if (found !== undefined) gate = gateOf(graph, graph.add("IsFinite", [found.name], { T: T(found.type) }));
    return gate;
  };
  const state = variables.map((each, i) => [program.inputs[fixed + i], each] as const);
  const own = inPlace(graph, program, state, gateFor);
  const place = lower(graph, source, fuseFrom, program.inputs.slice(fixed + moving), own);
  return {
    moving: program.outputs.slice(0, moving).map((value) => own.moved.has(value) ? undefined : place(value).name),
    metrics: vector(graph, program.outputs.slice(moving).map(place)),
    gate: gateFor(place),
    moved: own.nodes,
  };
}

/**
 * The step as one compiled function. It takes variables themselves: hundreds of nodes that read them would run before it, and
 * what moving ones are next is written into their memory, where results beside them would take as much again. Where the loss is
 * not finite they stay what they are.
 */
function asFunction(
  graph: GraphBuilder,
  step: StepProgram,
  source: Source,
  variableOf: ReadonlyMap<ValueId, Variable>,
): Computed {
  const { program, fixed, moving, loss } = step;
  const state = program.inputs.slice(fixed, fixed + moving);
  const others = new Set(program.inputs.slice(fixed + moving));
  const held: Held = {
    fixed: [...program.inputs.slice(0, fixed), ...program.constants.keys()],
    moving: [...source.given.keys()].filter((value) => !others.has(value)),
  };
  const body = functionBuilder();
  const operands = [...source.given].map(([value, operand], i) => {
    const [variable, input] = [variableOf.get(value), `input${i}`];
    const name = variable === undefined
      ? input
      : body.add("ReadVariableOp", [input], { dtype: T(variable.value.type) });
    return {
      value,
      input,
      given: { ...operand, name },
      from: variable?.handle ?? operand.name,
      isVariable: variable !== undefined,
    };
  });
  const given = new Map(operands.map(({ value, given }) => [value, given]));
  const place = lowerWhole(body, { ...source, given }, held);
  const results = program.outputs.map(place);
  const isFinite = body.add("IsFinite", [results[loss].name], { T: T(results[loss].type) });
  state.forEach((value, i) => {
    const { input, given: before } = operands.find((operand) => operand.value === value)!;
    const next = body.add("SelectV2", [isFinite, results[i].name, before.name], { T: T(before.type) });
    body.add("AssignVariableOp", [input, next], { dtype: T(before.type) });
  });
  const metrics: Operand = { name: vector(body, results.slice(moving)), shape: [], type: ELEMENT.float32 };
  const types = operands.map(({ given, isVariable }) => isVariable ? ELEMENT.resource : given.type);
  const made = body.finish(types, [metrics]);
  const node = graph.add("StatefulPartitionedCall", operands.map(({ from }) => from), {
    Tin: { types: made.inputs },
    Tout: { types: made.outputs.map(({ type }) => type) },
    f: { function: graph.define(made) },
    _XlaMustCompile: { bool: true },
  });
  return { moving: state.map(() => undefined), metrics: node, moved: [node] };
}

/**
 * Builds the graph. All variables are read before any is assigned; the moving ones are assigned only if the loss is
 * finite.
 *
 * @param step The step
 * @param options See {@linkcode StepGraphOptions}
 * @throws OneloraError for kernels and types that TensorFlow graphs are not made of here
 */
export function stepGraph(
  given: StepProgram,
  { fuseFrom, precision, whole, words, staying = [] }: StepGraphOptions,
): StepGraph {
  const graph = graphBuilder();
  const halved = precision === "bf16" ? halve(given.program, given.fixed) : nothingHalved;
  const { step, members, read } = joinState(given);
  const { program, fixed, moving, forms } = step;
  const typeOf = typeIn(program, halved);
  const tensors = given.program.inputs.slice(fixed, fixed + given.moving);
  const movingValues = program.inputs.slice(fixed, fixed + moving);
  const batchValues = program.inputs.slice(fixed + moving);
  const state = fixedVariables(graph, program, typeOf, fixed, forms);
  const movingVariables = movingValues.map((value, i) =>
    members[i].length === 1
      ? variable(graph, `moving${i}`, typeOf(value))
      : vectorVariable(graph, `moving${i}`, members[i].map((each) => typeOf(tensors[each])))
  );
  // Outside of a compiled function TensorFlow computes with whole numbers on the host, where those had better stay.
  const rides = (value: ValueId) => words && (whole || typeOf(value).type === ELEMENT.float32);
  const batch = batchValues.map((value, i) =>
    feedOf(graph, `batch${i}`, typeOf(value), { asWords: words, stays: staying[i], rides: rides(value) })
  );
  const ofMoving = namesOf(movingVariables, members.flat());
  const operands = new Map<ValueId, Operand>([
    ...state.given,
    ...movingValues.map((value, i) => [value, movingVariables[i].value] as const),
    ...read.map((i) => [tensors[i], { ...typeOf(tensors[i]), name: ofMoving.values[i] }] as const),
    ...batchValues.map((value, i) => [value, batch[i].value] as const),
  ]);
  const source = { program, given: operands, halved };
  // TensorFlow keeps whole numbers on the host, where a compiled function does not read variables.
  const isOnDevice = ({ value: { type } }: Variable) => type === ELEMENT.float32 || type === ELEMENT.bfloat16;
  const variablesOf = new Map([
    ...state.values.map((value, i) => [value, state.variables[i]] as const).filter(([, each]) => isOnDevice(each)),
    ...movingValues.map((value, i) => [value, movingVariables[i]] as const),
  ]);
  const computed = whole
    ? asFunction(graph, step, source, variablesOf)
    : asNodes(graph, step, source, fuseFrom, movingVariables);
  const { gate, moved = [] } = computed;
  const assigned = movingVariables.flatMap(({ handle, value }, i) => {
    const next = computed.moving[i];
    const waits = [`^${value.name}`, ...(gate === undefined ? [] : [`^${gate.yes}`])];
    return next === undefined
      ? []
      : [graph.add("AssignVariableOp", [handle, next, ...waits], { dtype: T(value.type) })];
  });
  const all = [...assigned, ...moved];
  const ends = gate === undefined ? all : [gate.close(all)];
  const ofFixed = namesOf(state.variables);
  return {
    graph: graph.graph,
    uploads: { fixed: ofFixed.uploads, moving: ofMoving.uploads },
    fixedTypes: ofFixed.types,
    uploaded: {
      fixed: after(graph, ofFixed.uploaded, "fixed_uploaded"),
      moving: after(graph, ofMoving.uploaded, "moving_uploaded"),
    },
    values: { fixed: ofFixed.values, moving: ofMoving.values },
    batch,
    metrics: graph.add(
      "Identity",
      [computed.metrics, ...ends.map((node) => `^${node}`)],
      { T: T(ELEMENT.float32) },
      "metrics",
    ),
  };
}
