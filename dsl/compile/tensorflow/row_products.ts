/**
 * Products of a few rows with weights, y[r] = W x[r], as when a text is read token by token: what they take is reading the
 * weights, which a kernel of our own does faster than TensorFlow's and XLA's, and from less memory where they are kept in bf16
 * or fewer bits.
 *
 * @module
 */
import { ELEMENT, elementOf, type ElementType } from "../../engine/tensorflow_graph/graph.ts";
import { isHalfForm, type StoredForm } from "../../engine/stored.ts";
import { rowProductsKernel } from "../../engine/tensorflow.ts";
import { isBlockForm } from "../../blocks.ts";
import { NF4_BLOCK } from "../../quantise.ts";
import { sizeOf } from "../../tree.ts";
import type { Call, Program, ValueId } from "../program.ts";
import { hasWholeRows } from "./blocks.ts";
import { outputsOf } from "./function_builder.ts";
import { INT32, inType, type Lowering, T } from "./lowering.ts";
import { canFuse } from "./probe.ts";
import { holderOf } from "./stored.ts";

/** Calls that stand for such products: x [rows, depth] and matrices [outputs, depth] in, [rows, outputs] of each out. */
const KERNEL = "RowProducts";

/** Of more rows, products are bound by arithmetic, of which TensorFlow's do more. */
const MOST_ROWS = 64;

/** Smaller matrices are as well multiplied by what XLA makes of the calls around them. */
const LEAST_WEIGHT = 2 ** 12;

/** Numbers of what matrices are kept as, float32 first, as the kernel has them. */
const FORMS = [
  "float32",
  "bf16",
  "int8",
  "nf4",
  "q4_0",
  "q4_1",
  "q5_0",
  "q5_1",
  "q8_0",
  "q4_k",
  "q5_k",
  "q6_k",
] as const;

/**
 * The number that the kernel knows a form under.
 *
 * @param form What a matrix is kept as
 */
export function rowForm(form: StoredForm | "float32"): number {
  return FORMS.indexOf(form as typeof FORMS[number]);
}

/** Numbers of a row that the kernel takes at a time, in fewer than 16 bits. */
const STEP = 32;

/**
 * Whether the kernel multiplies rows with a matrix as it is kept.
 *
 * @param form What it is kept as; undefined for float32
 * @param shape Its dimensions
 */
export function readsRowsOf(form: StoredForm | undefined, shape: readonly number[]): boolean {
  const [outputs, depth] = shape;
  if (form === undefined || form === "bf16") return true;
  if (isHalfForm(form)) return false;
  if (isBlockForm(form)) return hasWholeRows(form, shape);
  return form === "nf4" ? depth % NF4_BLOCK === 0 && outputs % 2 === 0 : depth % STEP === 0;
}

/**
 * Whether a call is products of a few rows, which only compiled functions can hold.
 *
 * @param call The call
 */
export function isRowProducts({ kernel }: Call): boolean {
  return kernel === KERNEL;
}

/** Whether the kernel is there. */
export function hasRowProducts(): boolean {
  return rowProductsKernel() !== undefined && canFuse();
}

/** Whether a call multiplies rows with a matrix, one output for each row of it. */
function isProduct({ kernel, inputs, attrs }: Call, { types }: Program): boolean {
  if (kernel !== "BatchMatMul" || attrs.transposeA === true || attrs.transposeB !== true) return false;
  const [a, b] = inputs.map((value) => types[value]);
  return a.shape.length === 2 && b.shape.length === 2 && [a, b].every(({ dtype }) => dtype === "float32") &&
    sizeOf(b.shape) >= LEAST_WEIGHT;
}

/**
 * The inputs of a program that rows are multiplied with.
 *
 * @param program The program
 * @param parameters How many inputs are weights, which come first
 */
export function rowWeights(program: Program, parameters: number): ReadonlySet<ValueId> {
  const weights = new Set(program.inputs.slice(0, parameters));
  const read = program.calls.filter((call) => isProduct(call, program)).map(({ inputs: [, weight] }) => weight);
  return new Set(read.filter((weight) => weights.has(weight)));
}

/**
 * Has products of a few rows computed by the kernel; those of the same rows are one call.
 *
 * @param program The program
 * @param weights What rows are multiplied with
 */
export function rowProducts(program: Program, weights: ReadonlySet<ValueId>): Program {
  const { types } = program;
  const groups = new Map<string, Call[]>();
  const keyOf = ({ inputs: [x], region }: Call) => `${x} ${region}`;
  const chosen = new Set(program.calls.filter((call) => {
    const [x, weight] = call.inputs;
    return isProduct(call, program) && weights.has(weight) && types[x].shape[0] <= MOST_ROWS;
  }));
  for (const call of chosen) groups.set(keyOf(call), [...groups.get(keyOf(call)) ?? [], call]);
  const calls = program.calls.flatMap((call): readonly Call[] => {
    if (!chosen.has(call)) return [call];
    const group = groups.get(keyOf(call))!;
    if (group[0] !== call) return [];
    const inputs = [call.inputs[0], ...group.map(({ inputs: [, weight] }) => weight)];
    return [{
      kernel: KERNEL,
      inputs,
      attrs: {},
      outputs: group.flatMap(({ outputs }) => outputs),
      region: call.region,
    }];
  });
  return { ...program, calls };
}

/**
 * Whether XLA computes a program's products as fast as they can be: those of one row, and those that the kernel does; and
 * numbers need not be made of matrices first, other than of rows of a table.
 *
 * @param program The program
 * @param isQuantised Whether an input is kept in fewer bits
 */
export function suitsBlocks(program: Program, isQuantised: (value: ValueId) => boolean): boolean {
  return !program.calls.some((call) =>
    isProduct(call, program) && program.types[call.inputs[0]].shape[0] > 1 ||
    !isRowProducts(call) && call.kernel !== "GatherV2" && call.inputs.some(isQuantised)
  );
}

/** x as float32, and each matrix as it is; sizes go along as numbers. */
const lowered: Lowering = ({ list: [x, ...matrices], results, add, ints }) => {
  const flat = (name: string, type: ElementType) => add("Reshape", [name, ints([-1])], { T: T(type), Tshape: INT32 });
  const rows = inType(x, ELEMENT.float32, add);
  const sizes = matrices.flatMap(({ shape: [outputs], type, stored }) => [
    outputs,
    rowForm(stored ?? (type === ELEMENT.bfloat16 ? "bf16" : "float32")),
  ]);
  const types = matrices.map((each) => holderOf(each, each.stored).type);
  // Vectors: they have one order, whatever XLA finds best for matrices.
  const node = add(
    "XlaCustomCallV2",
    [
      ints([...x.shape, matrices.length, ...sizes]),
      flat(rows, ELEMENT.float32),
      ...matrices.map(({ name }, i) => flat(name, types[i])),
    ],
    {
      call_target_name: { text: rowProductsKernel()!.target },
      backend_config: { text: "" },
      has_side_effect: { bool: false },
      operand_dtypes: { types: [ELEMENT.int32, ELEMENT.float32, ...types] },
      result_dtypes: { types: results.map(({ dtype }) => elementOf(dtype)) },
      result_shapes: { shapes: results.map(({ shape }) => [sizeOf(shape)]) },
    },
  );
  return outputsOf(node, results.length).map((name, i) =>
    add("Reshape", [name, ints(results[i].shape)], { T: T(ELEMENT.float32), Tshape: INT32 })
  );
};

/** The rule by its kernel. */
export const rowProductRules: Readonly<Record<string, Lowering>> = { [KERNEL]: lowered };
