/**
 * Kernels that a backend lacks, borrowed from the cpu backend: inputs are read, the cpu kernel runs, outputs are
 * written back. Slow, but everything that differentiates on one backend then differentiates on all.
 *
 * @module
 */

import type { MathBackendCPU } from "@tensorflow/tfjs-backend-cpu";
import * as tf from "@tensorflow/tfjs-core";
import { privateCpuBackend } from "./cpu.ts";

/** Copies a tensor to the cpu; complex numbers are two arrays there and interleaved everywhere else. */
function toCpu(input: tf.TensorInfo, from: tf.KernelBackend, cpu: MathBackendCPU): tf.TensorInfo {
  const values = from.readSync(input.dataId);
  if (input.dtype !== "complex64") return cpu.makeTensorInfo(input.shape, input.dtype, values);
  const { real, imag } = tf.backend_util.splitRealAndImagArrays(values as Float32Array);
  const output = cpu.makeTensorInfo(input.shape, "complex64");
  cpu.data.get(output.dataId).complexTensorInfos = {
    real: cpu.makeTensorInfo(input.shape, "float32", real),
    imag: cpu.makeTensorInfo(input.shape, "float32", imag),
  };
  return output;
}

/** Copies a tensor from the cpu. */
function fromCpu(output: tf.TensorInfo, to: tf.KernelBackend, cpu: MathBackendCPU): tf.TensorInfo {
  const { shape, dtype } = output;
  return { dataId: to.write(cpu.readSync(output.dataId), shape, dtype), shape, dtype };
}

/** The cpu's kernel as a kernel of the backend it is called with. */
function borrow(kernel: tf.KernelFunc): tf.KernelFunc {
  return ({ inputs, attrs, backend }) => {
    const own = backend as tf.KernelBackend;
    const cpu = privateCpuBackend();
    // An input may be absent, or a list: RaggedGather has one among its named inputs, Einsum's are nothing else.
    const copy = (input: unknown): unknown =>
      Array.isArray(input) ? input.map(copy) : input ? toCpu(input as tf.TensorInfo, own, cpu) : input;
    const copies = Array.isArray(inputs)
      ? inputs.map(copy)
      : Object.fromEntries(Object.entries(inputs).map(([name, input]) => [name, copy(input)]));
    const outputs = kernel({ inputs: copies as tf.NamedTensorInfoMap, attrs, backend: cpu });
    return Array.isArray(outputs) ? outputs.map((each) => fromCpu(each, own, cpu)) : fromCpu(outputs, own, cpu);
  };
}

/**
 * Registers the cpu's kernel for each one that a backend lacks. The backend must be able to read synchronously.
 *
 * @param backendName The backend, its own kernels already registered
 * @returns Names of the kernels that were borrowed
 */
export function registerFallbackKernels(backendName: string): readonly string[] {
  const present = new Set(tf.getKernelsForBackend(backendName).map((kernel) => kernel.kernelName));
  const missing = tf.getKernelsForBackend("cpu").filter((kernel) => !present.has(kernel.kernelName));
  for (const { kernelName, kernelFunc } of missing) {
    tf.registerKernel({ kernelName, backendName, kernelFunc: borrow(kernelFunc) });
  }
  return missing.map((kernel) => kernel.kernelName);
}
