/**
 * The embedded default: WebAssembly with SIMD, no install step.
 *
 * @module
 */

import type { BackendWasm } from "@tensorflow/tfjs-backend-wasm";
import * as tf from "@tensorflow/tfjs-core";
import { registerFallbackKernels } from "./fallback.ts";
import { correctedFusedProduct } from "./fused_product.ts";
import { isPage } from "../host.ts";
import type { Device, OpenOptions } from "./interface.ts";
import { type Allocator, refuseBeyond } from "./wasm/memory.ts";
import { registerWasmKernels, type Registration } from "./wasm/mod.ts";
import { sharingMemory } from "./wasm/shared.ts";

/** What is used here of the fields that tfjs-wasm keeps to itself. */
interface Heap {
  readonly wasm: { readonly HEAPU8: Uint8Array } & Allocator;
  readonly dataIdMap: tf.DataStorage<{ readonly dtype: tf.DataType; readonly shape: number[] }>;
}

/** Lets tfjs-wasm read the complex tensors that borrowed kernels write; by itself it throws on their type. */
function readComplex(backend: BackendWasm): void {
  const plain = backend.readSync.bind(backend);
  backend.readSync = (dataId, start, end) => {
    const { wasm, dataIdMap } = backend as unknown as Heap;
    const { dtype, shape } = dataIdMap.get(dataId);
    if (dtype !== "complex64") return plain(dataId, start, end);
    const offset = backend.getMemoryOffset(dataId);
    const bytes = tf.util.sizeFromShape(shape) * tf.util.bytesPerElement(dtype);
    return new Float32Array(wasm.HEAPU8.slice(offset, offset + bytes).buffer);
  };
}

/** Puts the corrected fused product in the place of tfjs-wasm's. */
function correctFusedProduct(): void {
  const product = tf.getKernel("_FusedMatMul", "wasm");
  const { kernelFunc: transpose } = tf.getKernel("Transpose", "wasm");
  tf.unregisterKernel(product.kernelName, product.backendName);
  tf.registerKernel({ ...product, kernelFunc: correctedFusedProduct(product.kernelFunc, transpose) });
}

/** Lets copies share their bytes, which nothing writes to: tfjs-wasm's kernel copies a step's parameters whenever they are read. */
function shareCopies(): void {
  const plain = tf.getKernel("Identity", "wasm");
  tf.unregisterKernel(plain.kernelName, plain.backendName);
  tf.registerKernel({
    ...plain,
    kernelFunc: ({ inputs, backend }) => {
      const x = inputs.x!;
      (backend as BackendWasm).incRef(x.dataId);
      return { dataId: x.dataId, shape: x.shape, dtype: x.dtype };
    },
  });
}

/** Our kernels, once they are registered. */
let registration: Registration | undefined;

/** Most threads that are started unasked: beyond, memory is what limits a step. */
const MOST_THREADS = 16;

/** Whether threads can share memory here; in a page it takes the headers of cross-origin isolation. */
function canShare(): boolean {
  // A page's own thread may not wait for others; threads of a page may.
  const { crossOriginIsolated, document } = globalThis as {
    readonly crossOriginIsolated?: boolean;
    readonly document?: unknown;
  };
  return typeof SharedArrayBuffer === "function" && crossOriginIsolated !== false && document === undefined;
}

/** The machine's cores, as far as they are known. */
function cores(): number {
  return Math.max(1, Math.min(MOST_THREADS, navigator.hardwareConcurrency ?? 1));
}

/** Makes the wasm backend ready: the cpu's kernels for those it lacks, ours for those that are slow. */
export async function openWasm({ threads }: OpenOptions = {}): Promise<Device> {
  const { setWasmPaths } = await import("@tensorflow/tfjs-backend-wasm");
  if (isPage()) {
    // tfjs's own threads are not used, and its binaries lie beside the page's code.
    tf.env().set("WASM_HAS_MULTITHREAD_SUPPORT", false);
    setWasmPaths(new URL("./", import.meta.url).href);
  }
  const isReady = canShare() ? await sharingMemory(() => tf.setBackend("wasm")) : await tf.setBackend("wasm");
  if (isReady && registerFallbackKernels("wasm").length > 0) {
    const backend = tf.backend() as BackendWasm;
    readComplex(backend);
    refuseBeyond((backend as unknown as Heap).wasm);
    correctFusedProduct();
    shareCopies();
    registration = await registerWasmKernels(backend, undefined, threads ?? cores());
  } else if (isReady && threads !== undefined && registration !== undefined && threads !== registration.threads) {
    registration.undo();
    registration = await registerWasmKernels(tf.backend() as BackendWasm, undefined, threads);
  }
  const simd = await tf.env().getAsync("WASM_HAS_SIMD_SUPPORT");
  const count = registration?.threads ?? 1;
  const own = count === 1 ? "one thread" : `${count} threads`;
  return { kind: "cpu", threads: count, text: `WebAssembly${simd ? " with SIMD" : ""}, ${own}` };
}
