/**
 * Our own kernels for tfjs-wasm: matrix products with fused multiply-add, vectorised exponentials and error functions,
 * and whole formulas of the project. They work on tfjs-wasm's memory and replace its kernels one by one; calls that they
 * do not cover go to the kernels they replaced.
 *
 * @module
 */

import type { BackendWasm } from "@tensorflow/tfjs-backend-wasm";
import * as tf from "@tensorflow/tfjs-core";
import { OneloraError } from "../../error.ts";
import { convolutionKernels } from "./convolve.ts";
import { elementwiseKernels } from "./elementwise.ts";
import { formulaKernels } from "./formula.ts";
import { fusedKernels } from "./fused.ts";
import type { Kernel, Kernels } from "./kernel.ts";
import { productKernels } from "./matmul.ts";
import { type Heap, openHeap, type Variant } from "./module.ts";
import { movingKernels } from "./move.ts";
import { reductionKernels } from "./reduce.ts";
import { handlesStored, ofNumbers, ofPlainNumbers } from "./stored.ts";

/** Kernels that were registered. */
export interface Registration {
  /** Their names. */
  readonly names: readonly string[];
  /** Whether they are compiled with fused multiply-add, or with SIMD only. */
  readonly variant: Variant;
  /** Threads that work on a call. */
  readonly threads: number;
  /** Puts tfjs's kernels back and ends the threads. */
  readonly undo: () => void;
}

const ofAll: Kernels = {
  ...productKernels,
  ...convolutionKernels,
  ...elementwiseKernels,
  ...reductionKernels,
  ...movingKernels,
  ...fusedKernels,
  ...formulaKernels,
};

/** Kernels that read stored matrices as they are. */
const READING: ReadonlySet<string> = new Set(["BatchMatMul", "GatherV2", "_FusedMatMul"]);

const kernels: Kernels = Object.fromEntries(
  Object.entries(ofAll).map(([name, kernel]) => [name, READING.has(name) ? kernel : ofNumbers(kernel)]),
);

function describe(tensor: tf.TensorInfo): string {
  return `${tensor.dtype} [${tensor.shape.join(", ")}]`;
}

/** A kernel of ours, and where it runs. */
export interface OwnKernel {
  /** The kernel. */
  readonly kernel: Kernel;
  /** Where it runs. */
  readonly heap: Heap;
}

const own = new WeakMap<tf.KernelFunc, OwnKernel>();

/**
 * The kernel of ours that tfjs calls by a function, if it is one.
 *
 * @param kernelFunc What tfjs calls
 */
export function ownKernelOf(kernelFunc: tf.KernelFunc): OwnKernel | undefined {
  return own.get(kernelFunc);
}

/** The kernel as tfjs calls it, with tfjs's own for what it does not cover. */
function adapted(kernelName: string, kernel: Kernel, heap: Heap, plain: tf.KernelConfig | undefined): tf.KernelFunc {
  const kernelFunc: tf.KernelFunc = ({ inputs, attrs, backend }) => {
    const given = inputs as Readonly<Record<string, tf.TensorInfo>>;
    const result = kernel(heap, { inputs: given, attrs: attrs ?? {} });
    if (result !== undefined) return result;
    if (plain !== undefined) return ofPlainNumbers(plain.kernelFunc)({ inputs, attrs, backend });
    throw new OneloraError({
      attempted: `computing ${kernelName}`,
      found: Object.values(given).map(describe).join(", "),
      allowed: "float32 tensors",
    });
  };
  own.set(kernelFunc, { kernel, heap });
  return handlesStored(kernelFunc);
}

function replace(config: tf.KernelConfig): void {
  const { kernelName, backendName } = config;
  // Without this tfjs warns that the kernel was registered before.
  if (tf.getKernel(kernelName, backendName)) tf.unregisterKernel(kernelName, backendName);
  tf.registerKernel(config);
}

/**
 * Registers our kernels for the wasm backend.
 *
 * @param backend tfjs-wasm's backend, ready
 * @param variants Which to try: the first that this JavaScript engine understands is taken
 * @param threads Threads that work on a call (default 1); one where the backend's memory is not shared
 * @returns What was registered; nothing where there is no SIMD
 */
export async function registerWasmKernels(
  backend: BackendWasm,
  variants: readonly Variant[] = ["fused", "plain"],
  threads: number = 1,
): Promise<Registration | undefined> {
  const heap = await openHeap(backend, variants, threads);
  if (heap === undefined) return undefined;
  const backendName = "wasm";
  const names = Object.keys(kernels);
  const plain = new Map(names.map((name) => [name, tf.getKernel(name, backendName)]));
  for (const kernelName of names) {
    const kernelFunc = adapted(kernelName, kernels[kernelName], heap, plain.get(kernelName));
    replace({ kernelName, backendName, kernelFunc });
  }
  const undo = () => {
    heap.close();
    for (const name of names) {
      const config = plain.get(name);
      if (config) replace(config);
      else tf.unregisterKernel(name, backendName);
    }
  };
  return { names, variant: heap.variant, threads: heap.threads, undo };
}
