/**
 * What a lowering rule, from one kernel call to TensorFlow nodes, is given and gives.
 *
 * @module
 */
import type { NamedAttrMap } from "@tensorflow/tfjs-core";
import { type Attribute, type Attributes, ELEMENT, type ElementType } from "../../engine/tensorflow_graph/graph.ts";
import type { HalfForm, StoredForm } from "../../engine/stored.ts";
import type { ValueType } from "../program.ts";

/** An output of a node, with what is known of it. */
export interface Operand {
  /** Name of the output, as other nodes read it. */
  readonly name: string;
  /** Dimensions. */
  readonly shape: readonly number[];
  /** Element type. */
  readonly type: ElementType;
  /** What it is stored as, if its numbers must be made of that first; the type is then that of the numbers. */
  readonly stored?: Exclude<StoredForm, HalfForm>;
}

/** One kernel call to be lowered. */
export interface LoweringArguments {
  /** Its inputs by tfjs's names for them. */
  readonly inputs: Readonly<Record<string, Operand>>;
  /** Its inputs in order. */
  readonly list: readonly Operand[];
  /** tfjs's attributes. */
  readonly attrs: NamedAttrMap;
  /** Types of its results. */
  readonly results: readonly ValueType[];
  /** Adds a node and returns its name. */
  readonly add: (op: string, inputs: readonly string[], attrs: Attributes) => string;
  /** A constant node. */
  readonly numbers: (type: ElementType, shape: readonly number[], values: readonly number[]) => string;
  /** An int32 list as a constant node. */
  readonly ints: (values: readonly number[]) => string;
  /** A number as a constant node. */
  readonly scalar: (type: ElementType, value: number) => string;
}

/** Lowers one call to nodes; the names of the outputs that are the call's results. */
export type Lowering = (call: LoweringArguments) => readonly string[];

/** Attribute of an element type. */
export function T(type: ElementType): Attribute {
  return { type };
}

/** Indices and axes are int32 everywhere here. */
export const INT32: Attribute = { type: ELEMENT.int32 };

/** The input in another element type, through a Cast unless it has it already. */
export function inType(operand: Operand, type: ElementType, add: LoweringArguments["add"]): string {
  if (operand.type === type) return operand.name;
  return add("Cast", [operand.name], { SrcT: T(operand.type), DstT: T(type), Truncate: { bool: false } });
}

/** An axis counted from the front. */
export function fromFront(axis: unknown, rank: number): number {
  return (Number(axis ?? 0) + rank) % rank;
}
