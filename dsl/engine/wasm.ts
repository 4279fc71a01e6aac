/**
 * The embedded default: WebAssembly with SIMD, no install step.
 *
 * @module
 */

import * as tf from "@tensorflow/tfjs-core";

/** Makes the wasm backend ready. */
export async function openWasm(): Promise<string> {
  await import("@tensorflow/tfjs-backend-wasm");
  const simd = await tf.env().getAsync("WASM_HAS_SIMD_SUPPORT");
  return `WebAssembly${simd ? " with SIMD" : ""}, one thread`;
}
