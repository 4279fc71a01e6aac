/**
 * The compiled kernels, working on tfjs-wasm's own memory: no tensor is copied between the two modules.
 *
 * @module
 */

import type { BackendWasm } from "@tensorflow/tfjs-backend-wasm";
import type * as tf from "@tensorflow/tfjs-core";
import { fused, plain } from "./kernels.wasm.ts";
import { size } from "./shape.ts";

/** Functions that assembly/mod.ts exports. */
export type FunctionName =
  | "adamw"
  | "copyRows"
  | "errorFunction"
  | "exponential"
  | "gather"
  | "gelu"
  | "geluGradient"
  | "geluTanh"
  | "geluTanhGradient"
  | "hyperbolicTangent"
  | "initialise"
  | "inverse"
  | "inverseSquareRoot"
  | "logistic"
  | "matmul"
  | "maxRows"
  | "maximum"
  | "minimum"
  | "repeat"
  | "softmax"
  | "softmaxGradient"
  | "squareRoot"
  | "squaredDifference"
  | "standardise"
  | "standardiseGradient"
  | "sumColumns"
  | "sumRows"
  | "transpose"
  | "transposeBlocks"
  | "workBytes";

/** Compiled functions; addresses and sizes are plain numbers. */
export type Functions = Readonly<Record<FunctionName, (...args: readonly number[]) => number>>;

/** Which compiled kernels: with fused multiply-add, or with SIMD only. */
export type Variant = "fused" | "plain";

const packed: Readonly<Record<Variant, string>> = { fused, plain };

/** What kernels need of the backend whose memory they work on. */
export interface Heap {
  /** Which of the compiled kernels these are. */
  readonly variant: Variant;
  /** The compiled functions. */
  readonly functions: Functions;
  /** Address of `workBytes()` bytes that a kernel may use while it runs. */
  readonly work: number;
  /** Where a tensor's values are. */
  readonly address: (tensor: tf.TensorInfo) => number;
  /** A new tensor, its values undefined. */
  readonly output: (shape: readonly number[], dtype?: tf.DataType) => tf.TensorInfo;
  /** Gives a tensor made by `output` back. */
  readonly release: (tensor: tf.TensorInfo) => void;
  /** A tensor's values in place, until memory next grows. */
  readonly integers: (tensor: tf.TensorInfo) => Int32Array;
}

/** What is used here of the fields that tfjs-wasm keeps to itself. */
interface Inside {
  readonly wasm: {
    readonly HEAPU8: Uint8Array<ArrayBuffer>;
    readonly asm?: WebAssembly.Exports;
    readonly _malloc: (bytes: number) => number;
  };
  readonly makeOutput: (shape: readonly number[], dtype: tf.DataType) => tf.TensorInfo;
}

/** Placeholder for the block's address in the binary, and the block's size; the former is BLOCK in assembly/layout.ts. */
const [placeholder, blockBytes] = [0x7ace0000, 4096];

async function unpack(packed: string): Promise<Uint8Array<ArrayBuffer>> {
  const deflated = Uint8Array.from(atob(packed), (character) => character.charCodeAt(0));
  const stream = new Blob([deflated]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/**
 * Replaces every `i32.const` of an address in the block: opcode 0x41 and a signed LEB128 number of five bytes.
 *
 * @param code A module with the placeholder; changed in place
 * @param address The block's address
 * @returns How many were replaced
 */
export function place(code: Uint8Array, address: number): number {
  let count = 0;
  for (let at = 0; at + 5 < code.length; at++) {
    if (code[at] !== 0x41) continue;
    const digits = code.subarray(at + 1, at + 6);
    if (!digits.every((digit, i) => (digit >= 128) === (i < 4))) continue;
    const value = digits.reduceRight((sum, digit) => sum * 128 + digit % 128, 0);
    if (value < placeholder || value >= placeholder + blockBytes) continue;
    let rest = (address + value - placeholder) | 0;
    for (let i = 0; i < 5; i++) {
      digits[i] = rest & 127 | (i < 4 ? 128 : 0);
      rest >>= 7;
    }
    count++;
  }
  return count;
}

/**
 * Compiles the kernels for a backend.
 *
 * @param backend tfjs-wasm's backend, ready
 * @param variants Which to try: the first that this engine understands is taken
 * @returns Nothing where the engine has no SIMD or the backend's memory cannot be reached
 */
export async function openHeap(backend: BackendWasm, variants: readonly Variant[]): Promise<Heap | undefined> {
  const inside = backend as unknown as Inside;
  const memory = Object.values(inside.wasm.asm ?? {}).find((each) => each instanceof WebAssembly.Memory);
  const candidates = await Promise.all(variants.map(async (name) => [name, await unpack(packed[name])] as const));
  const understood = candidates.find(([, code]) => WebAssembly.validate(code));
  if (memory === undefined || understood === undefined) return undefined;
  const [variant, code] = understood;

  // malloc gives multiples of 8; those of 64 keep a vector from straddling two cache lines.
  const allocate = (bytes: number) => (inside.wasm._malloc(bytes + 63) + 63 & ~63) >>> 0;
  place(code, allocate(blockBytes));
  const { instance } = await WebAssembly.instantiate(code, { env: { memory } });
  const functions = instance.exports as unknown as Functions;
  functions.initialise();
  const address = ({ dataId }: tf.TensorInfo) => backend.getMemoryOffset(dataId);
  return {
    variant,
    functions,
    work: allocate(functions.workBytes()),
    address,
    output: (shape, dtype = "float32") => inside.makeOutput([...shape], dtype),
    release: ({ dataId }) => backend.disposeData(dataId),
    integers: (tensor) => new Int32Array(inside.wasm.HEAPU8.buffer, address(tensor), size(tensor.shape)),
  };
}
