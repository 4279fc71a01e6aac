/**
 * A program: the list of kernel calls that a traced function makes, as data that can be read, changed and replayed.
 *
 * @module
 */
import type { DataType, NamedAttrMap, Tensor, TypedArray } from "@tensorflow/tfjs-core";
import { sizeOf } from "../tree.ts";

/** Number of a value within its program. */
export type ValueId = number;

/** What is known of a value before anything runs. */
export interface ValueType {
  /** Dimensions. */
  readonly shape: readonly number[];
  /** Element type. */
  readonly dtype: DataType;
}

/** A value that is the same in every run: numbers met while tracing, or a tensor the function closes over. */
export type Constant =
  | { readonly kind: "numbers"; readonly values: TypedArray | readonly number[] | readonly boolean[] }
  | { readonly kind: "tensor"; readonly tensor: Tensor };

/** One kernel call. */
export interface Call {
  /** tfjs kernel, e.g. `BatchMatMul`. */
  readonly kernel: string;
  /** Its inputs, in the order of `names`. */
  readonly inputs: readonly ValueId[];
  /** Names of the inputs; absent for kernels that take an array (Concat, Pack, AddN). */
  readonly names?: readonly string[];
  /** Its attributes. */
  readonly attrs: NamedAttrMap;
  /** The values it makes. */
  readonly outputs: readonly ValueId[];
  /** Calls of different regions are never merged: a region recomputes on purpose (see `apart`). */
  readonly region: number;
}

/** A traced function. */
export interface Program {
  /** Type of every value by number. */
  readonly types: readonly ValueType[];
  /** The function's tensors in, in order. */
  readonly inputs: readonly ValueId[];
  /** The function's tensors out, in order. */
  readonly outputs: readonly ValueId[];
  /** Values known before it runs. */
  readonly constants: ReadonlyMap<ValueId, Constant>;
  /** What it does, in order. */
  readonly calls: readonly Call[];
}

const ITEM_BYTES: Readonly<Record<string, number>> = { float32: 4, int32: 4, bool: 1, complex64: 8, string: 8 };

/**
 * Memory of a value, in bytes.
 *
 * @param type Its type
 */
export function bytesOf({ shape, dtype }: ValueType): number {
  return sizeOf(shape) * ITEM_BYTES[dtype];
}

/** Kernels whose result shares the memory of their input. */
const ALIASES: ReadonlySet<string> = new Set(["Reshape", "Identity", "ExpandDims"]);

/**
 * Whether a call only gives another shape to memory that exists.
 *
 * @param call The call
 */
export function isAlias({ kernel }: Call): boolean {
  return ALIASES.has(kernel);
}

/**
 * A call that gives a value another shape.
 *
 * @param types Types of the program's values, which get that of a new one
 * @param value The value
 * @param shape Its shape afterwards
 * @param region The call's region
 * @param output What it makes (default: a new value)
 */
export function reshapeCall(
  types: ValueType[],
  value: ValueId,
  shape: readonly number[],
  region: number,
  output: ValueId = types.push({ shape, dtype: types[value].dtype }) - 1,
): Call {
  return { kernel: "Reshape", inputs: [value], names: ["x"], attrs: { shape: [...shape] }, outputs: [output], region };
}

/**
 * Stretches of calls of one region, numbered: clusters stay within one, so that what is to be computed again later is.
 *
 * @param program The program
 * @returns Number of the stretch of every call
 */
export function segmentsOf(program: Program): readonly number[] {
  let segment = 0;
  return program.calls.map(({ region }, i) => i > 0 && region !== program.calls[i - 1].region ? ++segment : segment);
}

/**
 * For every call, the values that nothing needs after it; outputs, inputs and constants are never among them.
 *
 * @param program The program
 */
export function lastUses(program: Program): readonly (readonly ValueId[])[] {
  const kept = new Set([...program.outputs, ...program.inputs, ...program.constants.keys()]);
  const seen = new Set<ValueId>();
  const released: ValueId[][] = program.calls.map(() => []);
  for (let i = program.calls.length - 1; i >= 0; i--) {
    const { inputs, outputs } = program.calls[i];
    for (const value of [...inputs, ...outputs]) {
      if (kept.has(value) || seen.has(value)) continue;
      seen.add(value);
      released[i].push(value);
    }
  }
  return released;
}

/** What a program will take. */
export interface MemoryPlan {
  /** Largest number of bytes alive at once, inputs and constants included. */
  readonly peakBytes: number;
  /** Bytes of inputs and constants. */
  readonly residentBytes: number;
  /** Number of the call at which the peak is reached. */
  readonly peakCall: number;
}

/** Memory of each value of a program, in bytes. */
export type BytesOf = (value: ValueId) => number;

