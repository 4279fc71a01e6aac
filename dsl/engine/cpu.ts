/**
 * The plain JavaScript engine: the slowest, there on every machine, and the source of kernels that others lack.
 *
 * @module
 */

import { MathBackendCPU } from "@tensorflow/tfjs-backend-cpu";
import * as tf from "@tensorflow/tfjs-core";
import { type DType, toFloat32 } from "../safetensors/dtype.ts";
import type { Device } from "./interface.ts";
import { type HalfForm, markStored, type StoredForm } from "./stored.ts";

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

/** Forms that tensors are kept in, by the element types that files call them by. */
const HALVES: Readonly<Record<HalfForm, DType>> = { bf16: "BF16", f16: "F16" };

/** The forms. */
export const cpuForms: ReadonlySet<StoredForm> = new Set(Object.keys(HALVES) as HalfForm[]);

/**
 * Keeps halves as a tensor, of which every kernel gets the numbers anew each time that it asks.
 *
 * @param bytes Little-endian, two for each number; the tensor goes on reading them
 * @param form What they are
 * @param shape Dimensions
 * @returns Nothing of a form that is not kept
 */
export function hold(bytes: Uint8Array, form: StoredForm, shape: readonly number[]): tf.Tensor | undefined {
  const dtype = HALVES[form as HalfForm];
  if (dtype === undefined) return undefined;
  const bits = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / Uint16Array.BYTES_PER_ELEMENT);
  const dataId = {};
  const info = {
    dtype: "float32" as const,
    refCount: 1,
    // Here alone, so that they go when the tensor is disposed.
    bits,
    get values() {
      return toFloat32({ dtype, shape, data: bits });
    },
  };
  (tf.backend() as MathBackendCPU).data.set(dataId, info);
  return markStored(tf.engine().makeTensorFromTensorInfo({ dataId, shape: [...shape], dtype: "float32" }), form);
}

/**
 * The halves of a tensor that is kept in them.
 *
 * @param tensor Such a tensor
 */
export function bitsIn({ dataId }: tf.Tensor): Uint16Array {
  return ((tf.backend() as MathBackendCPU).data.get(dataId) as unknown as { readonly bits: Uint16Array }).bits;
}

/**
 * The numbers of a tensor that is kept in halves.
 *
 * @param tensor Such a tensor
 */
export function widened(tensor: tf.Tensor): tf.Tensor {
  return tf.tensor(tensor.dataSync<"float32">(), tensor.shape);
}

/** Makes the cpu backend ready. */
export function openCpu(): Promise<Device> {
  silence(tf.findBackend("cpu") as MathBackendCPU);
  return Promise.resolve({ kind: "cpu", text: "plain JavaScript, one thread" });
}
