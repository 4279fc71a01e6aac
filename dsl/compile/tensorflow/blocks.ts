/**
 * Nodes that make numbers of weights in ggml's blocks, all of a matrix or some of its rows.
 *
 * @module
 */
import { type BlockForm, blockKind, blockLayout, type Span } from "../../blocks.ts";
import { ELEMENT, type ElementType } from "../../engine/tensorflow_graph/graph.ts";
import type { NodeSink } from "./function_builder.ts";
import { INT32, inType, type Operand, T } from "./lowering.ts";

/** A matrix in blocks. */
export interface BlockOperand extends Operand {
  /** Its form. */
  readonly stored: BlockForm;
}

/** Rows that are wanted. */
export interface ChosenRows {
  /** Where their numbers are, [count], int32. */
  readonly name: string;
  /** How many. */
  readonly count: number;
}

/** Parts of a byte: how many numbers have bits in it, and how many each. */
interface Plane {
  readonly span: Span;
  readonly parts: number;
  readonly bits: number;
}

/**
 * Whether rows can be taken out of a matrix in blocks: each part of a plane must hold whole rows.
 *
 * @param form Its form
 * @param shape Its dimensions
 */
export function hasWholeRows(form: BlockForm, [rows]: readonly number[]): boolean {
  const { high, low } = blockKind(form);
  return rows % (high > 0 ? 8 / high : low === 4 ? 2 : 1) === 0;
}

/**
 * Nodes that make numbers: w = d s (q - offset) - e m.
 *
 * @param sink Where to
 * @param operand The matrix
 * @param type The numbers' type; they are computed in float32
 * @param chosen Only these rows
 * @returns Name of the numbers, [d, k] or [count, k]
 */
export function unpackedBlocks(
  { add, constant }: NodeSink,
  { name, shape: [rows, width], stored }: BlockOperand,
  type: ElementType,
  chosen?: ChosenRows,
): string {
  const kind = blockKind(stored);
  const layout = blockLayout(stored, [rows, width]);
  const { float32, uint8, int32, half } = ELEMENT;
  const ints = (values: readonly number[]) => constant(int32, [values.length], values);
  const reshaped = (of: string, to: readonly number[], type: ElementType) =>
    add("Reshape", [of, ints(to)], { T: T(type), Tshape: INT32 });
  const binary = (op: string, a: string, b: string, type: ElementType) => add(op, [a, b], { T: T(type) });
  const cast = (of: string, from: ElementType, to: ElementType) => inType({ name: of, shape: [], type: from }, to, add);
  const sliced = ([at, bytes]: Span) => add("Slice", [name, ints([at]), ints([bytes])], { T: T(uint8), Index: INT32 });
  const gathered = (of: string, at: string) =>
    add("GatherV2", [of, at, constant(int32, [], [0])], {
      Tparams: T(uint8),
      Tindices: INT32,
      Taxis: INT32,
      batch_dims: { int: 0 },
    });
  const count = chosen?.count ?? rows;
  /** A part that has so many bytes a row, in rows. */
  const inRows = (span: Span): string => {
    const all = reshaped(sliced(span), [rows, span[1] / rows], uint8);
    return chosen === undefined ? all : gathered(all, chosen.name);
  };
  const halves = (span: Span): string => {
    const pairs = reshaped(inRows(span), [count * width / kind.size, 2], uint8);
    return cast(add("Bitcast", [pairs], { T: T(uint8), type: T(half) }), half, float32);
  };
  const bits = ({ span, parts, bits }: Plane): string => {
    const mask = constant(uint8, [], [2 ** bits - 1]);
    const cut = (bytes: string, shifts: string) =>
      binary("BitwiseAnd", binary("RightShift", bytes, shifts, uint8), mask, uint8);
    if (chosen === undefined) {
      const shifts = constant(uint8, [parts, 1], Array.from({ length: parts }, (_, i) => i * bits));
      return reshaped(cut(reshaped(sliced(span), [1, span[1]], uint8), shifts), [rows, width], uint8);
    }
    const each = constant(int32, [], [rows / parts]);
    const bytes = gathered(
      reshaped(sliced(span), [rows / parts, width], uint8),
      binary("FloorMod", chosen.name, each, int32),
    );
    const shifts = binary("Mul", binary("FloorDiv", chosen.name, each, int32), constant(int32, [], [bits]), int32);
    return cut(bytes, reshaped(cast(shifts, int32, uint8), [count, 1], uint8));
  };
  const low = kind.low === 8 ? inRows(layout.low) : bits({ span: layout.low, parts: 2, bits: 4 });
  let codes = cast(low, uint8, float32);
  if (kind.high > 0) {
    const high = cast(bits({ span: layout.high, parts: 8 / kind.high, bits: kind.high }), uint8, float32);
    codes = binary("AddV2", codes, binary("Mul", high, constant(float32, [], [16]), float32), float32);
  }
  if (kind.offset > 0) codes = binary("Sub", codes, constant(float32, [], [kind.offset]), float32);
  const groups = count * width / kind.group;
  const numbers = reshaped(codes, [groups, kind.group], float32);
  /** A number of each block, times one of each of its groups, for each group. */
  const perGroup = (ofBlocks: string, ofGroups: string | undefined): string => {
    if (ofGroups === undefined) return reshaped(ofBlocks, [groups, 1], float32);
    const perBlock = kind.size / kind.group;
    const both = [
      reshaped(ofBlocks, [groups / perBlock, 1], float32),
      reshaped(ofGroups, [groups / perBlock, perBlock], float32),
    ];
    return reshaped(binary("Mul", both[0], both[1], float32), [groups, 1], float32);
  };
  const ofGroups = (span: Span, signed: boolean): string => {
    const bytes = inRows(span);
    if (!signed) return cast(bytes, uint8, float32);
    return cast(add("Bitcast", [bytes], { T: T(uint8), type: T(ELEMENT.int8) }), ELEMENT.int8, float32);
  };
  const scales = kind.scales === undefined ? undefined : ofGroups(layout.groupScales, kind.scales === "signed");
  let values = binary("Mul", numbers, perGroup(halves(layout.scales), scales), float32);
  if (kind.minimum !== undefined) {
    const minima = kind.minimum === "added" ? undefined : ofGroups(layout.groupMinima, false);
    const op = kind.minimum === "added" ? "AddV2" : "Sub";
    values = binary(op, values, perGroup(halves(layout.minima), minima), float32);
  }
  return cast(reshaped(values, [count, width], float32), float32, type);
}
