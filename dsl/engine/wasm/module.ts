/**
 * The compiled kernels, working on tfjs-wasm's own memory: no tensor is copied between the two modules.
 *
 * @module
 */

import type { BackendWasm } from "@tensorflow/tfjs-backend-wasm";
import type * as tf from "@tensorflow/tfjs-core";
import type { FunctionName, Functions } from "./functions.ts";
import { fused, plain } from "./kernels.wasm.ts";
import { type Callable, type CallList, type ListedCall, type Lists, makeList, regions } from "./list.ts";
import { startPool, type WasmFunction } from "./pool.ts";
import { size } from "./shape.ts";
import { importShared } from "./shared.ts";
import { splits } from "./split.ts";

/** Which compiled kernels: with fused multiply-add, or with SIMD only. */
export type Variant = "fused" | "plain";

const packed: Readonly<Record<Variant, string>> = { fused, plain };

/** What kernels need of the backend whose memory they work on. */
export interface Heap {
  /** Which of the compiled kernels these are. */
  readonly variant: Variant;
  /** The compiled functions, on all threads where a call is worth it. */
  readonly functions: Functions;
  /**
   * Whether products of few rows are left to kernels that read stored matrices as they are, whose sums are in another order than
   * those of numbers.
   */
  readonly ownProducts: boolean;
  /** Threads that work on a call. */
  readonly threads: number;
  /** Parts that a call is cut into at most. */
  readonly parts: number;
  /** Whether threads can share the memory. */
  readonly isShared: boolean;
  /**
   * Calls a function that is compiled the first time it is needed, once for every list of arguments, on all threads.
   *
   * @param name What it is known by
   * @param compile Its module, which imports `env.memory` and exports it as `run`
   * @param chunks Arguments
   */
  readonly runOwn: (
    name: string,
    compile: () => Uint8Array<ArrayBuffer>,
    chunks: readonly (readonly number[])[],
  ) => void;
  /** Number of a compiled function, for lists. */
  readonly numberOf: (name: FunctionName) => number;
  /** Number of a function that is compiled the first time it is needed; see `runOwn`. */
  readonly numberOfOwn: (name: string, compile: () => Uint8Array<ArrayBuffer>) => number;
  /** A list of calls that all threads share. */
  readonly list: (calls: readonly ListedCall[]) => CallList;
  /** Memory of all lists' values that live for a run only: runs follow each other, so that one place does for all. */
  readonly arena: Arena;
  /** Address of `workBytes()` bytes that a kernel may use while it runs. */
  readonly work: number;
  /** Where a tensor's values are. */
  readonly address: (tensor: tf.TensorInfo) => number;
  /** A new tensor, its values undefined. */
  readonly output: (shape: readonly number[], dtype?: tf.DataType) => tf.TensorInfo;
  /** Gives a tensor made by `output` back. */
  readonly release: (tensor: tf.TensorInfo) => void;
  /**
   * Whether a tensor's values are such that a kernel may go on; in a list, that is asked before each run, and it throws where
   * they are not.
   */
  readonly check: (tensor: tf.TensorInfo, holds: (values: Int32Array) => boolean, message: string) => boolean;
  /** Ends the threads. */
  readonly close: () => void;
}

/** Memory that is there as long as someone holds it. */
export interface Arena {
  /** Begins to hold it. */
  readonly hold: () => void;
  /** Ends that; without a holder it is given back. */
  readonly release: () => void;
  /** Its address, once it has at least so many bytes. What was in it is lost. */
  readonly reserve: (bytes: number) => number;
}

