/**
 * Programs as kernels of WebGPU over planned memory. No device is needed for it.
 *
 * @module
 */
import { flow } from "fp-ts/function";
import { sizeOf } from "../../tree.ts";
import { placesOf } from "../arena.ts";
import { formulaOfCall, fuseElementwise } from "../elementwise.ts";
import type { Formula } from "../formula.ts";
import { fuseBias, hoistConstants, type Pass, simplify } from "../passes.ts";
import { type Call, isAlias, type Program, type ValueId, type ValueType } from "../program.ts";
import { type Root, rootsOf } from "../roots.ts";
import { attentions } from "./attention.ts";
import { convolutions } from "./conv.ts";
import { elementwise, joining } from "./elementwise.ts";
import { formulas } from "./fused.ts";
import { halves, widening } from "./halves.ts";
import { indexing } from "./index.ts";
import { type GpuKernel, MOST_BINDINGS, MOST_GROUPS, type Target, textOf } from "./kernel.ts";
import type { Lower, Lowering } from "./lowering.ts";
import { products } from "./matmul.ts";
import { moves } from "./move.ts";
import { reductions } from "./reduce.ts";
import { rowKernels } from "./rows.ts";

const LOWERINGS: Readonly<Record<string, Lower>> = {
  ...attentions,
  ...convolutions,
  ...formulas,
  ...halves,
  ...indexing,
  ...moves,
  ...products,
  ...reductions,
  ...rowKernels,
};

/** Kernels of ours, besides tfjs's, that programs may be traced with for this engine. */
export const ownKernels = [
  ...[
    "AdamwStep",
    "BlockAttention",
    "BlockAttentionGrad",
    "Gelu",
    "GeluGrad",
    "MaskedSoftmax",
    "Rotary",
    "SoftmaxGrad",
    "Standardise",
    "StandardiseGrad",
  ],
] as const;

/** What a program goes through before it is lowered. */
export const gpuPasses: Pass = flow(simplify, fuseBias, (program) => fuseElementwise(program, joining));

/** Operations that whole numbers have too. */
const WHOLE: ReadonlySet<string> = new Set(
  "Abs Add Cast Equal Greater GreaterEqual Less LessEqual Maximum Minimum Multiply Neg NotEqual Select Square Sub"
    .split(" "),
);

/** The kernels of a call; nothing where there are none for it. */
function kernelsOf(program: Program, index: number, lowering: Lowering): readonly GpuKernel[] | undefined {
  const call = program.calls[index];
  if (call.kernel === "Elementwise") {
    const formula = JSON.parse(String(call.attrs.formula)) as Formula;
    return [elementwise({ formula, reads: call.inputs, makes: call.outputs }, lowering)];
  }
  const lower = LOWERINGS[call.kernel];
  if (lower !== undefined) return lower(call, lowering);
  const isWhole = call.inputs.some((value) => lowering.types[value].dtype === "int32");
  if (isWhole && !WHOLE.has(call.kernel)) return undefined;
  const fused = formulaOfCall(program, index, joining);
  return fused && [elementwise(fused, lowering)];
}

/** A kernel of a program, with where its tensors are. */
export interface Dispatch extends Pick<GpuKernel, "params" | "groups"> {
  /** All of its WGSL. */
  readonly text: string;
  /** What it is bound to, in order. */
  readonly bindings: readonly {
    /** Number of the root. */
    readonly root: number;
    /** Whether the binding lets it write. */
    readonly isWritable: boolean;
  }[];
}

/** A program on WebGPU. */
export interface GpuProgram {
  /** All memory. */
  readonly roots: readonly Root[];
  /** The root whose memory a value shares. */
  readonly rootOf: (value: ValueId) => number;
  /** Bytes of a root. */
  readonly bytesOf: (root: number) => number;
  /** Offsets in the arena of the roots that live there. */
  readonly offsets: ReadonlyMap<number, number>;
  /** Bytes of the arena. */
  readonly arenaBytes: number;
  /** What runs, in order. */
  readonly dispatches: readonly Dispatch[];
}

/** What a device can take. */
export interface Limits {
  /** Bytes that a binding may have. */
  readonly bindingBytes: number;
  /** Bytes that a buffer may have. */
  readonly bufferBytes: number;
  /** What offsets of bindings are multiples of. */
  readonly alignment: number;
}

/** What every device of WebGPU can take. */
export const leastLimits: Limits = { bindingBytes: 2 ** 27, bufferBytes: 2 ** 28, alignment: 256 };

/** Why a program is not lowered. */
export interface NotLowered {
  /** In a few words. */
  readonly reason: string;
}

/** Bytes of a type on a GPU, where every number has four, or two in float16. */
function gpuBytes({ shape }: ValueType, isHalf: boolean): number {
  return Math.max(4, isHalf ? 4 * Math.ceil(sizeOf(shape) / 2) : 4 * sizeOf(shape));
}

const KNOWN: ReadonlySet<string> = new Set(["float32", "int32", "bool"]);

