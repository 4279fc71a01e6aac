/**
 * Formulas of the project that are more than elementwise: AdamW's step, rotary positions, dropout's mask.
 *
 * @module
 */
import { DRAW_BITS, MIXING, STEP } from "../../engine/dropout_mask.ts";
import { sizeOf } from "../../tree.ts";
import type { Call } from "../program.ts";
import { Binder, elementOf, float, type GpuKernel, overRange } from "./kernel.ts";
import type { Lower, Lowering } from "./lowering.ts";

/** Numbers of a call's inputs and outputs, four at a time where their size lets them. */
function vectors(call: Call, { types, rootOf }: Lowering) {
  const size = sizeOf(types[call.outputs[0]].shape);
  const isWide = size % 4 === 0;
  return {
    binder: new Binder(rootOf),
    element: isWide ? "vec4<f32>" as const : "f32" as const,
    ...overRange(size / (isWide ? 4 : 1)),
  };
}

/**
 * m' = m + (g - m) fresh, v' = v beta2 + g² (1 - beta2); p' = p shrink - step m' / (√v' + floor). In two kernels: together they
 * would be bound to more tensors than every device allows.
 */
const adamw: Lower = (call, lowering) => {
  const [p, g, m, v, step, floor, shrink, fresh] = call.inputs;
  const [nextP, nextM, nextV] = call.outputs;
  const beta2 = Number(call.attrs.beta2);
  const moments = (): GpuKernel => {
    const { binder, element, head, groups } = vectors(call, lowering);
    const [gradient, mean, square] = [g, m, v].map((each) => binder.read(each, element));
    const share = binder.read(fresh, "f32");
    const [toMean, toSquare] = [nextM, nextV].map((each) => binder.write(each, element));
    const body = `${head}  let d = ${gradient}[i];
  let m = ${mean}[i];
  ${toMean}[i] = m + (d - m) * ${share}[0];
  ${toSquare}[i] = ${square}[i] * ${float(beta2)} + d * d * ${float(1 - beta2)};
}`;
    return { bindings: binder.bindings, params: [], groups, body };
  };
  const parameters = (): GpuKernel => {
    const { binder, element, head, groups } = vectors(call, lowering);
    const [parameter, mean, square] = [p, nextM, nextV].map((each) => binder.read(each, element));
    const [rate, least, kept] = [step, floor, shrink].map((each) => binder.read(each, "f32"));
    const to = binder.write(nextP, element);
    const body = `${head}  let change = ${mean}[i] / (sqrt(${square}[i]) + ${least}[0]) * ${rate}[0];
  ${to}[i] = ${parameter}[i] * ${kept}[0] - change;
}`;
    return { bindings: binder.bindings, params: [], groups, body };
  };
  return [moments(), parameters()];
};

/** x cos + swap(x) sin, or x cos - swap(x) sin on the way back; swap exchanges the halves of a row. */
const rotary: Lower = (call, lowering) => {
  const { inputs: [x, cos, sin], attrs, outputs: [to] } = call;
  const { types, rootOf } = lowering;
  const { shape } = types[x];
  const length = shape[shape.length - 1];
  const isWide = length % 8 === 0;
  const [width, element] = [isWide ? 4 : 1, elementOf(types[x], isWide)];
  const binder = new Binder(rootOf);
  const [from, c, s, result] = [...[x, cos, sin].map((each) => binder.read(each, element)), binder.write(to, element)];
  const { head, groups } = overRange(sizeOf(shape) / width);
  const [across, table] = [length / width, shape[shape.length - 2] * length / width];
  const body = `${head}  let column = i % ${across}u;
  let other = select(i - ${across / 2}u, i + ${across / 2}u, column < ${across / 2}u);
  let at = i % ${table}u;
  ${result}[i] = ${from}[i] * ${c}[at] ${attrs.back ? "-" : "+"} ${from}[other] * ${s}[at];
}`;
  return [{ bindings: binder.bindings, params: [], groups, body }];
};

/** The same mask as on every engine, see engine/dropout_mask.ts. */
const dropoutMask: Lower = ({ inputs: [words], attrs, outputs: [to] }, { types, rootOf }) => {
  const salt = attrs.salt as number[];
  const binder = new Binder(rootOf);
  const [given, result] = [binder.read(words, "i32"), binder.write(to, "f32")];
  const { head, groups } = overRange(sizeOf(types[to].shape));
  const { shifts: [first, second, third], factors: [one, two] } = MIXING;
  const body = `${head}  let k0 = u32(${given}[0]) ^ ${salt[0] >>> 0}u;
  let k1 = u32(${given}[1]) ^ ${salt[1] >>> 0}u;
  let draw = mixed(mixed(i * ${STEP >>> 0}u + k0) + k1) >> ${32 - DRAW_BITS}u;
  ${result}[i] = select(0f, 1f, draw >= ${Math.ceil(Number(attrs.least))}u);
}
fn mixed(x: u32) -> u32 {
  let a = (x ^ (x >> ${first}u)) * ${one >>> 0}u;
  let b = (a ^ (a >> ${second}u)) * ${two >>> 0}u;
  return b ^ (b >> ${third}u);
}`;
  return [{ bindings: binder.bindings, params: [], groups, body }];
};

/** Kernels by names of ours. */
export const formulas: Readonly<Record<string, Lower>> = {
  AdamwStep: adamw,
  DropoutMask: dropoutMask,
  Rotary: rotary,
};
