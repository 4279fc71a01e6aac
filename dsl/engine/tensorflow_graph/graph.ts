/**
 * TensorFlow graphs as plain data: nodes and their attributes.
 *
 * @module
 */
import type { DataType as TfjsType } from "@tensorflow/tfjs-core";
import { OneloraError } from "../../error.ts";

/** TensorFlow's element types by name (tensorflow/core/framework/types.proto). */
export const ELEMENT = {
  float32: 1,
  int32: 3,
  uint8: 4,
  int8: 6,
  half: 19,
  int64: 9,
  bool: 10,
  bfloat16: 14,
  resource: 20,
} as const;

/** Number of an element type. */
export type ElementType = typeof ELEMENT[keyof typeof ELEMENT];

/**
 * The element type of tfjs's name.
 *
 * @param dtype E.g. `float32`
 * @throws OneloraError for types that programs do not compute with
 */
export function elementOf(dtype: TfjsType): ElementType {
  if (dtype === "float32" || dtype === "int32" || dtype === "bool") return ELEMENT[dtype];
  throw new OneloraError({
    attempted: "making a TensorFlow graph",
    found: `a ${dtype} tensor`,
    allowed: "float32, int32, bool",
  });
}

/** A tensor written into the graph: its bytes in row-major order. */
export interface Literal {
  /** Element type. */
  readonly type: ElementType;
  /** Dimensions. */
  readonly shape: readonly number[];
  /** Little-endian numbers. */
  readonly bytes: Uint8Array;
}

/** An attribute of a node, by its kind. */
export type Attribute =
  | { readonly type: ElementType }
  | { readonly types: readonly ElementType[] }
  | { readonly int: number }
  | { readonly ints: readonly number[] }
  | { readonly float: number }
  | { readonly bool: boolean }
  | { readonly text: string }
  | { readonly texts: readonly string[] }
  | { readonly shape: readonly number[] }
  | { readonly shapes: readonly (readonly number[])[] }
  | { readonly tensor: Literal }
  | { readonly function: string };

/** Attributes by name. */
export type Attributes = Readonly<Record<string, Attribute>>;

/** One node. */
export interface GraphNode {
  /** Its name, by which others read its first output; `name:1` is the second, `^name` waits for it. */
  readonly name: string;
  /** TensorFlow operation. */
  readonly op: string;
  /** What it reads, in order, then what it waits for. */
  readonly inputs: readonly string[];
  /** Its attributes. */
  readonly attrs: Attributes;
}

/** A function that nodes can call; its nodes' outputs are known as `node:output:0`, its inputs as `input0`, ... */
export interface GraphFunction {
  /** Element types of its inputs. */
  readonly inputs: readonly ElementType[];
  /** What it returns, with element types. */
  readonly outputs: readonly { readonly name: string; readonly type: ElementType }[];
  /** Its nodes. */
  readonly nodes: readonly GraphNode[];
}

/** A graph. */
export interface Graph {
  /** Its nodes. */
  readonly nodes: readonly GraphNode[];
  /** Functions by name. XLA compiles each into one kernel. */
  readonly functions: ReadonlyMap<string, GraphFunction>;
}

/** Collects nodes under distinct names. */
export interface GraphBuilder {
  /** The graph so far. */
  readonly graph: Graph;
  /** Adds a node and returns its name. */
  readonly add: (op: string, inputs: readonly string[], attrs: Attributes, name?: string) => string;
  /** A node with these numbers; the same one for equal small constants. */
  readonly constant: (type: ElementType, shape: readonly number[], values: ArrayLike<number>) => string;
  /** Adds a function, unless there is an equal one, and returns its name. */
  readonly define: (body: GraphFunction) => string;
}

/** Constants up to this many numbers are looked up among those that are there. */
export const SHARED_CONSTANT = 64;

/** The upper half of a float32, rounded to nearest, ties to even. */
function bfloat16(values: ArrayLike<number>): Uint16Array {
  const bits = new Uint32Array(Float32Array.from(values).buffer);
  return Uint16Array.from(bits, (each) => (each + 0x7fff + (each >>> 16 & 1)) >>> 16);
}

/**
 * A tensor of these numbers.
 *
 * @param type Any but resource
 * @param shape Dimensions
 * @param values The numbers, in row-major order
 */
export function literal(type: ElementType, shape: readonly number[], values: ArrayLike<number>): Literal {
  const array = type === ELEMENT.float32
    ? Float32Array.from(values)
    : type === ELEMENT.int32
    ? Int32Array.from(values)
    : type === ELEMENT.bfloat16
    ? bfloat16(values)
    : Uint8Array.from(values);
  return { type, shape, bytes: new Uint8Array(array.buffer) };
}

/** An empty graph to add nodes to. */
export function graphBuilder(): GraphBuilder {
  const nodes: GraphNode[] = [];
  const functions = new Map<string, GraphFunction>();
  const constants = new Map<string, string>();
  const bodies = new Map<string, string>();
  const add: GraphBuilder["add"] = (op, inputs, attrs, name = `${op}_${nodes.length}`) => {
    nodes.push({ name, op, inputs, attrs });
    return name;
  };
  return {
    graph: { nodes, functions },
    add,
    constant: (type, shape, values) => {
      const key = values.length <= SHARED_CONSTANT ? `${type} ${shape} ${Array.from(values)}` : undefined;
      const known = key === undefined ? undefined : constants.get(key);
      if (known !== undefined) return known;
      const name = add("Const", [], { dtype: { type }, value: { tensor: literal(type, shape, values) } });
      if (key !== undefined) constants.set(key, name);
      return name;
    },
    define: (body) => {
      const key = JSON.stringify(body, (_, value) => value instanceof Uint8Array ? [...value] : value);
      const known = bodies.get(key);
      if (known !== undefined) return known;
      const name = `fused_${functions.size}`;
      functions.set(name, body);
      bodies.set(key, name);
      return name;
    },
  };
}
