/**
 * What all kernels here have in common.
 *
 * @module
 */

import type * as tf from "@tensorflow/tfjs-core";
import type { Heap } from "./module.ts";

/** Inputs and attributes of a kernel. */
export interface Call {
  /** Tensors by name; optional ones may be missing. */
  readonly inputs: Readonly<Record<string, tf.TensorInfo>>;
  /** Attributes by name. */
  readonly attrs: tf.NamedAttrMap;
}

/** A kernel, or nothing for the calls that it leaves to tfjs's own. */
export type Kernel = (heap: Heap, call: Call) => tf.TensorInfo | tf.TensorInfo[] | undefined;

/** Kernels by the names that tfjs looks them up by. */
export type Kernels = Readonly<Record<string, Kernel>>;
