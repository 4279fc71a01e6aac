/**
 * What joined products are made of, and which values may be computed before all of them.
 *
 * @module
 */
import type { Call, Program, ValueId, ValueType } from "../program.ts";
import { makersOf } from "../uses.ts";

/** Products of fewer columns, or over fewer, are those of adapters: they are joined among themselves. */
export const NARROW = 64;

/** Weights depend on few calls, if on any. */
const MOST_CALLS = 64;

/** A product of two matrices. */
export function isProduct({ kernel, inputs }: Call, { types }: Pick<Program, "types">): boolean {
  return kernel === "BatchMatMul" && inputs.every((value) => types[value].shape.length === 2);
}

/** Which operands of a product are transposed. */
export function transposes({ attrs }: Call): { readonly transposeA: boolean; readonly transposeB: boolean } {
  return { transposeA: attrs.transposeA === true, transposeB: attrs.transposeB === true };
}

/** Calls of the kernels that joined products are made of; values are numbers of types, to which each adds its own. */
export interface JoinedKernels {
  /** Matrices beside each other (axis 1), or one below the other. */
  readonly concat: (values: readonly ValueId[], axis: 0 | 1) => Call;
  /** The product of two matrices. */
  readonly product: (a: ValueId, b: ValueId, attrs: ReturnType<typeof transposes>) => Call;
  /** Sums down columns. */
  readonly columnSum: (value: ValueId) => Call;
  /** The sum of two, as big as another: that one itself, or a new one. */
  readonly add: (a: ValueId, b: ValueId, like: ValueId, isIt: boolean) => Call;
  /** Parts along an axis, as the values that they are. */
  readonly parts: (whole: ValueId, axis: number, outputs: readonly ValueId[]) => readonly Call[];
}

/**
 * Makes calls.
 *
 * @param types Types of a program's values, which grow
 * @param region The calls' region
 */
export function kernelsOn(types: ValueType[], region: number): JoinedKernels {
  const call = (
    kernel: string,
    inputs: readonly ValueId[],
    attrs: Call["attrs"],
    shape: readonly number[],
    names?: string[],
  ): Call => ({ kernel, inputs, names, attrs, outputs: [types.push({ shape, dtype: "float32" }) - 1], region });
  return {
    concat: (values, axis) => {
      const shapes = values.map((value) => types[value].shape);
      const joined = shapes.reduce((sum, shape) => sum + shape[axis], 0);
      return call("Concat", values, { axis }, axis === 0 ? [joined, shapes[0][1]] : [shapes[0][0], joined]);
    },
    product: (a, b, attrs) => {
      const rows = types[a].shape[attrs.transposeA ? 1 : 0];
      const columns = types[b].shape[attrs.transposeB ? 0 : 1];
      return call("BatchMatMul", [a, b], { ...attrs }, [rows, columns], ["a", "b"]);
    },
    columnSum: (value) => call("Sum", [value], { axis: [0], keepDims: false }, [types[value].shape[1]], ["x"]),
    add: (a, b, like, isIt) => {
      const made = call("Add", [a, b], {}, types[like].shape, ["a", "b"]);
      return isIt ? { ...made, outputs: [like] } : made;
    },
    parts: (whole, axis, outputs) => {
      let at = 0;
      return outputs.map((output): Call => {
        const size = [...types[output].shape];
        const begin = size.map((_, i) => i === axis ? at : 0);
        at += size[axis];
        return { kernel: "Slice", inputs: [whole], names: ["x"], attrs: { begin, size }, outputs: [output], region };
      });
    },
  };
}

/** Whether a value is made of others by few calls, none of which is among some. */
export function isApart(program: Program, without: ReadonlySet<Call>): (value: ValueId) => boolean {
  const maker = makersOf(program.calls);
  return (value) => {
    const seen = new Set<Call>();
    const visit = (value: ValueId): boolean => {
      const call = maker.get(value);
      if (call === undefined || seen.has(call)) return true;
      seen.add(call);
      return seen.size <= MOST_CALLS && !without.has(call) && call.inputs.every(visit);
    };
    return visit(value);
  };
}
