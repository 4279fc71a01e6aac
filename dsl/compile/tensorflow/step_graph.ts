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
import { type StoredForm, storedForm } from "../../engine/stored.ts";
import type { Program, ValueId } from "../program.ts";
import { after, type Feed, feedOf } from "./feed.ts";
import { functionBuilder, type NodeSink, outputsOf } from "./function_builder.ts";
import { halve, nothingHalved } from "./half.ts";
import { lower, lowerWhole, type Source } from "./lower.ts";
import { inType, type Operand, T } from "./lowering.ts";
import { heldAs, holderOf } from "./stored.ts";

/**
 * What a tensor that a program closes over is stored as.
 *
 * @param program The program
 * @param value The constant
 */
export function storedConstant({ constants }: Program, value: ValueId): StoredForm | undefined {
  const constant = constants.get(value);
  return constant?.kind === "tensor" ? storedForm(constant.tensor) : undefined;
}

/** A step's program and what its values are. */
export interface StepProgram {
  /** Inputs: fixed state, moving state, batch. Outputs: moving state, metrics. */
  readonly program: Program;
  /** How many inputs are fixed. */
  readonly fixed: number;
  /** How many inputs, and outputs, are moving. */
  readonly moving: number;
  /** What fixed inputs are stored as, those that are. */
  readonly forms?: readonly (StoredForm | undefined)[];
  /** Number of the output that decides whether the state moves on: only if it is finite. */
  readonly loss: number;
}

