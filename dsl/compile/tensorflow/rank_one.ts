/**
 * Products of a column and a row as elementwise work, which can be part of a cluster.
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
