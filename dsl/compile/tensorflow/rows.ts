/**
 * Elementwise work and reductions along the last axis on matrices, whatever the rank of their tensors. A matrix has one order
 * in memory that products read; tensors of more axes are laid out anew by compilers, here and there with the batch inside.
 *
 * @module
 */
import { sizeOf } from "../../tree.ts";
import { type Call, type Program, reshapeCall } from "../program.ts";
import { isElementwise } from "./clusters.ts";

/** Kernels that reduce. */
const REDUCTIONS: ReadonlySet<string> = new Set(["Max", "Mean", "Min", "Sum"]);

/** Whether a call works along the last axis alone. */
function isAlongRows({ kernel, inputs, attrs }: Call, { types }: Program): boolean {
  if (!REDUCTIONS.has(kernel)) return false;
  const axes = [attrs.axis ?? attrs.reductionIndices].flat().map(Number);
  return axes.length === 1 && (axes[0] === -1 || axes[0] === types[inputs[0]].shape.length - 1);
}

/** The shape that a tensor has beside matrices of the rows of another; none if its broadcasting would be another. */
function besideRows(shape: readonly number[], whole: readonly number[]): readonly number[] | undefined {
  const last = whole[whole.length - 1];
  const size = sizeOf(shape);
  if (size === 1) return [1, 1];
  if (`${shape}` === `${whole}`) return [sizeOf(whole) / last, last];
  if (`${shape}` === `${[...whole.slice(0, -1), 1]}`) return [sizeOf(whole) / last, 1];
  return size === last && shape[shape.length - 1] === last ? [1, last] : undefined;
}

/**
 * Has such calls work on matrices, with reshapes around them, which are left out between one and the next.
 *
 * @param program The program
 */
export function asRows(program: Program): Program {
  const types = [...program.types];
  /** A call with other inputs, whose result gets its shape afterwards. */
  const within = (
    call: Call,
    inputs: readonly (readonly number[])[],
    result: readonly number[],
    attrs = call.attrs,
  ) => {
    const { region, outputs: [output] } = call;
    const given = call.inputs.map((value, i) => reshapeCall(types, value, inputs[i], region));
    const made = types.push({ shape: result, dtype: types[output].dtype }) - 1;
    const own: Call = { ...call, inputs: given.map(({ outputs: [each] }) => each), outputs: [made], attrs };
    return [...given, own, reshapeCall(types, made, types[output].shape, region, output)];
  };
  const calls = program.calls.flatMap((call): readonly Call[] => {
    const alongRows = isAlongRows(call, program);
    const { shape } = types[alongRows ? call.inputs[0] : call.outputs[0]];
    if (shape.length < 3 || sizeOf(shape) === 0 || !(alongRows || isElementwise(call))) return [call];
    const last = shape[shape.length - 1];
    const rows = sizeOf(shape) / last;
    if (alongRows) {
      const axis = { [call.attrs.axis === undefined ? "reductionIndices" : "axis"]: [1] };
      return within(call, [[rows, last]], [rows, 1], { ...call.attrs, ...axis, keepDims: true });
    }
    const inputs = call.inputs.map((value) => besideRows(types[value].shape, shape));
    return inputs.every((each) => each !== undefined) ? within(call, inputs, [rows, last]) : [call];
  });
  return { ...program, types, calls };
}
