/**
 * Variables of a session: what programs take that stays with the session, and what they close over.
 *
 * @module
 */
import { ELEMENT, elementOf, type ElementType, type GraphBuilder } from "../../engine/tensorflow_graph/graph.ts";
import { type StoredForm, storedForm } from "../../engine/stored.ts";
import type { Program, ValueId } from "../program.ts";
import { sizeOf } from "../../tree.ts";
import { outputsOf } from "./function_builder.ts";
import type { Halved } from "./half.ts";
import { INT32, type Operand, T } from "./lowering.ts";
import { heldAs, holderOf, type NodeType } from "./stored.ts";

/** A variable of the session. */
export interface Variable {
  /** Its resource. */
  readonly handle: string;
  /** Take in its value: one node, or one for each tensor that it holds. */
  readonly uploads: readonly string[];
  /** To be waited for after feeding it. */
  readonly assigned: string;
  /** Its value. */
  readonly value: Operand;
  /** The tensors that it holds. */
  readonly parts: readonly string[];
}

/** A variable, what reads it, and what sets it to a value. */
function held(
  { add }: GraphBuilder,
  name: string,
  { shape, type }: NodeType,
  given: string,
): Pick<Variable, "handle" | "assigned" | "value"> {
  const dtype = { dtype: T(type) };
  const names = { shared_name: { text: name }, container: { text: "" } };
  const handle = add("VarHandleOp", [], { ...dtype, shape: { shape }, ...names }, name);
  const assigned = add("AssignVariableOp", [handle, given], dtype, `${name}_set`);
  const value = add("ReadVariableOp", [handle], dtype, `${name}_value`);
  return { handle, assigned, value: { name: value, shape, type } };
}

/** Where a value is fed. Without a shape: while TensorFlow optimises a graph it makes a tensor of the shape of each feed. */
function placeholder({ add }: GraphBuilder, name: string, { type }: NodeType): string {
  return add("Placeholder", [], { dtype: T(type) }, name);
}

/**
 * A variable of the session, what takes it in and what reads it.
 *
 * @param graph Where to
 * @param name A name that nothing else has
 * @param type Its shape and element type
 */
export function variable(graph: GraphBuilder, name: string, type: NodeType): Variable {
  const upload = placeholder(graph, `${name}_upload`, type);
  const made = held(graph, name, type, upload);
  return { ...made, uploads: [upload], parts: [made.value.name] };
}

/**
 * A variable that holds tensors one after the other, as a vector.
 *
 * @param graph Where to
 * @param name A name that nothing else has
 * @param types The tensors' shapes and their one element type
 */
export function vectorVariable(graph: GraphBuilder, name: string, types: readonly NodeType[]): Variable {
  const [{ type }] = types;
  const sizes = types.map(({ shape }) => sizeOf(shape));
  const ints = (values: readonly number[]) => graph.constant(ELEMENT.int32, [values.length], values);
  const first = graph.constant(ELEMENT.int32, [], [0]);
  const shaped = (node: string, shape: readonly number[]) =>
    graph.add("Reshape", [node, ints(shape)], { T: T(type), Tshape: INT32 });
  const uploads = types.map((each, i) => placeholder(graph, `${name}_upload${i}`, each));
  const flat = uploads.map((upload, i) => shaped(upload, [sizes[i]]));
  const vector = graph.add("ConcatV2", [...flat, first], { T: T(type), Tidx: INT32, N: { int: flat.length } });
  const made = held(graph, name, { shape: [sizes.reduce((sum, size) => sum + size, 0)], type }, vector);
  const split = graph.add("SplitV", [made.value.name, ints(sizes), first], {
    T: T(type),
    Tlen: INT32,
    num_split: { int: sizes.length },
  });
  const parts = outputsOf(split, sizes.length).map((part, i) => shaped(part, types[i].shape));
  return { ...made, uploads, parts };
}

/** What some variables are, by what is asked of the graph. */
export interface VariableNames {
  /** Take in their values. */
  readonly uploads: readonly string[];
  /** To be waited for after feeding them. */
  readonly uploaded: readonly string[];
  /** Their values. */
  readonly values: readonly string[];
  /** Element types. */
  readonly types: readonly ElementType[];
}

/**
 * What some variables are, by what is asked of the graph.
 *
 * @param variables The variables
 * @param order For each tensor that they hold, one after the other, its place among those asked for (default the same)
 */
export function namesOf(variables: readonly Variable[], order?: readonly number[]): VariableNames {
  const placed = <Value>(values: readonly Value[]): readonly Value[] => {
    if (order === undefined) return values;
    const found: Value[] = [];
    order.forEach((place, i) => found[place] = values[i]);
    return found;
  };
  return {
    uploads: placed(variables.flatMap(({ uploads }) => uploads)),
    uploaded: variables.map(({ assigned }) => assigned),
    values: placed(variables.flatMap(({ parts }) => parts)),
    types: placed(variables.flatMap(({ value, parts }) => parts.map(() => value.type))),
  };
}

/**
 * The shape and element type of a program's values in a graph.
 *
 * @param program The program
 * @param halved What of it is in bfloat16
 */
export function typeIn({ types }: Program, { values }: Halved): (value: ValueId) => NodeType {
  return (value) => ({
    shape: types[value].shape,
    type: values.has(value) ? ELEMENT.bfloat16 : elementOf(types[value].dtype),
  });
}

/** What a tensor that a program closes over is stored as. */
function storedConstant({ constants }: Program, value: ValueId): StoredForm | undefined {
  const constant = constants.get(value);
  return constant?.kind === "tensor" ? storedForm(constant.tensor) : undefined;
}

/** What stays the same, as variables. */
export interface FixedVariables {
  /** The values: a program's first inputs, then the tensors that it closes over. */
  readonly values: readonly ValueId[];
  /** A variable for each. */
  readonly variables: readonly Variable[];
  /** Where the program finds them. */
  readonly given: readonly (readonly [ValueId, Operand])[];
}

/**
 * Variables for what stays the same: a program's first inputs, and the tensors that it closes over.
 *
 * @param graph Where to
 * @param program The program
 * @param typeOf See {@linkcode typeIn}
 * @param count How many inputs stay the same
 * @param forms What they are stored as, those that are
 */
export function fixedVariables(
  graph: GraphBuilder,
  program: Program,
  typeOf: (value: ValueId) => NodeType,
  count: number,
  forms: readonly (StoredForm | undefined)[] = [],
): FixedVariables {
  const closedOver = [...program.constants].filter(([, { kind }]) => kind === "tensor").map(([value]) => value);
  const values = [...program.inputs.slice(0, count), ...closedOver];
  const formAt = (i: number) => i < count ? forms[i] : storedConstant(program, values[i]);
  const variables = values.map((value, i) => variable(graph, `fixed${i}`, holderOf(typeOf(value), formAt(i))));
  const given = values.map((value, i) => [value, heldAs(variables[i].value.name, typeOf(value), formAt(i))] as const);
  return { values, variables, given };
}
