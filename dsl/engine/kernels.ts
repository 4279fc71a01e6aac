/**
 * Kernels that only some backends have: formulas of this project in one pass over memory.
 *
 * @module
 */

import * as tf from "@tensorflow/tfjs-core";
import type { Precision } from "./precision.ts";

/** What is being recorded for. */
interface Target {
  readonly backend: string;
  readonly precision: Precision;
}

/** The backend that will compute what is being recorded for it, and how. */
let recorded: Target | undefined;

/**
 * Runs a function whose kernel calls are recorded, not computed.
 *
 * @param backend Name of the backend that will compute them
 * @param precision What it will compute in
 * @param f The function
 */
export function recordingFor<Result>(backend: string, precision: Precision, f: () => Result): Result {
  const before = recorded;
  recorded = { backend, precision };
  try {
    return f();
  } finally {
    recorded = before;
  }
}

/**
 * Whether the backend that computes has a kernel.
 *
 * @param name The kernel's name
 */
export function hasKernel(name: string): boolean {
  return tf.getKernel(name, recorded?.backend ?? tf.getBackend()) !== undefined;
}

/** The precision of matrix products. */
export function productPrecision(): Precision {
  return recorded?.precision ?? "float32";
}

/**
 * Calls a kernel of our own, if the backend has it and all inputs are float32.
 *
 * @param name The kernel's name; what each takes and returns is said in wasm/fused.ts
 * @param inputs Tensors by name
 * @param attributes Attributes by name
 * @returns Its results, or nothing: then the formula must be composed of tfjs's kernels
 */
export function ownKernel(
  name: string,
  inputs: Readonly<Record<string, tf.Tensor>>,
  attributes: tf.NamedAttrMap = {},
): tf.Tensor[] | undefined {
  if (!hasKernel(name) || Object.values(inputs).some(({ dtype }) => dtype !== "float32")) return undefined;
  const results: tf.Tensor | tf.Tensor[] = tf.engine().runKernel(name, { ...inputs }, attributes);
  return Array.isArray(results) ? results : [results];
}
