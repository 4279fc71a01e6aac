/**
 * Lowering of dropout masks: the arithmetic of `engine/dropout_mask.ts`, of which every number is the same.
 *
 * @module
 */
import { DRAW_BITS, type MaskAttributes, MIXING, STEP } from "../../engine/dropout_mask.ts";
import { ELEMENT } from "../../engine/tensorflow_graph/graph.ts";
import { INT32, type Lowering, T } from "./lowering.ts";

const TYPE = { T: INT32 };

/** Rules by kernel. */
export const masking: Readonly<Record<string, Lowering>> = {
  DropoutMask: ({ inputs: { words }, attrs, add, ints, scalar }) => {
    const { shape, salt, least } = attrs as unknown as MaskAttributes;
    const number = (value: number) => scalar(ELEMENT.int32, value | 0);
    // A right shift of int32 repeats the sign, which is cut off.
    const shifted = (x: string, by: number) =>
      add("BitwiseAnd", [add("RightShift", [x, number(by)], TYPE), number(2 ** (32 - by) - 1)], TYPE);
    const xored = (x: string, by: number) => add("BitwiseXor", [x, shifted(x, by)], TYPE);
    const times = (x: string, factor: number) => add("Mul", [x, number(factor)], TYPE);
    const { shifts, factors } = MIXING;
    const mixed = (x: string) =>
      xored(times(xored(times(xored(x, shifts[0]), factors[0]), shifts[1]), factors[1]), shifts[2]);
    const word = (at: number) => {
      const own = add("Slice", [words.name, ints([at]), ints([1])], { T: INT32, Index: INT32 });
      return add("BitwiseXor", [own, number(salt[at])], TYPE);
    };
    const size = shape.reduce((product, length) => product * length, 1);
    const positions = add("Range", [number(0), number(size), number(1)], { Tidx: INT32 });
    const first = mixed(add("AddV2", [times(positions, STEP), word(0)], TYPE));
    const draws = shifted(mixed(add("AddV2", [first, word(1)], TYPE)), 32 - DRAW_BITS);
    const kept = add("GreaterEqual", [draws, number(least)], TYPE);
    const numbers = add("Cast", [kept], {
      SrcT: T(ELEMENT.bool),
      DstT: T(ELEMENT.float32),
      Truncate: { bool: false },
    });
    return [add("Reshape", [numbers, ints([...shape])], { T: T(ELEMENT.float32), Tshape: INT32 })];
  },
};
