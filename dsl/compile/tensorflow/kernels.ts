/**
 * Lowering of tfjs kernels that compute: element by element, reductions, products.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { ELEMENT, elementOf, type ElementType } from "../../engine/tensorflow_graph/graph.ts";
import { fromFront, INT32, inType, type Lowering, T } from "./lowering.ts";

/** y = op(x) in one type. */
const unary = (op: string): Lowering => ({ list: [x], add }) => [add(op, [x.name], { T: T(x.type) })];

/** y = op(x) of numbers, made float32 first. */
const floating = (op: string): Lowering => ({ list: [x], add }) => {
  const type = x.type === ELEMENT.int32 || x.type === ELEMENT.bool ? ELEMENT.float32 : x.type;
  return [add(op, [inType(x, type, add)], { T: T(type) })];
};

/** The type both operands are brought to: tfjs's rule, and the wider of two floating types. */
function common(a: ElementType, b: ElementType): ElementType {
  const order: readonly ElementType[] = [ELEMENT.bool, ELEMENT.int32, ELEMENT.bfloat16, ELEMENT.float32];
  return order[Math.max(order.indexOf(a), order.indexOf(b))];
}

/** y = op(a, b) with broadcasting. */
const binary = (op: string, least: ElementType = ELEMENT.int32): Lowering => ({ inputs: { a, b }, add }) => {
  const type = common(common(a.type, b.type), least);
  return [add(op, [inType(a, type, add), inType(b, type, add)], { T: T(type) })];
};

const comparison = (op: string, least?: ElementType): Lowering => binary(op, least);

const logical = (op: string): Lowering => ({ list, add }) => [add(op, list.map(({ name }) => name), {})];

/** The axes a reduction runs over, counted from the front. */
function axesOf(axis: unknown, rank: number): number[] {
  return tf.util.parseAxisParam(axis as number | number[], Array(rank).fill(1)).map((each) => fromFront(each, rank));
}

/** A reduction over axes. */
const reduction =
  (op: string, typeOf: (type: ElementType) => ElementType = (type) => type): Lowering =>
  ({ list: [x], attrs, add, ints }) => {
    const type = typeOf(x.type);
    const axes = axesOf(attrs.axis ?? attrs.reductionIndices, x.shape.length);
    return [
      add(op, [inType(x, type, add), ints(axes)], {
        T: T(type),
        Tidx: INT32,
        keep_dims: { bool: attrs.keepDims === true },
      }),
    ];
  };

/** All and Any take truth values only. */
const truth = (op: string): Lowering => ({ list: [x], attrs, add, ints }) => [
  add(op, [x.name, ints(axesOf(attrs.axis, x.shape.length))], {
    Tidx: INT32,
    keep_dims: { bool: attrs.keepDims === true },
  }),
];

const argument = (op: string): Lowering => ({ list: [x], attrs, add, scalar }) => [
  add(op, [x.name, scalar(ELEMENT.int32, fromFront(attrs.axis, x.shape.length))], {
    T: T(x.type),
    Tidx: INT32,
    output_type: INT32,
  }),
];

const matMul: Lowering = ({ inputs: { a, b }, attrs, add }) => {
  const [transposeA, transposeB] = [attrs.transposeA === true, attrs.transposeB === true];
  const type = common(a.type, b.type);
  const operands = [inType(a, type, add), inType(b, type, add)];
  if (a.shape.length === 2 && b.shape.length === 2) {
    return [
      add("MatMul", operands, {
        T: T(type),
        transpose_a: { bool: transposeA },
        transpose_b: { bool: transposeB },
      }),
    ];
  }
  return [add("BatchMatMulV2", operands, { T: T(type), adj_x: { bool: transposeA }, adj_y: { bool: transposeB } })];
};

/** A number for each spatial dimension, for all four. */
function fourfold(value: unknown): { readonly ints: readonly number[] } {
  const [height, width] = Array.isArray(value) ? value : [value, value];
  return { ints: [1, Number(height), Number(width), 1] };
}

/** tfjs's padding as TensorFlow's. */
function padding(pad: unknown): Readonly<Record<string, { readonly text: string } | { readonly ints: number[] }>> {
  if (typeof pad === "string") return { padding: { text: pad.toUpperCase() } };
  const all = Array.isArray(pad) ? pad.flat() : [0, 0, pad, pad, pad, pad, 0, 0].map(Number);
  return { padding: { text: "EXPLICIT" }, explicit_paddings: { ints: all } };
}

