/**
 * Products of columns and rows as elementwise work and sums, which can be compiled with what makes their operands.
 *
 * @module
 */
import { type Call, type Program, reshapeCall, type ValueId } from "../program.ts";

/** Whether a call multiplies [n, 1] by [1, d], transpositions aside. */
function isOuter({ kernel, inputs, attrs }: Call, { types }: Program): boolean {
  if (kernel !== "BatchMatMul") return false;
  const { shape } = types[inputs[0]];
  return shape.length === 2 && shape[attrs.transposeA ? 0 : 1] === 1;
}

/**
 * Replaces products of a column and a row by multiplications with broadcasting.
 *
 * @param program The program
 */
export function multiplyRankOne(program: Program): Program {
  const types = [...program.types];
  const calls = program.calls.flatMap((call): readonly Call[] => {
    if (!isOuter(call, program)) return [call];
    const reshaped = (value: ValueId, shape: readonly number[]) => reshapeCall(types, value, shape, call.region);
    const [rows, columns] = types[call.outputs[0]].shape;
    const operands = [reshaped(call.inputs[0], [rows, 1]), reshaped(call.inputs[1], [1, columns])];
    const product: Call = {
      kernel: "Multiply",
      inputs: operands.map(({ outputs: [output] }) => output),
      names: ["a", "b"],
      attrs: {},
      outputs: call.outputs,
      region: call.region,
    };
    return [...operands, product];
  });
  return { ...program, types, calls };
}

/** Whether a call multiplies a matrix, or a transposed one, by a column. */
function isColumnProduct({ kernel, inputs: [a, b], attrs }: Call, { types }: Program): boolean {
  if (kernel !== "BatchMatMul" || types[a].shape.length !== 2) return false;
  const isColumn = types[b].shape[attrs.transposeB === true ? 0 : 1] === 1;
  return isColumn && types[a].shape.every((size) => size >= LEAST);
}

/** Smaller matrices are read as fast by a product. */
const LEAST = 128;

/**
 * Replaces products of a matrix and a column by multiplications and sums along its rows, or down its columns, which are compiled
 * with what makes the matrix or with what reads the sum.
 *
 * @param program The program
 */
export function multiplyColumns(program: Program): Program {
  const types = [...program.types];
  const calls = program.calls.flatMap((call): readonly Call[] => {
    if (!isColumnProduct(call, program)) return [call];
    const { inputs: [a, b], attrs, region, outputs: [output] } = call;
    const [rows, columns] = types[a].shape;
    const isAlongRows = attrs.transposeA !== true;
    const beside = reshapeCall(types, b, isAlongRows ? [1, columns] : [rows, 1], region);
    const [product, sum] = [[rows, columns], [isAlongRows ? rows : columns]]
      .map((shape) => types.push({ shape, dtype: "float32" }) - 1);
    const own = { region, attrs: {} };
    return [
      beside,
      { ...own, kernel: "Multiply", inputs: [a, beside.outputs[0]], names: ["a", "b"], outputs: [product] },
      {
        ...own,
        kernel: "Sum",
        inputs: [product],
        names: ["x"],
        attrs: { axis: [isAlongRows ? 1 : 0], keepDims: false },
        outputs: [sum],
      },
      reshapeCall(types, sum, types[output].shape, region, output),
    ];
  });
  return { ...program, types, calls };
}
