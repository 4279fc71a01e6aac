/**
 * Frozen weights in float16: which are, and what reads them as they are.
 *
 * @module
 */
import { sizeOf } from "../../tree.ts";
import { type Call, isAlias, type Program, type ValueId, type ValueType } from "../program.ts";
import { rootsOf } from "../roots.ts";
import { Binder, type GpuKernel, overRange, widest } from "./kernel.ts";
import type { Lower } from "./lowering.ts";

/** Numbers of the smallest weight that is worth it. */
const LEAST = 2 ** 12;

/**
 * Whether a frozen weight is kept in float16.
 *
 * @param type Its type
 */
export function isHalved({ shape, dtype }: ValueType): boolean {
  return dtype === "float32" && shape.length > 1 && sizeOf(shape) >= LEAST;
}

/**
 * The frozen weights of a program that are kept in float16.
 *
 * @param program The program
 * @param frozen How many of its inputs are frozen weights, which come first
 */
export function halvedInputs({ inputs, types }: Program, frozen: number): ReadonlySet<ValueId> {
  return new Set(inputs.slice(0, frozen).filter((value) => isHalved(types[value])));
}

/** Places of those inputs that kernels read in float16, by kernel. */
const READ: Readonly<Record<string, readonly number[]>> = {
  BatchMatMul: [0, 1],
  _FusedMatMul: [0, 1],
  GatherV2: [0],
  Widen: [0],
};

/**
 * The program with float16 made into float32 before each call that cannot read it; as what is made lives for that call alone, no
 * more than one such matrix is there at a time.
 *
 * @param program The program
 * @param halves Values in float16
 */
export function widening(program: Program, halves: ReadonlySet<ValueId>): Program {
  if (halves.size === 0) return program;
  const { rootOf } = rootsOf(program);
  const roots = new Set([...halves].map((value) => rootOf.get(value)));
  const types = [...program.types];
  const calls = program.calls.flatMap((call): readonly Call[] => {
    if (isAlias(call)) return [call];
    const wide = new Map<ValueId, ValueId>();
    call.inputs.forEach((value, i) => {
      if (!roots.has(rootOf.get(value)) || READ[call.kernel]?.includes(i) || wide.has(value)) return;
      wide.set(value, types.push(types[value]) - 1);
    });
    if (wide.size === 0) return [call];
    return [
      ...[...wide].map(([value, made]): Call => ({
        kernel: "Widen",
        inputs: [value],
        names: ["x"],
        attrs: {},
        outputs: [made],
        region: call.region,
      })),
      { ...call, inputs: call.inputs.map((value) => wide.get(value) ?? value) },
    ];
  });
  return { ...program, types, calls };
}

/** float16 -> float32, exactly. */
const widen: Lower = ({ inputs: [x], outputs: [to] }, { types, rootOf }) => {
  const size = sizeOf(types[x].shape);
  return [widest((isWide): GpuKernel => {
    const binder = new Binder(rootOf);
    const type = isWide ? "vec4<f32>" : "f32";
    const [from, result] = [binder.read(x, isWide ? "vec4<f16>" : "f16"), binder.write(to, type)];
    const { head, groups } = overRange(size / (isWide ? 4 : 1));
    return { bindings: binder.bindings, params: [], groups, body: `${head}  ${result}[i] = ${type}(${from}[i]);\n}` };
  }, size % 4 === 0)];
};

/** Its kernel. */
export const halves: Readonly<Record<string, Lower>> = { Widen: widen };