/**
 * Lowers a program as it runs: what depends on constants alone is computed once, before, and is a constant too.
 *
 * @param program The program
 * @param target What suits the device
 * @param limits What it can take
 * @param halved Inputs that are kept in float16
 */
export function lowerBody(
  program: Program,
  target: Target,
  limits?: Limits,
  halved?: ReadonlySet<ValueId>,
): GpuProgram | NotLowered {
  const { handed, body } = hoistConstants(program);
  const folded = handed.map((value) => [value, { kind: "numbers", values: [] }] as const);
  return lowerProgram({ ...body, constants: new Map([...body.constants, ...folded]) }, target, limits, halved);
}

/**
 * Lowers a program.
 *
 * @param program The program
 * @param target What suits the device
 * @param limits What it can take
 * @param halved Inputs that are kept in float16
 * @returns The program on WebGPU, or what in it has no kernels
 */
export function lowerProgram(
  given: Program,
  target: Target,
  limits: Limits = leastLimits,
  halved: ReadonlySet<ValueId> = new Set(),
): GpuProgram | NotLowered {
  const program = widening(given, halved);
  const types: ValueType[] = [...program.types];
  const { roots, rootOf } = rootsOf(program);
  const between = (type: ValueType): ValueId => {
    const value = types.push(type) - 1;
    rootOf.set(value, roots.push({ type, place: "arena" }) - 1);
    return value;
  };
  const halfRoots = new Set([...halved].map((value) => rootOf.get(value)!));
  const isHalf = (value: ValueId) => halfRoots.has(rootOf.get(value)!);
  const lowering: Lowering = { types, rootOf: (value) => rootOf.get(value)!, isHalf, target, between };
  const kernels: GpuKernel[] = [];
  for (const [index, call] of program.calls.entries()) {
    if (isAlias(call)) continue;
    const touched = [...call.inputs, ...call.outputs];
    const found = touched.every((value) => KNOWN.has(types[value].dtype))
      ? kernelsOf(program, index, lowering)
      : undefined;
    if (found === undefined) return { reason: `${described(call, types)} has no WebGPU kernel` };
    kernels.push(...found.filter(({ groups }) => groups.every((count) => count > 0)));
  }
  const refused = kernels.find(({ bindings, groups }) =>
    bindings.length > MOST_BINDINGS || groups.some((count) => count > MOST_GROUPS)
  );
  if (refused !== undefined) return { reason: "a kernel is bound to too many tensors, or has too many threads" };
  const bytesOf = (root: number) => gpuBytes(roots[root].type, halfRoots.has(root));
  const large = kernels.flatMap(({ bindings }) => bindings).map(({ value }) => bytesOf(rootOf.get(value)!));
  const most = large.reduce((one, other) => Math.max(one, other), 0);
  if (most > limits.bindingBytes) {
    return { reason: `a tensor of ${most} bytes, where ${limits.bindingBytes} can be bound` };
  }
  const { offsets, bytes } = planArena(kernels, lowering.rootOf, roots, bytesOf, limits.alignment);
  if (bytes > limits.bufferBytes) {
    return { reason: `${bytes} bytes of activations, where a buffer has ${limits.bufferBytes}` };
  }
  const isShared = (value: ValueId) => roots[rootOf.get(value)!].place === "arena";
  return {
    roots,
    rootOf: lowering.rootOf,
    bytesOf,
    offsets,
    arenaBytes: bytes,
    dispatches: kernels.map((kernel): Dispatch => ({
      text: textOf(kernel, isShared),
      params: kernel.params,
      groups: kernel.groups,
      bindings: kernel.bindings.map(({ value, isWritten }) => ({
        root: rootOf.get(value)!,
        isWritable: isWritten || isShared(value),
      })),
    })),
  };
}

function described({ kernel, inputs }: Call, types: readonly ValueType[]): string {
  return `${kernel} of ${
    inputs.map((value) => `${types[value].dtype} [${types[value].shape}]`).join(", ") || "nothing"
  }`;
}

/** Places of the roots that live within a run. */
function planArena(
  kernels: readonly GpuKernel[],
  rootOf: (value: ValueId) => number,
  roots: readonly Root[],
  bytesOf: (root: number) => number,
  alignment: number,
): { readonly offsets: ReadonlyMap<number, number>; readonly bytes: number } {
  const lives = new Map<number, { from: number; to: number }>();
  kernels.forEach(({ bindings }, at) => {
    for (const { value } of bindings) {
      const root = rootOf(value);
      if (roots[root].place !== "arena") continue;
      const life = lives.get(root);
      if (life === undefined) lives.set(root, { from: at, to: at });
      else life.to = at;
    }
  });
  const all = [...lives];
  const { offsets, bytes } = placesOf(all.map(([root, life]) => ({ ...life, bytes: bytesOf(root) })), alignment);
  return { bytes, offsets: new Map(all.map(([root], i) => [root, offsets[i]])) };
}
