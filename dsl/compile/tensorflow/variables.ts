/**
 * Variables of a session: what programs take that stays with the session, and what they close over.
 *
 * @module
 */
import { ELEMENT, elementOf, type ElementType, type GraphBuilder } from "../../engine/tensorflow_graph/graph.ts";
import { type StoredForm, storedForm } from "../../engine/stored.ts";
import type { Program, ValueId } from "../program.ts";
import type { Halved } from "./half.ts";
import { type Operand, T } from "./lowering.ts";
import { heldAs, holderOf, type NodeType } from "./stored.ts";

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
export function variable(graph: GraphBuilder, name: string, { shape, type }: NodeType): Variable {
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
 */
export function namesOf(variables: readonly Variable[]): VariableNames {
  return {
    uploads: variables.map(({ upload }) => upload),
    uploaded: variables.map(({ assigned }) => assigned),
    values: variables.map(({ value }) => value.name),
    types: variables.map(({ value }) => value.type),
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
