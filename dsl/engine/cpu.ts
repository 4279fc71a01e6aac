/**
 * The plain JavaScript engine: the slowest, there on every machine, and the source of kernels that others lack.
 *
 * @module
 */

import * as tf from "@tensorflow/tfjs-core";
import type { MathBackendCPU } from "@tensorflow/tfjs-backend-cpu";

/** The cpu backend, started, without its greeting that recommends another package. */
export function cpuBackend(): MathBackendCPU {
  const backend = tf.findBackend("cpu") as MathBackendCPU | null;
  if (backend === null) throw new Error("tfjs has no cpu backend");
  // The greeting is printed on the first write; its only switch besides PROD, which hides all warnings, is this field.
  (backend as unknown as { firstUse: boolean }).firstUse = false;
  return backend;
}

/** Makes the cpu backend ready. */
export function openCpu(): Promise<string> {
  cpuBackend();
  return Promise.resolve("plain JavaScript, one thread");
}
