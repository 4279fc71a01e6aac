/**
 * Elementwise kernels: a formula over tensors of one shape, in one pass.
 *
 * @module
 */
import type { DataType } from "@tensorflow/tfjs-core";
import type { Fused, Joining } from "../elementwise.ts";
import type { WideOp } from "../formula.ts";
import type { Call } from "../program.ts";
import { Binder, elementOf, type GpuKernel, MOST_BINDINGS, overRange, widest } from "./kernel.ts";
import type { Lowering } from "./lowering.ts";
import { helpersOf, MASKS, operation, type Uses } from "./maths.ts";

const WIDE: Readonly<Record<string, WideOp>> = {
  Cos: "cosine",
  Erf: "erf",
  Expm1: "expm1",
  Log1p: "log1p",
  Sin: "sine",
  Tanh: "tanh",
};

function wideOp({ kernel, attrs }: Call): WideOp | undefined {
  const isTanh = attrs.approximation === "tanh";
  if (kernel === "Gelu") return isTanh ? "geluTanh" : "gelu";
  if (kernel === "GeluGrad") return isTanh ? "geluTanhSlope" : "geluSlope";
  return WIDE[kernel];
}

/** What is joined: everything that is elementwise, however small, as each kernel is a dispatch. */
export const joining: Joining = { wideOp, least: 1, mostTensors: MOST_BINDINGS };

/** Number of a formula's element and, of each input, its offset there, from the numbers along the axes. */
function offsetsOf(
  { formula: { lengths, inputs } }: Fused,
  width: number,
): readonly [code: string, offsets: readonly string[]] {
  const last = lengths.length - 1;
  const names = lengths.map((_, axis) => `x${axis}`);
  const code: string[] = [];
  let rest = "i";
  for (let axis = last; axis >= 0; axis--) {
    const length = axis === last ? lengths[axis] / width : lengths[axis];
    code.push(
      axis === 0
        ? `  let x0 = ${rest};`
        : `  let x${axis} = ${rest} % ${length}u; let r${axis} = ${rest} / ${length}u;`,
    );
    rest = `r${axis}`;
  }
  const offsets = inputs.map((steps) => {
    const isWide = width === 4 && steps[last] === 1;
    const terms = steps.flatMap((step, axis) => {
      if (step === 0) return [];
      const by = axis === last ? step : isWide ? step / 4 : step;
      return [by === 1 ? names[axis] : `${names[axis]} * ${by}u`];
    });
    return terms.length === 0 ? "0u" : terms.join(" + ");
  });
  return [code.join("\n"), offsets];
}

/** Whether four neighbours can be taken at a time. */
function canBeWide({ formula: { lengths, inputs } }: Fused): boolean {
  const last = lengths.length - 1;
  return lengths[last] % 4 === 0 &&
    inputs.every((steps) => steps[last] === 0 || steps.slice(0, last).every((step) => step % 4 === 0));
}

/** Type of numbers of some kind, one or four. */
function typeOf(dtype: DataType, width: number): string {
  const scalar = dtype === "bool" ? "bool" : dtype === "int32" ? "i32" : "f32";
  return width === 1 ? scalar : `vec4<${scalar}>`;
}

/**
 * The kernel of a formula.
 *
 * @param fused The formula, and the values that it reads and makes
 * @param lowering The program
 */
export function elementwise(fused: Fused, { types, rootOf }: Lowering): GpuKernel {
  const { formula: { lengths, inputs, steps, outputs }, reads, makes } = fused;
  const size = lengths.reduce((product, length) => product * length, 1);
  return widest((isWide): GpuKernel => {
    const width = isWide ? 4 : 1;
    const binder = new Binder(rootOf);
    const uses: Uses = new Set();
    const [index, offsets] = offsetsOf(fused, width);
    const last = lengths.length - 1;
    const kinds: DataType[] = reads.map((value) => types[value].dtype);
    const code = reads.map((value, i) => {
      const isRun = isWide && inputs[i][last] === 1;
      const name = binder.read(value, elementOf(types[value], isRun));
      const found = `${name}[${offsets[i]}]`;
      const loaded = kinds[i] === "bool" ? `${found} != ${isRun ? "vec4<i32>(0)" : "0"}` : found;
      return `  let v${i} = ${isWide && !isRun ? `${typeOf(kinds[i], 4)}(${loaded})` : loaded};`;
    });
    const floats = typeOf("float32", width);
    steps.forEach((step, at) => {
      const args = step.args.map((arg) => `v${arg}`);
      const given = kinds[step.args[step.op === "select" ? 1 : 0]];
      const made = makes.length === 1 && at === steps.length - 1 ? types[makes[0]].dtype : undefined;
      const kind: DataType = MASKS.has(step.op) ? "bool" : step.op === "number" ? made ?? "float32" : given;
      kinds.push(kind);
      const isConverted = step.op === "number" && given !== "bool";
      const found = isConverted
        ? `${typeOf(kind, width)}(${args[0]})`
        : operation(step, args, typeOf(step.op === "number" ? kind : given, width), uses);
      code.push(`  let v${reads.length + at} = ${found};`);
    });
    makes.forEach((value, i) => {
      const name = binder.write(value, elementOf(types[value], isWide));
      const found = `v${outputs[i]}`;
      const whole = isWide ? "vec4<i32>(0), vec4<i32>(1)" : "0, 1";
      code.push(`  ${name}[i] = ${types[value].dtype === "bool" ? `select(${whole}, ${found})` : found};`);
    });
    const { head, groups } = overRange(size / width);
    return {
      bindings: binder.bindings,
      params: [],
      groups,
      body: [helpersOf(uses, floats), head, index, ...code, "}"].join("\n"),
    };
  }, canBeWide(fused));
}
