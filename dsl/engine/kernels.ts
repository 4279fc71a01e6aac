/**
 * Kernels that only some backends have: formulas of this project in one pass over memory.
 *
 * @module
 */

import * as tf from "@tensorflow/tfjs-core";
import type { Precision } from "./precision.ts";

/** What is being recorded for. */
export interface Target {
  /** The backend that will compute it. */
  readonly backend: string;
  /** What it will compute in. */
  readonly precision: Precision;
  /** Whether all of it becomes one compiled function, as on a GPU (default false). */
  readonly whole?: boolean;
  /** Kernels of our own that it has for this besides its others (default none). */
  readonly kernels?: readonly string[];
}

/** The backend that will compute what is being recorded for it, and how. */
let recorded: Target | undefined;

/**
 * Runs a function whose kernel calls are recorded, not computed.
 *
 * @param target What they are recorded for
 * @param f The function
 */
export function recordingFor<Result>(target: Target, f: () => Result): Result {
  const before = recorded;
  recorded = target;
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
  return recorded?.kernels?.includes(name) === true ||
    tf.getKernel(name, recorded?.backend ?? tf.getBackend()) !== undefined;
}

/** Whether what is being recorded becomes one compiled function: then each kernel costs more than memory for numbers to keep. */
export function isRecordedWhole(): boolean {
  return recorded?.whole === true;
}

/** The precision of matrix products. */
export function productPrecision(): Precision {
  return recorded?.precision ?? "float32";
}

/**
 * Calls a kernel of our own, if the backend has it and all inputs but the indices are float32.
 *
 * @param name The kernel's name; what each takes and returns is said in wasm/fused.ts
 * @param inputs Tensors by name
 * @param attributes Attributes by name
 * @param indices Inputs of int32, by name
 * @returns Its results, or nothing: then the formula must be composed of tfjs's kernels
 */
export function ownKernel(
  name: string,
  inputs: Readonly<Record<string, tf.Tensor>>,
  attributes: tf.NamedAttrMap = {},
  indices: Readonly<Record<string, tf.Tensor>> = {},
): tf.Tensor[] | undefined {
  if (!hasKernel(name) || Object.values(inputs).some(({ dtype }) => dtype !== "float32")) return undefined;
  const results: tf.Tensor | tf.Tensor[] = tf.engine().runKernel(name, { ...inputs, ...indices }, attributes);
  return Array.isArray(results) ? results : [results];
}