/** How a step becomes a graph. */
export interface StepGraphOptions {
  /** Clusters of elementwise calls that work on tensors of at least this size are compiled. */
  readonly fuseFrom: number;
  /** Precision of frozen weights and matrix products. */
  readonly precision: Precision;
  /** Compile the whole step as one function. */
  readonly whole: boolean;
  /**
   * Take numbers of the batch as int32 words, which the addon leaves on the host until the graph sends them, and hold large
   * tensors of it in variables, so that what is the same as in the step before is not sent again.
   */
  readonly words: boolean;
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

/** A variable of the session. */
export interface Variable {
  /** Its resource. */
  readonly handle: string;
  /** Takes in its value. */
  readonly upload: string;
  /** To be waited for after feeding it. */
  readonly assigned: string;
  /** Its value. */
  readonly value: Operand;
}

/**
 * A variable of the session, what takes it in and what reads it.
 *
 * @param graph Where to
 * @param name A name that nothing else has
 * @param type Its shape and element type
 */
export function variable(
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

/** What a step computes, as nodes of the graph. */
interface Computed {
  /** The next moving state; where the loss is not finite, the same again, or nothing that may be assigned. */
  readonly moving: readonly string[];
  /** Metrics as a float32 vector. */
  readonly metrics: string;
  /** Where moving state may be assigned only if a condition holds. */
  readonly onlyIf?: string;
}

/** Metrics as a float32 vector. */
function vector({ add }: NodeSink, metrics: readonly Operand[]): string {
  const floats = metrics.map((each) => inType(each, ELEMENT.float32, add));
  return add("Pack", floats, { T: T(ELEMENT.float32), N: { int: floats.length }, axis: { int: 0 } });
}

/** The step as nodes of the graph itself, clusters of elementwise calls compiled. */
function asNodes(graph: GraphBuilder, step: StepProgram, source: Source, fuseFrom: number): Computed {
  const { program, fixed, moving, loss } = step;
  const place = lower(graph, source, fuseFrom, program.inputs.slice(fixed + moving));
  const results = program.outputs.map(place);
  return {
    moving: results.slice(0, moving).map(({ name }) => name),
    metrics: vector(graph, results.slice(moving)),
    onlyIf: graph.add("IsFinite", [results[loss].name], { T: T(results[loss].type) }),
  };
}

/** The step as one compiled function, which keeps the state where the loss is not finite. */
function asFunction(graph: GraphBuilder, step: StepProgram, source: Source): Computed {
  const { program, fixed, moving, loss } = step;
  const operands = [...source.given.values()];
  const body = functionBuilder();
  const given = new Map([...source.given].map(([value, operand], i) => [value, { ...operand, name: `input${i}` }]));
  const closedOver = [...program.constants.keys()];
  const place = lowerWhole(body, { ...source, given }, [...program.inputs.slice(0, fixed), ...closedOver]);
  const results = program.outputs.map(place);
  const isFinite = body.add("IsFinite", [results[loss].name], { T: T(results[loss].type) });
  const next = program.inputs.slice(fixed, fixed + moving).map((value, i): Operand => {
    const [before, after] = [given.get(value)!, results[i]];
    return { ...after, name: body.add("SelectV2", [isFinite, after.name, before.name], { T: T(after.type) }) };
  });
  const metrics = { name: vector(body, results.slice(moving)), shape: [], type: ELEMENT.float32 };
  const made = body.finish(operands.map(({ type }) => type), [...next, metrics]);
  const node = graph.add("PartitionedCall", operands.map(({ name }) => name), {
    Tin: { types: made.inputs },
    Tout: { types: made.outputs.map(({ type }) => type) },
    f: { function: graph.define(made) },
    _XlaMustCompile: { bool: true },
  });
  const names = outputsOf(node, moving + 1);
  return { moving: names.slice(0, moving), metrics: names[moving] };
}

/**
 * A program's results, all of it compiled as one function.
 *
 * @param graph Where to
 * @param source The program, where its inputs are found, and what is in bfloat16
 * @param fixed Inputs that stay the same
 */
export function calledWhole(graph: GraphBuilder, source: Source, fixed: readonly ValueId[]): readonly Operand[] {
  const operands = [...source.given.values()];
  const body = functionBuilder();
  const given = new Map([...source.given].map(([value, operand], i) => [value, { ...operand, name: `input${i}` }]));
  const place = lowerWhole(body, { ...source, given }, fixed);
  const results = source.program.outputs.map(place);
  const made = body.finish(operands.map(({ type }) => type), results);
  const node = graph.add("PartitionedCall", operands.map(({ name }) => name), {
    Tin: { types: made.inputs },
    Tout: { types: made.outputs.map(({ type }) => type) },
    f: { function: graph.define(made) },
    _XlaMustCompile: { bool: true },
  });
  const names = outputsOf(node, results.length);
  return results.map((result, i) => ({ ...result, name: names[i] }));
}

/**
 * Builds the graph. All variables are read before any is assigned; the moving ones are assigned only if the loss is
 * finite.
 *
 * @param step The step
 * @param options See {@linkcode StepGraphOptions}
 * @throws OneloraError for kernels and types that TensorFlow graphs are not made of here
 */
export function stepGraph(step: StepProgram, { fuseFrom, precision, whole, words }: StepGraphOptions): StepGraph {
  const { program, fixed, moving, forms } = step;
  const graph = graphBuilder();
  const halved = precision === "bf16" ? halve(program, fixed) : nothingHalved;
  const typeOf = (value: ValueId) => ({
    shape: program.types[value].shape,
    type: halved.values.has(value) ? ELEMENT.bfloat16 : elementOf(program.types[value].dtype),
  });
  const closedOver = [...program.constants].filter(([, { kind }]) => kind === "tensor").map(([value]) => value);
  const fixedValues = [...program.inputs.slice(0, fixed), ...closedOver];
  const movingValues = program.inputs.slice(fixed, fixed + moving);
  const batchValues = program.inputs.slice(fixed + moving);
  const formAt = (i: number) => i < fixed ? forms?.[i] : storedConstant(program, fixedValues[i]);
  const fixedVariables = fixedValues.map((value, i) =>
    variable(graph, `fixed${i}`, holderOf(typeOf(value), formAt(i)))
  );
  const movingVariables = movingValues.map((value, i) => variable(graph, `moving${i}`, typeOf(value)));
  const batch = batchValues.map((value, i) => feedOf(graph, `batch${i}`, typeOf(value), words));
  const given = new Map<ValueId, Operand>([
    ...fixedValues.map((value, i) => [value, heldAs(fixedVariables[i].value.name, typeOf(value), formAt(i))] as const),
    ...movingValues.map((value, i) => [value, movingVariables[i].value] as const),
    ...batchValues.map((value, i) => [value, batch[i].value] as const),
  ]);
  const source = { program, given, halved };
  const computed = whole ? asFunction(graph, step, source) : asNodes(graph, step, source, fuseFrom);
  const assign = (wait: readonly string[]) =>
    movingVariables.map(({ handle, value }, i) =>
      graph.add("AssignVariableOp", [handle, computed.moving[i], `^${value.name}`, ...wait], { dtype: T(value.type) })
    );
  const moved = computed.onlyIf === undefined
    ? assign([])
    : [onlyIf(graph, computed.onlyIf, (wait) => assign([`^${wait}`]))];
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
    batch,
    metrics: graph.add(
      "Identity",
      [computed.metrics, ...moved.map((node) => `^${node}`)],
      { T: T(ELEMENT.float32) },
      "metrics",
    ),
  };
}