/** What is used here of the fields that tfjs-wasm keeps to itself. */
interface Inside {
  readonly wasm: {
    readonly HEAPU8: Uint8Array<ArrayBuffer>;
    readonly asm?: WebAssembly.Exports;
    readonly _malloc: (bytes: number) => number;
    readonly _free: (address: number) => void;
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

/** Chunks of a call for each thread: a thread that is late leaves its part to the others. */
const CHUNKS = 2;

/** Most chunks of a call. */
const MOST_CHUNKS = 64;

/** Functions that share their calls with the pool's threads. */
function shared(
  functions: Functions,
  names: readonly FunctionName[],
  run: ReturnType<typeof regions>,
  parts: number,
): Functions {
  const entries = names.map((name, called) => {
    const [own, split] = [functions[name], splits[name]];
    if (split === undefined) return [name, own] as const;
    return [name, (...args: readonly number[]) => {
      const chunks = split(args, parts);
      if (chunks.length < 2) return own(...args);
      run(called, chunks);
      return 0;
    }] as const;
  });
  return Object.fromEntries(entries) as unknown as Functions;
}

/** An arena of some allocator's memory. */
function makeArena({ allocate, free }: Pick<Lists, "allocate" | "free">): Arena {
  let [address, length, holders] = [0, 0, 0];
  const clear = () => {
    if (length > 0) free(address);
    [address, length] = [0, 0];
  };
  return {
    hold: () => void holders++,
    release: () => {
      if (--holders === 0) clear();
    },
    reserve: (bytes) => {
      if (bytes > length) {
        clear();
        [address, length] = [allocate(bytes), bytes];
      }
      return address;
    },
  };
}

/**
 * Compiles the kernels for a backend.
 *
 * @param backend tfjs-wasm's backend, ready
 * @param variants Which to try: the first that this engine understands is taken
 * @param threads Threads that work on a call (default 1); one where the backend's memory is not shared
 * @returns Nothing where the engine has no SIMD or the backend's memory cannot be reached
 */
export async function openHeap(
  backend: BackendWasm,
  variants: readonly Variant[],
  threads: number = 1,
): Promise<Heap | undefined> {
  const inside = backend as unknown as Inside;
  const memory = Object.values(inside.wasm.asm ?? {}).find((each) => each instanceof WebAssembly.Memory);
  const candidates = await Promise.all(variants.map(async (name) => [name, await unpack(packed[name])] as const));
  const understood = candidates.find(([, code]) => WebAssembly.validate(code));
  if (memory === undefined || understood === undefined) return undefined;
  const [variant, code] = understood;

  // malloc gives multiples of 8; those of 64 keep a vector from straddling two cache lines.
  const taken = new Map<number, number>();
  const allocate = (bytes: number) => {
    const whole = inside.wasm._malloc(bytes + 63) >>> 0;
    const address = (whole + 63 & ~63) >>> 0;
    taken.set(address, whole);
    return address;
  };
  const free = (address: number) => {
    inside.wasm._free(taken.get(address)!);
    taken.delete(address);
  };
  // A page that is not cross-origin isolated has no such class.
  const isShared = typeof SharedArrayBuffer === "function" && memory.buffer instanceof SharedArrayBuffer;
  if (isShared) importShared(code);
  // Each thread has a block of its own, whose address is part of its code.
  const placed = () => {
    const own = code.slice();
    place(own, allocate(blockBytes));
    return own;
  };
  const { instance } = await WebAssembly.instantiate(placed(), { env: { memory } });
  const single = instance.exports as unknown as Functions;
  single.initialise();
  const work = () => allocate(single.workBytes());
  const own = work();
  const parts = threads === 1 ? 1 : Math.min(MOST_CHUNKS, CHUNKS * threads);
  const names = Object.keys(instance.exports).filter((name) => name in splits) as FunctionName[];
  const others = Array.from({ length: isShared ? threads - 1 : 0 }, () => ({ code: placed(), work: work() }));
  const callables: Callable[] = names.map((name) => ({ run: single[name], code: 0, length: 0 }));
  const functionsOf: WasmFunction[] = names.map((name) => single[name]);
  const pool = others.length === 0
    ? undefined
    : startPool(memory, names, { functions: functionsOf, work: own }, others);
  const lists: Lists = {
    callables,
    pool,
    work: own,
    allocate,
    free,
    numbersAt: (address, count) => new Float64Array(memory.buffer as ArrayBuffer, address, count),
  };
  const run = regions(pool === undefined ? 0 : MOST_CHUNKS, lists);
  const functions = pool === undefined ? single : { ...single, ...shared(single, names, run, parts) };
  const numbers = new Map<string, number>();
  const numberOfOwn = (name: string, compile: () => Uint8Array<ArrayBuffer>): number => {
    const known = numbers.get(name);
    if (known !== undefined) return known;
    const code = compile();
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(code), { env: { memory } });
    const run = exports.run as WasmFunction;
    const address = pool === undefined ? 0 : allocate(code.length);
    if (pool !== undefined) new Uint8Array(memory.buffer, address, code.length).set(code);
    const number = callables.push({ run, code: address, length: code.length }) - 1;
    functionsOf[number] = run;
    numbers.set(name, number);
    return number;
  };
  const address = ({ dataId }: tf.TensorInfo) => backend.getMemoryOffset(dataId);
  return {
    variant,
    functions,
    ownProducts: false,
    threads: others.length + 1,
    parts,
    isShared,
    runOwn: (name, compile, chunks) => {
      const called = numberOfOwn(name, compile);
      if (pool === undefined || chunks.length === 1) { for (const args of chunks) callables[called].run(...args); }
      else run(called, chunks);
    },
    numberOf: (name) => names.indexOf(name),
    numberOfOwn,
    list: (calls) => makeList(calls, lists),
    arena: makeArena(lists),
    work: own,
    address,
    output: (shape, dtype = "float32") => inside.makeOutput([...shape], dtype),
    release: ({ dataId }) => backend.disposeData(dataId),
    check: (tensor, holds) => holds(new Int32Array(inside.wasm.HEAPU8.buffer, address(tensor), size(tensor.shape))),
    close: () => {
      pool?.stop();
      for (const number of numbers.values()) if (callables[number].code !== 0) free(callables[number].code);
    },
  };
}
