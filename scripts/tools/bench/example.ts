/**
 * Numbers to measure a step on.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import type { Tensor, ValueType } from "../../../dsl/mod.ts";

/** A tensor to compute with: wholes 0 to 7, and 1.5 + sin(i), which may be a depth, a variance or a pixel. */
export function example({ shape, dtype }: ValueType): Tensor {
  const size = shape.reduce((product, length) => product * length, 1);
  if (dtype === "int32") return tf.tensor(Int32Array.from({ length: size }, (_, i) => i % 8), [...shape], "int32");
  return tf.tensor(Float32Array.from({ length: size }, (_, i) => 1.5 + Math.sin(i)), [...shape]);
}
