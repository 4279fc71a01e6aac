/**
 * A pass over programs: sums over a batch's examples become sums over its shares, which are added pair by pair.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { sizeOf } from "../tree.ts";
import { type Call, isAlias, type Program, reshapeCall, type ValueId, type ValueType } from "./program.ts";
import { type Halves, halvesOf, isSpan, type SharedBatch, type Span, spansIn } from "./shares.ts";

/** The axis that the examples lie along, one after the other, if they do. */
function alongExamples({ shape }: ValueType, examples: number): number | undefined {
  const axis = shape.findIndex((length) => length !== 1);
  if (axis < 0) return examples === 1 && shape.length > 0 ? 0 : undefined;
  return shape[axis] % examples === 0 ? axis : undefined;
}

/** Inputs of a call that is a sum over the examples, each with the axis along which. */
type Summed = readonly (readonly [input: ValueId, axis: number])[];

/** A batch whose examples some values hold. */
interface Holding {
  readonly types: readonly ValueType[];
  readonly examples: number;
  readonly holds: (value: ValueId) => boolean;
}

/** What a call sums over the examples; undefined for any other call. */
function summedBy({ kernel, inputs, attrs, outputs }: Call, { types, examples, holds }: Holding): Summed | undefined {
  const along = (value: ValueId) => holds(value) ? alongExamples(types[value], examples) : undefined;
  const [first, second] = inputs;
  switch (kernel) {
    case "Sum":
    case "Mean": {
      const axis = along(first);
      const axes = tf.util.parseAxisParam(attrs.axis as number | number[], [...types[first].shape]);
      return axis !== undefined && types[first].dtype === "float32" && axes.includes(axis)
        ? [[first, axis]]
        : undefined;
    }
    case "BatchMatMul": {
      const [a, b] = [types[first].shape, types[second].shape];
      if ([...a.slice(0, -2), ...b.slice(0, -2)].some((length) => length !== 1)) return undefined;
      const [inA, inB] = [a.length - (attrs.transposeA ? 2 : 1), b.length - (attrs.transposeB ? 1 : 2)];
      return along(first) === inA || along(second) === inB ? [[first, inA], [second, inB]] : undefined;
    }
    case "Conv2DBackpropFilter":
    case "UnsortedSegmentSum":
      return along(first) === 0 && along(second) === 0 ? [[first, 0], [second, 0]] : undefined;
    case "ScatterNd":
      // Rows of a table; single numbers are put in places of their own.
      return types[outputs[0]].shape.length > 1 && along(first) === 0 && along(second) === 0
        ? [[first, 0], [second, 0]]
        : undefined;
    default:
      return undefined;
  }
}

/** Whether a call's result holds as much of each example, one after the other, where an input does. */
function keepsExamples({ kernel, inputs, attrs }: Call, output: ValueId, { types, examples, holds }: Holding): boolean {
  const { shape } = types[output];
  if (kernel === "Reshape" || kernel === "ExpandDims") return true;
  const axis = alongExamples(types[output], examples);
  if (axis === undefined) return false;
  const [first, second] = inputs;
  const along = (value: ValueId) => alongExamples(types[value], examples);
  switch (kernel) {
    case "Transpose":
      return (attrs.perm as readonly number[]).find((each) => types[first].shape[each] !== 1) === along(first);
    case "BatchMatMul": {
      // A product for each example, or rows of the left factor.
      const products = sizeOf(types[first].shape.slice(0, -2)) * sizeOf(types[second].shape.slice(0, -2));
      return products > 1 || holds(first) && !attrs.transposeA;
    }
    case "GatherV2":
      return Number(attrs.axis ?? 0) === 0 ? holds(second) : holds(first);
    case "Conv2D":
    case "Conv2DBackpropInput":
    case "FusedConv2D":
      return holds(first);
    case "Concat":
    case "Pack":
    case "PadV2":
    case "Slice":
    case "SplitV":
    case "StridedSlice":
    case "Tile":
    case "Unpack": {
      // Along other axes.
      const held = inputs.find(holds)!;
      const from = along(held);
      return from !== undefined && types[held].shape[from] === shape[axis];
    }
    default:
      return true;
  }
}

/** Writes the calls of a sum over shares. */
class Writer {
  readonly calls: Call[] = [];
  constructor(
    readonly types: ValueType[],
    readonly region: number,
  ) {}
  call(
    kernel: string,
    inputs: Readonly<Record<string, ValueId>>,
    attrs: tf.NamedAttrMap,
    type: ValueType,
    output: ValueId = this.types.push(type) - 1,
  ): ValueId {
    const [names, values] = [Object.keys(inputs), Object.values(inputs)];
    this.calls.push({ kernel, inputs: values, names, attrs, outputs: [output], region: this.region });
    return output;
  }
  reshape(value: ValueId, shape: readonly number[], output?: ValueId): ValueId {
    const call = reshapeCall(this.types, value, shape, this.region, output);
    this.calls.push(call);
    return call.outputs[0];
  }
}

