/**
 * Which values of a program are kept in bfloat16.
 *
 * @module
 */
import { sizeOf } from "../../tree.ts";
import { type Call, type Program, segmentsOf, type ValueId } from "../program.ts";

/** Kernels that move numbers without computing: what they return is in the type of their first input. */
const MOVING: ReadonlySet<string> = new Set([
  ..."BroadcastTo Concat ExpandDims GatherNd GatherV2 Identity Pack PadV2 Reshape Reverse Slice SplitV".split(" "),
  ..."StridedSlice Tile Transpose Unpack".split(" "),
]);

/** Kernels that make sums of many terms, which lose digits if rounded at each. */
const SUMS: ReadonlySet<string> = new Set(["Add", "AddN", "Sub"]);

/** Smaller values stay float32, and so do products of smaller values alone. */
const LEAST = 2 ** 12;

/** Whether a value is a number a row, which is read faster than it is converted. */
function isColumn(shape: readonly number[]): boolean {
  return shape.length === 1 || shape[shape.length - 1] === 1;
}

/** Where bfloat16 is used. */
export interface Halved {
  /** Values kept in bfloat16. */
  readonly values: ReadonlySet<ValueId>;
  /** Matrix products computed in bfloat16, accumulated in float32. */
  readonly products: ReadonlySet<Call>;
}

/** Nothing in bfloat16. */
export const nothingHalved: Halved = { values: new Set(), products: new Set() };

/**
 * Whether a call returns its first input's type.
 *
 * @param call The call
 */
export function isMoving({ kernel }: Call): boolean {
  return MOVING.has(kernel);
}

function isLargeIn({ types }: Program, value: ValueId): boolean {
  return sizeOf(types[value].shape) >= LEAST;
}

/**
 * Whether a value is of a type and size that halves are worth it for.
 *
 * @param program Its program
 * @param value The value
 */
export function canBeHalved(program: Program, value: ValueId): boolean {
  return program.types[value].dtype === "float32" && isLargeIn(program, value);
}

/**
 * Chooses the values to keep in bfloat16: what matrix products return, what is read by them, and what is kept for the
 * backward pass. Trained parameters, the optimiser's state, batches, results and running sums stay float32.
 *
 * @param program The program
 * @param fixed How many of its inputs are frozen weights, which come first
 */
export function halve(program: Program, fixed: number): Halved {
  const { calls, types, inputs, outputs, constants } = program;
  const segment = segmentsOf(program);
  const isLarge = (value: ValueId) => isLargeIn(program, value);
  const products = new Set(calls.filter(({ kernel, inputs }) => kernel === "BatchMatMul" && inputs.some(isLarge)));
  const readers = new Map<ValueId, number[]>();
  calls.forEach(({ inputs }, i) => inputs.forEach((value) => readers.set(value, [...readers.get(value) ?? [], i])));
  const maker = new Map(calls.flatMap(({ outputs }, i) => outputs.map((value) => [value, i] as const)));

  const exact = new Set<ValueId>([...inputs.slice(fixed), ...outputs]);
  const canHalve = (value: ValueId) => canBeHalved(program, value) && !exact.has(value);
  const readBy = (value: ValueId, kernel: string) => {
    const found = readers.get(value) ?? [];
    return found.length > 0 && found.every((i) => calls[i].kernel === kernel);
  };
  /** Whether a value is one of several equally large terms of a sum, or is put beside others for one. */
  const isTerm = (value: ValueId) =>
    (readers.get(value) ?? []).some((i) => {
      const { kernel, inputs, outputs: [output] } = calls[i];
      if (kernel === "Concat") return readBy(output, "Sum");
      return SUMS.has(kernel) &&
        inputs.every((other) => sizeOf(types[other].shape) === sizeOf(types[value].shape));
    });
  const wanted = new Map<ValueId, boolean>();
  const isWanted = (value: ValueId): boolean => {
    const before = wanted.get(value);
    if (before !== undefined) return before;
    const made = maker.get(value);
    const result = canHalve(value) && !isColumn(types[value].shape) && !isTerm(value) &&
      (readers.get(value) ?? []).some((i) =>
        products.has(calls[i]) ||
        (isMoving(calls[i]) && calls[i].outputs.some(isWanted)) ||
        (made !== undefined && segment[made] !== segment[i])
      );
    wanted.set(value, result);
    return result;
  };
  const values = new Set<ValueId>();
  const weights = [...inputs.slice(0, fixed), ...[...constants.keys()].filter((value) => !maker.has(value))];
  for (const value of weights) if (types[value].shape.length > 1 && isWanted(value)) values.add(value);
  for (const call of calls) {
    const follows = isMoving(call) && values.has(call.inputs[0]);
    for (const value of call.outputs) {
      if (canHalve(value) && (products.has(call) || follows || isWanted(value))) values.add(value);
    }
  }
  return { values, products };
}
