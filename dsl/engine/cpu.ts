/**
 * The plain JavaScript engine: the slowest, there on every machine, and the source of kernels that others lack.
 *
 * @module
 */

import { MathBackendCPU } from "@tensorflow/tfjs-backend-cpu";
import * as tf from "@tensorflow/tfjs-core";
import type { Device } from "./interface.ts";

/**
 * Takes away the greeting that a cpu backend prints on its first write. This field is its only switch besides tfjs's
 * PROD flag, which would hide every other warning too.
 */
function silence(backend: MathBackendCPU): MathBackendCPU {
  (backend as unknown as { firstUse: boolean }).firstUse = false;
  return backend;
}

/** A cpu backend of its own, for one kernel: whatever the kernel leaves behind goes with it. */
export function privateCpuBackend(): MathBackendCPU {
  return silence(new MathBackendCPU());
}

/** Makes the cpu backend ready. */
export function openCpu(): Promise<Device> {
  silence(tf.findBackend("cpu") as MathBackendCPU);
  return Promise.resolve({ kind: "cpu", text: "plain JavaScript, one thread" });
}