/** What is told of a program's buffers, each known by the value that it was made for. */
export interface BufferEvents {
  /** One is made, or there before the first call. */
  readonly made?: (buffer: ValueId) => void;
  /** Nothing needs it any more. */
  readonly freed?: (buffer: ValueId) => void;
  /** A call, -1 for before the first, has been made, and nothing freed after it yet; buffers with the values that share them. */
  readonly called?: (call: number, buffers: ReadonlyMap<ValueId, ReadonlySet<ValueId>>) => void;
}

/**
 * Follows a program's buffers through its calls.
 *
 * @param program The program
 * @param events Told what becomes of them
 */
export function followBuffers(program: Program, { made, freed, called }: BufferEvents): void {
  const buffer = new Map<ValueId, ValueId>();
  const sharers = new Map<ValueId, Set<ValueId>>();
  const make = (value: ValueId, of: ValueId) => {
    buffer.set(value, of);
    if (of === value) {
      sharers.set(of, new Set());
      made?.(of);
    }
    sharers.get(of)!.add(value);
  };
  for (const value of [...program.inputs, ...program.constants.keys()]) if (!buffer.has(value)) make(value, value);
  called?.(-1, sharers);
  const released = lastUses(program);
  program.calls.forEach((call, i) => {
    for (const output of call.outputs) make(output, isAlias(call) ? buffer.get(call.inputs[0])! : output);
    called?.(i, sharers);
    for (const value of released[i]) {
      const of = buffer.get(value)!;
      const left = sharers.get(of)!;
      left.delete(value);
      if (left.size > 0) continue;
      sharers.delete(of);
      freed?.(of);
    }
  });
}

/**
 * Predicts memory by walking through the calls: every buffer is counted from the call that makes it to the last use of
 * the last value that shares it.
 *
 * @param program The program
 * @param bytes Memory of each value, if it is not kept in its own type
 * @param during Bytes that a call takes besides, for its own time
 */
export function planMemory(
  program: Program,
  bytes: BytesOf = (value) => bytesOf(program.types[value]),
  during: (call: Call) => number = () => 0,
): MemoryPlan {
  let [alive, residentBytes, peakBytes, peakCall] = [0, 0, 0, -1];
  followBuffers(program, {
    made: (buffer) => alive += bytes(buffer),
    freed: (buffer) => alive -= bytes(buffer),
    called: (call) => {
      if (call === -1) residentBytes = peakBytes = alive;
      else {
        const all = alive + during(program.calls[call]);
        if (all > peakBytes) [peakBytes, peakCall] = [all, call];
      }
    },
  });
  return { peakBytes, residentBytes, peakCall };
}

/**
 * The buffers alive right after a call, inputs and constants included: each by the value it was made for, with the values
 * that share it and are still needed.
 *
 * @param program The program
 * @param call Number of the call; -1 for before the first
 */
export function buffersAt(program: Program, call: number): ReadonlyMap<ValueId, ReadonlySet<ValueId>> {
  const found = new Map<ValueId, ReadonlySet<ValueId>>();
  followBuffers(program, {
    called: (at, buffers) => {
      if (at !== call) return;
      for (const [buffer, values] of buffers) found.set(buffer, new Set(values));
    },
  });
  return found;
}

/**
 * Floating-point operations of the matrix products and convolutions: 2 per multiply-add.
 *
 * @param program The program
 */
export function productFlops({ calls, types }: Program): number {
  return calls.reduce((sum, { kernel, inputs, names, outputs, attrs }) => {
    if (kernel === "BatchMatMul" || kernel === "_FusedMatMul") {
      const { shape } = types[inputs[0]];
      const inner = shape[shape.length - (attrs.transposeA ? 2 : 1)];
      return sum + 2 * sizeOf(types[outputs[0]].shape) * inner;
    }
    if (kernel === "BlockAttention" || kernel === "BlockAttentionGrad") {
      // Two products forward, q k^T and p v; eight back, as dq and dk with dv each make q k^T and do v^T again.
      const [q, k] = names!.flatMap((name, i) => name === "q" || name === "k" ? [types[inputs[i]].shape] : []);
      return sum + 2 * (kernel === "BlockAttention" ? 2 : 8) * sizeOf(q) * k[k.length - 2];
    }
    if (kernel === "Conv2D" || kernel === "FusedConv2D") {
      const [height, width, channels] = types[inputs[1]].shape;
      return sum + 2 * sizeOf(types[outputs[0]].shape) * height * width * channels;
    }
    if (kernel === "Conv2DBackpropInput") {
      const [height, width, channels] = types[inputs[1]].shape;
      return sum + 2 * sizeOf(types[inputs[0]].shape) * height * width * channels;
    }
    return sum;
  }, 0);
}
