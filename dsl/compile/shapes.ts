/**
 * Shape and type rules: what each tfjs kernel returns, from the types of its inputs and its attributes alone.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { sizeOf } from "../tree.ts";
import type { ValueType } from "./program.ts";

/** A kernel's inputs by name (or by number for kernels that take an array) and its attributes. */
export interface RuleArguments {
  /** Types of the inputs by name or number. */
  readonly inputs: Readonly<Record<string, ValueType>>;
  /** Types of the inputs in order. */
  readonly list: readonly ValueType[];
  /** Attributes. */
  readonly attrs: tf.NamedAttrMap;
}

/** The types of a kernel's results. */
export type Rule = (call: RuleArguments) => readonly ValueType[];

const { computeOutAndReduceShapes, assertAndGetBroadcastShape, computeOutShape: concatShape } = tf.backend_util;

function one(shape: readonly number[], dtype: tf.DataType): readonly ValueType[] {
  return [{ shape, dtype }];
}

const same: Rule = ({ list: [x] }) => [x];

const broadcast = (dtype?: tf.DataType): Rule => ({ inputs: { a, b } }) =>
  one(assertAndGetBroadcastShape([...a.shape], [...b.shape]), dtype ?? tf.upcastType(a.dtype, b.dtype));

const reduce = (dtypeOf: (x: tf.DataType) => tf.DataType): Rule => ({ inputs: { x }, attrs }) => {
  const axes = tf.util.parseAxisParam(attrs.axis as number | number[], [...x.shape]);
  const [shape] = computeOutAndReduceShapes([...x.shape], axes);
  return one(attrs.keepDims ? tf.backend_util.expandShapeToKeepDim(shape, axes) : shape, dtypeOf(x.dtype));
};

const argument: Rule = ({ inputs: { x }, attrs }) => one(x.shape.filter((_, i) => i !== Number(attrs.axis)), "int32");

const matMul: Rule = ({ inputs: { a, b }, attrs }) => {
  const rows = a.shape[a.shape.length - (attrs.transposeA ? 1 : 2)];
  const columns = b.shape[b.shape.length - (attrs.transposeB ? 2 : 1)];
  const batch = assertAndGetBroadcastShape(a.shape.slice(0, -2), b.shape.slice(0, -2));
  return one([...batch, rows, columns], "float32");
};

const conv: Rule = ({ inputs: { x, filter }, attrs }) => {
  const { outShape } = tf.backend_util.computeConv2DInfo(
    [...x.shape] as [number, number, number, number],
    [...filter.shape] as [number, number, number, number],
    attrs.strides as number,
    (attrs.dilations as number) ?? 1,
    attrs.pad as number,
    attrs.dimRoundingMode as "floor",
    false,
    tf.backend_util.convertConv2DDataFormat((attrs.dataFormat as "NHWC") ?? "NHWC"),
  );
  return one(outShape, "float32");
};

/** Size of each part, with one part of size -1 taking what is left. */
function partSizes(total: number, parts: number | readonly number[]): readonly number[] {
  if (typeof parts === "number") return Array(parts).fill(total / parts);
  const known = parts.reduce((sum, size) => sum + Math.max(size, 0), 0);
  return parts.map((size) => size === -1 ? total - known : size);
}

function normalAxis(axis: unknown, rank: number): number {
  return (Number(axis ?? 0) + rank) % rank;
}

function replaced(shape: readonly number[], axis: number, sizes: readonly number[]): number[] {
  return [...shape.slice(0, axis), ...sizes, ...shape.slice(axis + 1)];
}

const floating: Rule = ({ list: [x] }) => one(x.shape, "float32");
const truth: Rule = ({ list: [x] }) => one(x.shape, "bool");