/** Attributes of the three convolutions. */
const convolution =
  (op: string, shapeAttr?: "inputShape" | "filterShape"): Lowering => ({ list: [first, second], attrs, add, ints }) => {
    // tfjs gives (x, filter), (dy, filter) and (x, dy); TensorFlow takes the sizes of what it makes in the place of that.
    const inputs = shapeAttr === undefined
      ? [first.name, second.name]
      : shapeAttr === "inputShape"
      ? [ints(attrs.inputShape as number[]), second.name, first.name]
      : [first.name, ints(attrs.filterShape as number[]), second.name];
    return [
      add(op, inputs, {
        T: T(first.type),
        strides: fourfold(attrs.strides),
        dilations: fourfold(attrs.dilations ?? 1),
        data_format: { text: String(attrs.dataFormat ?? "NHWC") },
        ...padding(attrs.pad),
      }),
    ];
  };

const table = (names: readonly string[], rule: (op: string) => Lowering): Readonly<Record<string, Lowering>> =>
  Object.fromEntries(names.map((name) => [name, rule(name)]));

/** Rules by tfjs kernel. */
export const computing: Readonly<Record<string, Lowering>> = {
  ...table(
    ["Abs", "Ceil", "Floor", "Identity", "Neg", "OnesLike", "Relu", "Round", "Sign", "Square", "ZerosLike"],
    unary,
  ),
  ...table(
    ["Cos", "Elu", "Erf", "Exp", "Expm1", "Log", "Log1p", "Reciprocal", "Relu6", "Rsqrt", "Sigmoid", "Sin", "Softmax"],
    floating,
  ),
  ...table(["LogSoftmax", "Softplus", "Sqrt", "Tanh"], floating),
  ...table(["IsNan", "IsInf", "IsFinite"], unary),
  ...table(["FloorDiv", "Maximum", "Minimum", "Pow", "SquaredDifference", "Sub"], binary),
  Add: binary("AddV2"),
  Multiply: binary("Mul"),
  Mod: binary("FloorMod"),
  RealDiv: binary("RealDiv", ELEMENT.bfloat16),
  ...table(["Greater", "GreaterEqual", "Less", "LessEqual"], comparison),
  ...table(["Equal", "NotEqual"], (op) => comparison(op, ELEMENT.bool)),
  ...table(["LogicalAnd", "LogicalOr", "LogicalNot"], logical),
  AddN: ({ list, add }) => [
    add("AddN", list.map(({ name }) => name), { T: T(list[0].type), N: { int: list.length } }),
  ],
  ClipByValue: ({ list: [x], attrs, add, scalar }) => [
    add("ClipByValue", [
      x.name,
      scalar(x.type, Number(attrs.clipValueMin)),
      scalar(x.type, Number(attrs.clipValueMax)),
    ], { T: T(x.type) }),
  ],
  LeakyRelu: ({ list: [x], attrs, add }) => [
    add("LeakyRelu", [x.name], { T: T(x.type), alpha: { float: Number(attrs.alpha) } }),
  ],
  // x > 0 ? 1 : alpha, and not a number where x is none.
  Step: ({ list: [x], attrs, add, scalar }) => {
    const isPositive = add("Greater", [x.name, scalar(x.type, 0)], { T: T(x.type) });
    const step = add("SelectV2", [isPositive, scalar(x.type, 1), scalar(x.type, Number(attrs.alpha))], {
      T: T(x.type),
    });
    return [add("SelectV2", [add("IsNan", [x.name], { T: T(x.type) }), x.name, step], { T: T(x.type) })];
  },
  Cast: ({ list: [x], attrs, add }) => [
    add("Cast", [x.name], {
      SrcT: T(x.type),
      DstT: T(elementOf(attrs.dtype as tf.DataType)),
      Truncate: { bool: false },
    }),
  ],
  // The condition is a scalar, a vector over the first axis, or of the results' shape.
  Select: ({ inputs: { condition, t, e }, add }) => {
    const type = common(t.type, e.type);
    return [add("Select", [condition.name, inType(t, type, add), inType(e, type, add)], { T: T(type) })];
  },
  Sum: reduction("Sum", (type) => type === ELEMENT.bool ? ELEMENT.int32 : type),
  Mean: reduction("Mean", (type) => type === ELEMENT.bfloat16 ? type : ELEMENT.float32),
  Max: reduction("Max"),
  Min: reduction("Min"),
  Prod: reduction("Prod"),
  ...table(["All", "Any"], truth),
  ...table(["ArgMax", "ArgMin"], argument),
  Cumsum: ({ list: [x], attrs, add, scalar }) => [
    add("Cumsum", [x.name, scalar(ELEMENT.int32, fromFront(attrs.axis, x.shape.length))], {
      T: T(x.type),
      Tidx: INT32,
      exclusive: { bool: attrs.exclusive === true },
      reverse: { bool: attrs.reverse === true },
    }),
  ],
  BatchMatMul: matMul,
  Conv2D: convolution("Conv2D"),
  Conv2DBackpropInput: convolution("Conv2DBackpropInput", "inputShape"),
  Conv2DBackpropFilter: convolution("Conv2DBackpropFilter", "filterShape"),
};