/** The same sum over equal shares side by side, [shares, ...result]; undefined for calls that have no such form. */
function sideBySide(call: Call, summed: Summed, shares: number, writer: Writer): ValueId | undefined {
  const { types } = writer;
  const result = types[call.outputs[0]];
  const apart = ([value, axis]: Summed[number]): ValueId => {
    const { shape } = types[value];
    return writer.reshape(value, [shares, shape[axis] / shares, ...shape.slice(axis + 1)]);
  };
  const [first] = summed;
  switch (call.kernel) {
    case "Mean":
    case "Sum": {
      const { shape } = types[first[0]];
      const axes = tf.util.parseAxisParam(call.attrs.axis as number | number[], [...shape]);
      const x = apart(first);
      const moved = axes.filter((axis) => axis >= first[1]).map((axis) => axis - first[1] + 1);
      const type: ValueType = { shape: [shares, sizeOf(result.shape)], dtype: "float32" };
      const left = types[x].shape.filter((_, axis) => !moved.includes(axis));
      const sums = writer.call("Sum", { x }, { axis: moved, keepDims: false }, { ...type, shape: left });
      return writer.reshape(sums, type.shape);
    }
    case "BatchMatMul": {
      if (!call.attrs.transposeA || call.attrs.transposeB) return undefined;
      const [a, b] = summed.map(apart);
      const shape = [shares, types[a].shape[2], types[b].shape[2]];
      return writer.call("BatchMatMul", { a, b }, call.attrs, { shape, dtype: "float32" });
    }
    default:
      return undefined;
  }
}

/** Adds up what lies side by side, pair by pair. */
function addPairs(sums: ValueId, shares: number, size: number, writer: Writer, output?: ValueId): ValueId {
  if (shares === 1) return sums;
  const pairs = writer.reshape(sums, [shares / 2, 2, size]);
  const half: ValueType = { shape: [shares / 2, size], dtype: "float32" };
  const added = writer.call("Sum", { x: pairs }, { axis: [1], keepDims: false }, half);
  return addPairs(added, shares / 2, size, writer, output);
}

/**
 * Products of one row with what is no example's as products of two equal ones: engines compute a single row in another order.
 *
 * @param program The program
 * @param values What of it is of the example
 */
function inTwoRows(program: Program, values: readonly ValueId[]): Program {
  const types = [...program.types];
  const held = new Set(values);
  const calls = program.calls.flatMap((call): readonly Call[] => {
    const { kernel, inputs: [a, b], attrs, outputs: [output], region } = call;
    if (!call.inputs.some((value) => held.has(value))) return [call];
    for (const value of call.outputs) held.add(value);
    const [shape, made] = [types[a].shape, types[output].shape];
    const isRow = kernel === "BatchMatMul" && shape.length === 2 && made[0] === 1 && held.has(a) && !held.has(b);
    if (!isRow) return [call];
    const writer = new Writer(types, region);
    const rows = types.push({ shape: [2, sizeOf(shape)], dtype: "float32" }) - 1;
    const row = writer.reshape(a, [1, sizeOf(shape)]);
    writer.calls.push({ kernel: "Concat", inputs: [row, row], attrs: { axis: 0 }, outputs: [rows], region });
    const product: ValueType = { shape: [2, made[1]], dtype: "float32" };
    const both = writer.call("BatchMatMul", { a: rows, b }, { ...attrs, transposeA: false }, product);
    writer.call("Slice", { x: both }, { begin: [0, 0], size: [...made] }, types[output], output);
    return writer.calls;
  });
  return { ...program, types, calls };
}

/**
 * Makes each sum over a batch's examples one of sums over its shares, which are added pair by pair.
 *
 * @param program The program
 * @param batch Where its batch is
 */
