/**
 * Stored tensors in graphs: what their variables or feeds are, and nodes that make numbers of quantised ones.
 *
 * @module
 */
import { ELEMENT, type ElementType } from "../../engine/tensorflow_graph/graph.ts";
import { storedType } from "../../engine/tensorflow_graph/session.ts";
import { isHalfForm, type StoredForm } from "../../engine/stored.ts";
import { isBlockForm } from "../../blocks.ts";
import { DYNAMIC_VALUES, layoutOf, NF4_BLOCK, NF4_OUTER_BLOCK, NF4_VALUES, quantisedBytes } from "../../quantise.ts";
import { unpackedBlocks } from "./blocks.ts";
import type { NodeSink } from "./function_builder.ts";
import { INT32, inType, type Operand, T } from "./lowering.ts";

/** Shape and element type. */
export interface NodeType {
  /** Dimensions. */
  readonly shape: readonly number[];
  /** Element type. */
  readonly type: ElementType;
}

/**
 * What holds a value: itself, or what it is stored as.
 *
 * @param wanted What is computed with
 * @param form What it is stored as
 */
export function holderOf(wanted: NodeType, form: StoredForm | undefined): NodeType {
  if (form === undefined) return wanted;
  return { shape: isHalfForm(form) ? wanted.shape : [quantisedBytes(form, wanted.shape)], type: storedType(form) };
}

/**
 * A value by what holds it.
 *
 * @param name Where the holder is found
 * @param wanted What is computed with
 * @param form What it is stored as
 */
export function heldAs(name: string, wanted: NodeType, form: StoredForm | undefined): Operand {
  if (form === undefined) return { name, ...wanted };
  if (isHalfForm(form)) return { name, shape: wanted.shape, type: ELEMENT.bfloat16 };
  return { name, ...wanted, stored: form };
}

/**
 * Nodes that make numbers of a quantised matrix.
 *
 * @param sink Where to
 * @param operand The matrix
 * @param type The numbers' type; they are computed in float32
 * @returns Name of the numbers
 */
export function unpacked(sink: NodeSink, operand: Operand, type: ElementType): string {
  const { add, constant } = sink;
  const { name, shape, stored } = operand;
  if (isBlockForm(stored!)) return unpackedBlocks(sink, { ...operand, stored }, type);
  const { scales, maxima, codes } = layoutOf(stored!, shape);
  const float = ELEMENT.float32;
  const ints = (values: readonly number[]) => constant(ELEMENT.int32, [values.length], values);
  const part = ([at, count]: readonly [number, number], size = 1) =>
    add("Slice", [name, ints([at]), ints([count * size])], { T: T(ELEMENT.uint8), Index: INT32 });
  const reshaped = (of: string, to: readonly number[], type: ElementType) =>
    add("Reshape", [of, ints(to)], { T: T(type), Tshape: INT32 });
  const binary = (op: string, a: string, b: string, type: ElementType) => add(op, [a, b], { T: T(type) });
  const cast = (of: string, to: ElementType) => inType({ name: of, shape: [], type: ELEMENT.uint8 }, to, add);
  const lookedUp = (table: readonly number[], at: string) =>
    add("GatherV2", [constant(float, [table.length], table), at, constant(ELEMENT.int32, [], [0])], {
      Tparams: T(float),
      Tindices: INT32,
      Taxis: INT32,
      batch_dims: { int: 0 },
    });
  const given = add("Bitcast", [reshaped(part(scales, 4), [scales[1], 4], ELEMENT.uint8)], {
    T: T(ELEMENT.uint8),
    type: T(float),
  });
  const made = (of: string) => inType({ name: of, shape, type: float }, type, add);
  if (stored === "int8") {
    const whole = binary("Sub", reshaped(cast(part(codes), float), shape, float), constant(float, [], [128]), float);
    return made(binary("Mul", whole, reshaped(given, [shape[0], 1], float), float));
  }
  const packed = part(codes);
  const byte = (value: number) => constant(ELEMENT.uint8, [], [value]);
  const halves = [
    binary("BitwiseAnd", packed, byte(15), ELEMENT.uint8),
    binary("RightShift", packed, byte(4), ELEMENT.uint8),
  ];
  const both = add("ConcatV2", [...halves, constant(ELEMENT.int32, [], [0])], {
    T: T(ELEMENT.uint8),
    Tidx: INT32,
    N: { int: 2 },
  });
  const blocks = maxima[1];
  const numbers = reshaped(lookedUp([...NF4_VALUES], cast(both, ELEMENT.int32)), [blocks, NF4_BLOCK], float);
  const at = (from: number, count: number) =>
    add("Slice", [given, ints([from]), ints([count])], { T: T(float), Index: INT32 });
  // Each outer block's maximum, repeated for its blocks; the last may have fewer.
  const repeated = add(
    "Tile",
    [reshaped(at(1, scales[1] - 1), [scales[1] - 1, 1], float), ints([1, NF4_OUTER_BLOCK])],
    {
      T: T(float),
      Tmultiples: INT32,
    },
  );
  const outer = add("Slice", [
    reshaped(repeated, [(scales[1] - 1) * NF4_OUTER_BLOCK], float),
    ints([0]),
    ints([blocks]),
  ], {
    T: T(float),
    Index: INT32,
  });
  const centred = binary("Mul", lookedUp([...DYNAMIC_VALUES], cast(part(maxima), ELEMENT.int32)), outer, float);
  const greatest = reshaped(binary("AddV2", centred, at(0, 1), float), [blocks, 1], float);
  return made(reshaped(binary("Mul", numbers, greatest, float), shape, float));
}