const RULES: Readonly<Record<string, Rule>> = {
  // Element by element.
  ...Object.fromEntries(
    [
      "Abs",
      "Ceil",
      "ClipByValue",
      "Floor",
      "Identity",
      "Neg",
      "OnesLike",
      "Relu",
      "Reverse",
      "Round",
      "Sign",
      "Square",
      "ZerosLike",
    ]
      .map((name) => [name, same]),
  ),
  ...Object.fromEntries(
    [
      "Cos",
      "Elu",
      "Erf",
      "Exp",
      "Expm1",
      "LeakyRelu",
      "Log",
      "Log1p",
      "LogSoftmax",
      "Reciprocal",
      "Relu6",
      "Rsqrt",
      "Sigmoid",
      "Sin",
      "Softmax",
      "Softplus",
      "Sqrt",
      "Step",
      "Tanh",
      "FusedBatchNorm",
    ].map((name) => [name, floating]),
  ),
  ...Object.fromEntries(["LogicalNot", "IsNan", "IsInf", "IsFinite"].map((name) => [name, truth])),
  ...Object.fromEntries(
    ["Add", "FloorDiv", "Maximum", "Minimum", "Mod", "Multiply", "Pow", "SquaredDifference", "Sub"].map((
      name,
    ) => [name, broadcast()]),
  ),
  RealDiv: broadcast("float32"),
  Prelu: same,
  ...Object.fromEntries(
    ["Equal", "Greater", "GreaterEqual", "Less", "LessEqual", "LogicalAnd", "LogicalOr", "NotEqual"].map((
      name,
    ) => [name, broadcast("bool")]),
  ),
  AddN: same,
  Cast: ({ inputs: { x }, attrs }) => one(x.shape, attrs.dtype as tf.DataType),
  Select: ({ inputs: { t, e } }) => one(t.shape, tf.upcastType(t.dtype, e.dtype)),
  // Reductions.
  Sum: reduce((dtype) => dtype === "bool" ? "int32" : dtype),
  Mean: reduce(() => "float32"),
  Max: ({ inputs, list, attrs }) =>
    reduce((dtype) => dtype)({
      inputs,
      list,
      attrs: { axis: attrs.reductionIndices ?? attrs.axis, keepDims: attrs.keepDims },
    }),
  Min: reduce((dtype) => dtype),
  Prod: reduce((dtype) => dtype),
  All: reduce(() => "bool"),
  Any: reduce(() => "bool"),
  ArgMax: argument,
  ArgMin: argument,
  Cumsum: same,
  // Products.
  BatchMatMul: matMul,
  _FusedMatMul: matMul,
  Conv2D: conv,
  FusedConv2D: conv,
  Conv2DBackpropInput: ({ attrs }) => one(attrs.inputShape as number[], "float32"),
  Conv2DBackpropFilter: ({ attrs }) => one(attrs.filterShape as number[], "float32"),
  // Shapes.
  Reshape: ({ inputs: { x }, attrs }) =>
    one(tf.util.inferFromImplicitShape(attrs.shape as number[], sizeOf(x.shape)), x.dtype),
  ExpandDims: ({ inputs: { input }, attrs }) => {
    const axis = Number(attrs.dim) < 0 ? input.shape.length + 1 + Number(attrs.dim) : Number(attrs.dim);
    return one([...input.shape.slice(0, axis), 1, ...input.shape.slice(axis)], input.dtype);
  },
  Transpose: ({ inputs: { x }, attrs }) => one((attrs.perm as number[]).map((axis) => x.shape[axis]), x.dtype),
  Concat: ({ list, attrs }) =>
    one(concatShape(list.map(({ shape }) => [...shape]), normalAxis(attrs.axis, list[0].shape.length)), list[0].dtype),
  Pack: ({ list, attrs }) => {
    const axis = normalAxis(attrs.axis, list[0].shape.length + 1);
    return one([...list[0].shape.slice(0, axis), list.length, ...list[0].shape.slice(axis)], list[0].dtype);
  },
  Unpack: ({ inputs: { value }, attrs }) => {
    const axis = normalAxis(attrs.axis, value.shape.length);
    return Array.from(
      { length: value.shape[axis] },
      () => ({ shape: replaced(value.shape, axis, []), dtype: value.dtype }),
    );
  },
  SplitV: ({ inputs: { x }, attrs }) => {
    const axis = normalAxis(attrs.axis, x.shape.length);
    return partSizes(x.shape[axis], attrs.numOrSizeSplits as number | number[])
      .map((size) => ({ shape: replaced(x.shape, axis, [size]), dtype: x.dtype }));
  },
  Slice: ({ inputs: { x }, attrs }) => {
    const begin = attrs.begin as number[];
    return one((attrs.size as number[]).map((size, i) => size === -1 ? x.shape[i] - begin[i] : size), x.dtype);
  },
  StridedSlice: ({ inputs: { x }, attrs: a }) => {
    const info = tf.slice_util.sliceInfo(
      [...x.shape],
      a.begin as number[],
      a.end as number[],
      a.strides as number[],
      a.beginMask as number,
      a.endMask as number,
      a.ellipsisMask as number,
      a.newAxisMask as number,
      a.shrinkAxisMask as number,
    );
    return one(info.finalShape, x.dtype);
  },
  PadV2: ({ inputs: { x }, attrs }) =>
    one(
      x.shape.map((size, i) => size + (attrs.paddings as number[][])[i][0] + (attrs.paddings as number[][])[i][1]),
      x.dtype,
    ),
  Tile: ({ inputs: { x }, attrs }) => one(x.shape.map((size, i) => size * (attrs.reps as number[])[i]), x.dtype),
  BroadcastTo: ({ inputs: { x }, attrs }) => one(attrs.shape as number[], x.dtype),
  // Indexing.
  GatherV2: ({ inputs: { x, indices }, attrs }) => {
    const axis = normalAxis(attrs.axis, x.shape.length);
    return one(replaced(x.shape, axis, indices.shape.slice(Number(attrs.batchDims ?? 0))), x.dtype);
  },
  GatherNd: ({ inputs: { params, indices } }) => {
    const depth = indices.shape[indices.shape.length - 1];
    return one([...indices.shape.slice(0, -1), ...params.shape.slice(depth)], params.dtype);
  },
  ScatterNd: ({ inputs: { updates }, attrs }) => one(attrs.shape as number[], updates.dtype),
  OneHot: ({ inputs: { indices }, attrs }) =>
    one([...indices.shape, attrs.depth as number], attrs.dtype as tf.DataType),
  UnsortedSegmentSum: ({ inputs: { x, segmentIds }, attrs }) =>
    one([attrs.numSegments as number, ...x.shape.slice(segmentIds.shape.length)], x.dtype),
  // From nothing.
  Fill: ({ attrs }) => one(attrs.shape as number[], (attrs.dtype as tf.DataType) ?? "float32"),
  Range: ({ attrs }) => {
    const length = Math.max(0, Math.ceil((Number(attrs.stop) - Number(attrs.start)) / Number(attrs.step)));
    return one([length], attrs.dtype as tf.DataType);
  },
  // Our own.
  BlockAttention: ({ inputs: { q } }) => [q, { shape: [...q.shape.slice(0, -1), 2], dtype: "float32" }],
  BlockAttentionGrad: ({ inputs: { q, k, v } }) => [q, k, v],
  Gelu: floating,
  GeluGrad: floating,
  MaskedSoftmax: floating,
  SeenAttention: ({ inputs: { q } }) => one(q.shape, "float32"),
  Rotary: floating,
  SoftmaxGrad: floating,
  SoftmaxParts: ({ inputs: { logits } }) => {
    const each = { shape: [logits.shape[0], 1], dtype: "float32" as const };
    return [logits, each, each];
  },
  CrossEntropyGrad: ({ inputs: { p } }) => one(p.shape, "float32"),
  Standardise: ({ inputs: { x } }) => [x, { shape: [...x.shape.slice(0, -1), 1], dtype: "float32" }],
  StandardiseGrad: floating,
  AdamwStep: ({ inputs: { p, m, v } }) => [p, m, v],
  DropoutMask: ({ attrs }) => one(attrs.shape as number[], "float32"),
  // Images.
  ResizeBilinear: ({ inputs: { images }, attrs }) =>
    one([images.shape[0], ...(attrs.size as number[]), images.shape[3]], "float32"),
};

/** Names of the kernels that can be traced. */
export const traceableKernels: readonly string[] = Object.keys(RULES);

/**
 * The rule of a kernel.
 *
 * @param kernel Its name
 */
export function ruleOf(kernel: string): Rule | undefined {
  return RULES[kernel];
}

/**
 * Adds the rule of a project's own kernel.
 *
 * @param kernel Its name
 * @param rule What it returns
 */
export function registerRule(kernel: string, rule: Rule): void {
  (RULES as Record<string, Rule>)[kernel] = rule;
}
