/**
 * Nodes of a function's body: what a graph's nodes are, read by the names that functions give their outputs.
 *
 * @module
 */
import {
  type ElementType,
  type GraphFunction,
  type GraphNode,
  literal,
  SHARED_CONSTANT,
} from "../../engine/tensorflow_graph/graph.ts";
import type { LoweringArguments, Operand } from "./lowering.ts";

/** Names of the first outputs of operations, by the registry of TensorFlow; `output` otherwise. */
const OUTPUT: ReadonlyMap<string, string> = new Map([
  ..."AddV2 Mul Sub RealDiv FloorDiv FloorMod Maximum Minimum SquaredDifference Pow Greater GreaterEqual Less LessEqual"
    .split(" ").map((op) => [op, "z"] as const),
  ..."Equal NotEqual LogicalAnd LogicalOr BitwiseAnd BitwiseXor RightShift".split(" ").map((op) => [op, "z"] as const),
  ..."Abs Cast Ceil Cos Erf Exp Expm1 Floor IsFinite IsInf IsNan Log Log1p LogicalNot Neg OnesLike Reciprocal Round Rsqrt"
    .split(" ").map((op) => [op, "y"] as const),
  ..."Sigmoid Sign Sin Sqrt Square Tanh Transpose ZerosLike".split(" ").map((op) => [op, "y"] as const),
  ..."Relu Relu6 Elu LeakyRelu Softplus".split(" ").map((op) => [op, "activations"] as const),
  ["AddN", "sum"],
  ["Cumsum", "out"],
  ["LogSoftmax", "logsoftmax"],
  ["MatMul", "product"],
  ["ReadVariableOp", "value"],
  ["ResizeBilinear", "resized_images"],
  ["Softmax", "softmax"],
  ["XlaCustomCallV2", "results"],
]);

/** What nodes are added to: a graph, or a function's body. */
export interface NodeSink {
  /** Adds a node and returns the name of its first output. */
  readonly add: LoweringArguments["add"];
  /** A constant node. */
  readonly constant: LoweringArguments["numbers"];
}

/** A function's body in the making. */
export interface FunctionBuilder extends NodeSink {
  /** The function, once its nodes are there. */
  readonly finish: (inputs: readonly ElementType[], outputs: readonly Operand[]) => GraphFunction;
}

/** An empty body to add nodes to; its inputs are known as `input0`, `input1`, ... */
export function functionBuilder(): FunctionBuilder {
  const nodes: GraphNode[] = [];
  const constants = new Map<string, string>();
  const add: NodeSink["add"] = (op, inputs, attrs) => {
    const name = `n${nodes.length}`;
    nodes.push({ name, op, inputs, attrs });
    return `${name}:${OUTPUT.get(op) ?? "output"}:0`;
  };
  return {
    add,
    constant: (type, shape, values) => {
      const key = values.length <= SHARED_CONSTANT ? `${type} ${shape} ${values}` : `${type} #${nodes.length}`;
      const name = constants.get(key) ??
        add("Const", [], { dtype: { type }, value: { tensor: literal(type, shape, values) } });
      constants.set(key, name);
      return name;
    },
    finish: (inputs, outputs) => ({ inputs, outputs: outputs.map(({ name, type }) => ({ name, type })), nodes }),
  };
}

/**
 * The outputs of a node that has several.
 *
 * @param first Name of the first
 * @param count How many
 */
export function outputsOf(first: string, count: number): string[] {
  const inFunction = /^(.+:)0$/.exec(first);
  return Array.from(
    { length: count },
    (_, i) => inFunction ? `${inFunction[1]}${i}` : i === 0 ? first : `${first}:${i}`,
  );
}