export function sumByShares(program: Program, { values, examples, shares }: Omit<SharedBatch, "usual">): Program {
  if (shares === 0) return program;
  if (examples === 1) return inTwoRows(program, values);
  const halves = halvesOf([0, examples], shares);
  if (isSpan(halves)) return program;
  const types = [...program.types];
  const constants = new Map(program.constants);
  const held = new Set(values);
  const holding: Holding = { types, examples, holds: (value) => held.has(value) };

  /** What sums were made from: of each share apart, or of all side by side. A sum of such sums is made share by share, too. */
  const madeFrom = new Map<ValueId, readonly ValueId[]>();
  const treeOf = (parts: readonly ValueId[], result: ValueType, writer: Writer): ValueId => {
    if (parts.length === 1) {
      return writer.reshape(addPairs(parts[0], shares, sizeOf(result.shape), writer), result.shape);
    }
    const next = [...parts];
    const added = (half: Halves): ValueId =>
      isSpan(half) ? next.shift()! : writer.call("Add", { a: added(half[0]), b: added(half[1]) }, {}, result);
    return added(halves);
  };

  /** Sums side by side as one of each share, of a shape. */
  const parted = (aside: ValueId, result: ValueType, writer: Writer): readonly ValueId[] => {
    const size = sizeOf(result.shape);
    const rows = writer.reshape(aside, [shares, size]);
    return Array.from({ length: shares }, (_, i) => {
      const type: ValueType = { shape: [1, size], dtype: "float32" };
      const part = writer.call("Slice", { x: rows }, { begin: [i, 0], size: [1, size] }, type);
      return writer.reshape(part, result.shape);
    });
  };

  const bothSums = (call: Call): readonly Call[] | undefined => {
    const [one, other] = call.inputs.map((value) => madeFrom.get(value));
    const result = types[call.outputs[0]];
    const isSame = call.inputs.every((value) => `${types[value].shape}` === `${result.shape}`);
    if (call.kernel !== "Add" || one === undefined || other === undefined || !isSame) return undefined;
    const writer = new Writer(types, call.region);
    const isAside = one.length === 1 && other.length === 1;
    const [left, right] = isAside
      ? [one, other]
      : [one, other].map((parts) => parts.length === 1 ? parted(parts[0], result, writer) : parts);
    const parts = left.map((a, i) => {
      const like = isAside ? types[a] : result;
      return writer.call(
        "Add",
        { a: writer.reshape(a, like.shape), b: writer.reshape(right[i], like.shape) },
        {},
        like,
      );
    });
    writer.reshape(treeOf(parts, result, writer), result.shape, call.outputs[0]);
    madeFrom.set(call.outputs[0], parts);
    return writer.calls;
  };

  const inShares = (call: Call, summed: Summed): readonly Call[] => {
    const writer = new Writer(types, call.region);
    const [output] = call.outputs;
    const result = types[output];
    const kernel = call.kernel === "Mean" ? "Sum" : call.kernel;
    const partOf = ([value, axis]: Summed[number], [begin, end]: Span): ValueId => {
      const { shape, dtype } = types[value];
      const each = shape[axis] / examples;
      const at = shape.map((_, i) => i === axis ? begin * each : 0);
      const size = shape.map((length, i) => i === axis ? (end - begin) * each : length);
      return writer.call("Slice", { x: value }, { begin: at, size }, { shape: size, dtype });
    };
    const ofSpan = (span: Span): ValueId => {
      const parts = new Map(summed.map((each) => [each[0], partOf(each, span)]));
      const inputs = call.inputs.map((value, i) => [call.names![i], parts.get(value) ?? value] as const);
      return writer.call(kernel, Object.fromEntries(inputs), call.attrs, result);
    };
    const aside = examples % shares === 0 ? sideBySide(call, summed, shares, writer) : undefined;
    const parts = aside === undefined ? spansIn(halves).map(ofSpan) : [aside];
    const sum = treeOf(parts, result, writer);
    if (call.kernel !== "Mean") madeFrom.set(output, parts);
    if (call.kernel !== "Mean") writer.reshape(sum, result.shape, output);
    else {
      const b = types.push({ shape: [], dtype: "float32" }) - 1;
      const count = sizeOf(types[call.inputs[0]].shape) / sizeOf(result.shape);
      constants.set(b, { kind: "numbers", values: Float32Array.of(count) });
      writer.call("RealDiv", { a: sum, b }, {}, result, output);
    }
    return writer.calls;
  };

  const calls = program.calls.flatMap((call): readonly Call[] => {
    const [input] = call.inputs;
    if (isAlias(call) && madeFrom.has(input)) madeFrom.set(call.outputs[0], madeFrom.get(input)!);
    if (!call.inputs.some(holding.holds)) return bothSums(call) ?? [call];
    const summed = summedBy(call, holding);
    if (summed !== undefined) return inShares(call, summed);
    for (const output of call.outputs) if (keepsExamples(call, output, holding)) held.add(output);
    return [call];
  });
  return { ...program, types, calls, constants };
}
