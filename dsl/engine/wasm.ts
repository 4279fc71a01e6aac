/**
 * The embedded default: WebAssembly with SIMD, no install step.
 *
 * @module
 */

import type { BackendWasm } from "@tensorflow/tfjs-backend-wasm";
import * as tf from "@tensorflow/tfjs-core";
import { registerFallbackKernels } from "./fallback.ts";
import { correctedFusedProduct } from "./fused_product.ts";
import type { Device } from "./interface.ts";
import { registerWasmKernels } from "./wasm/mod.ts";

/** What is used here of the fields that tfjs-wasm keeps to itself. */
interface Heap {
  readonly wasm: { readonly HEAPU8: Uint8Array };
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

/** Makes the wasm backend ready: the cpu's kernels for those it lacks, ours for those that are slow. */
export async function openWasm(): Promise<Device> {
  await import("@tensorflow/tfjs-backend-wasm");
  if (await tf.setBackend("wasm") && registerFallbackKernels("wasm").length > 0) {
    const backend = tf.backend() as BackendWasm;
    readComplex(backend);
    correctFusedProduct();
    await registerWasmKernels(backend);
  }
  const simd = await tf.env().getAsync("WASM_HAS_SIMD_SUPPORT");
  return { kind: "cpu", text: `WebAssembly${simd ? " with SIMD" : ""}, one thread` };
}
