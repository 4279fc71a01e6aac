/**
 * Kernels of WebGPU as text and numbers: what is bound, what is computed, how many groups of threads it takes. Nothing here
 * knows a device, so programs can be lowered and looked at anywhere.
 *
 * @module
 */
import type { ValueId, ValueType } from "../program.ts";

/** What a binding's array consists of. */
export type Element = "f32" | "f16" | "i32" | "vec2<f32>" | "vec4<f32>" | "vec4<f16>" | "vec4<i32>" | "atomic<i32>";

/** A tensor that a kernel is bound to. */
export interface Binding {
  /** The value whose memory it is. */
  readonly value: ValueId;
  /** What the kernel takes it for. */
  readonly element: Element;
  /** Whether the kernel writes to it. */
  readonly isWritten: boolean;
}

/** One dispatch. */
export interface GpuKernel {
  /** Tensors, named `t0`, `t1`, ... in the code. */
  readonly bindings: readonly Binding[];
  /** WGSL after the bindings. */
  readonly body: string;
  /** Whole numbers that the code reads as {@linkcode param}; they let one pipeline serve several shapes. */
  readonly params: readonly number[];
  /** Groups of threads along x, y and z. */
  readonly groups: readonly [x: number, y: number, z: number];
}

/** What lowering follows from besides the program. */
export interface Target {
  /**
   * Threads that share a row of a reduction. 1 suits software adapters, where a barrier costs more than what it saves; on a card
   * neighbours read neighbouring numbers.
   */
  readonly lanes: number;
  /** Whether products go through memory that a group of threads shares. */
  readonly sharesTiles: boolean;
  /** Whether threads of a subgroup add up what they have without memory between them. */
  readonly subgroups?: boolean;
}

/** What suits an adapter that computes on the processor. */
export const softwareTarget: Target = { lanes: 1, sharesTiles: false };

/** What suits a card. */
export const cardTarget: Target = { lanes: 64, sharesTiles: true };

/** Threads of a group of those kernels whose threads do not share anything. */
const GROUP = 64;

/** Most groups along an axis: what every device of WebGPU takes. */
export const MOST_GROUPS = 65535;

/** Most tensors of a kernel: what every device of WebGPU binds. */
export const MOST_BINDINGS = 8;

/** The number `index` of a kernel's parameters in WGSL. */
export function param(index: number): string {
  return `p[${index >> 2}].${"xyzw"[index & 3]}`;
}

/** Collects what a kernel is bound to; a tensor that is read twice is bound once. */
export class Binder {
  readonly bindings: Binding[] = [];
  readonly #rootOf: (value: ValueId) => ValueId;

  /**
   * @param rootOf The value whose memory another shares
   */
  constructor(rootOf: (value: ValueId) => ValueId) {
    this.#rootOf = rootOf;
  }

  /** Binds what is read. */
  read(value: ValueId, element: Element): string {
    return this.#bind(value, element, false);
  }

  /** Binds what is written. */
  write(value: ValueId, element: Element): string {
    return this.#bind(value, element, true);
  }

  #bind(value: ValueId, element: Element, isWritten: boolean): string {
    const root = this.#rootOf(value);
    const known = this.bindings.findIndex((each) => this.#rootOf(each.value) === root);
    if (known >= 0) {
      if (this.bindings[known].element !== element) throw new Clash();
      return `t${known}`;
    }
    return `t${this.bindings.push({ value, element, isWritten }) - 1}`;
  }
}

/** One tensor would be bound as two kinds of elements. */
export class Clash extends Error {}

/**
 * Writes a kernel with four numbers at a time or, where one tensor would have to be both, one at a time.
 *
 * @param write Writes it, given whether four are taken at a time
 * @param isWide Whether four can be
 */
export function widest<Result>(write: (isWide: boolean) => Result, isWide: boolean): Result {
  if (!isWide) return write(false);
  try {
    return write(true);
  } catch (error) {
    if (error instanceof Clash) return write(false);
    throw error;
  }
}

/** The element type of a value in memory. */
export function elementOf({ dtype }: ValueType, isWide = false): Element {
  const scalar = dtype === "float32" ? "f32" : "i32";
  return isWide ? `vec4<${scalar}>` : scalar;
}

/**
 * The groups of threads of a kernel with a thread for each number of a range, and its head, in which `i` is that number.
 *
 * @param threads The range
 */
export function overRange(threads: number): Pick<GpuKernel, "groups"> & { readonly head: string } {
  const groups = Math.max(1, Math.ceil(threads / GROUP));
  const [x, y] = groups <= MOST_GROUPS ? [groups, 1] : [32768, Math.ceil(groups / 32768)];
  const row = y === 1 ? "g.x" : `(g.y * ${x}u + g.x)`;
  return {
    groups: [x, y, 1],
    head: `@compute @workgroup_size(${GROUP})
fn main(@builtin(workgroup_id) g: vec3<u32>, @builtin(local_invocation_id) l: vec3<u32>) {
  let i = ${row} * ${GROUP}u + l.x;
  if (i >= ${threads}u) { return; }
`,
  };
}

/**
 * A kernel's whole text.
 *
 * @param kernel The kernel
 * @param isShared Whether a value's memory is part of a buffer that is also written: all of it is then bound for writing
 */
export function textOf({ bindings, body, params }: GpuKernel, isShared: (value: ValueId) => boolean): string {
  const lines = bindings.map(({ value, element, isWritten }, i) => {
    const access = isWritten || isShared(value) ? "read_write" : "read";
    return `@group(0) @binding(${i}) var<storage, ${access}> t${i}: array<${element}>;`;
  });
  if (params.length > 0) {
    const vectors = Math.ceil(params.length / 4);
    lines.push(`@group(0) @binding(${bindings.length}) var<uniform> p: array<vec4<u32>, ${vectors}>;`);
  }
  const hasHalves = bindings.some(({ element }) => element === "f16" || element === "vec4<f16>");
  const features = [...hasHalves ? ["f16"] : [], .../\bsubgroup(Add|Max)\(/.test(body) ? ["subgroups"] : []];
  return `${features.map((name) => `enable ${name};\n`).join("")}${lines.join("\n")}\n${body}`;
}

/** A number in WGSL, as float32. */
export function float(value: number): string {
  const single = Math.fround(value);
  const text = `${Math.abs(single)}`;
  // A number that WGSL has no letters for: the largest there is stands for infinity, as nothing finite is above it.
  const finite = Number.isFinite(single) ? text : "3.4028234663852886e38";
  const whole = /[.e]/.test(finite) ? finite : `${finite}.0`;
  return `${single < 0 || Object.is(single, -0) ? "-" : ""}${whole}f`;
}
