/**
 * Weights in the engine in fewer bits than float32's, where the engine can; elsewhere the same numbers in float32.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { compile } from "./compile/mod.ts";
import { engineInUse } from "./engine/in_use.ts";
import { storedForm } from "./engine/stored.ts";
import { dequantised, type Quantisation, quantise, type Quantised } from "./quantise.ts";
import { fromBfloat16, type HostTensor, toBfloat16, toFloat32 } from "./safetensors/dtype.ts";

/**
 * A tensor of floats in a form. Only compiled functions can read it: see {@linkcode widened}.
 *
 * @param host The tensor
 * @param form What to keep it as; bf16 is rounded to the nearest, ties to even
 * @throws OneloraError for a shape that the form has not
 */
export function held(host: HostTensor, form: "bf16" | Quantisation): tf.Tensor {
  const { shape } = host;
  const { hold, holdHalf } = engineInUse();
  if (form === "bf16") {
    const bits = host.dtype === "BF16" ? host.data as Uint16Array : toBfloat16(toFloat32(host));
    const bytes = new Uint8Array(bits.buffer, bits.byteOffset, bits.byteLength);
    if (hold !== undefined) return hold(bytes, form, shape);
    return holdHalf?.(bytes, shape) ?? tf.tensor(fromBfloat16(bits), [...shape]);
  }
  return heldQuantised(quantise(form, shape, toFloat32(host)));
}

/**
 * A quantised matrix as a tensor; elsewhere than in an engine that can keep it, its numbers in float32.
 *
 * @param quantised The matrix
 */
export function heldQuantised(quantised: Quantised): tf.Tensor {
  const { bytes, form, shape } = quantised;
  return engineInUse().hold?.(bytes, form, shape) ?? tf.tensor(dequantised(quantised), [...shape]);
}

/**
 * The numbers of a tensor as float32, a new tensor.
 *
 * @param tensor A tensor, kept in whatever form
 */
export function widened(tensor: tf.Tensor): tf.Tensor {
  if (storedForm(tensor) === undefined) return tf.clone(tensor);
  const copy = compile((x: tf.Tensor) => tf.mul(x, 1));
  try {
    return copy(tensor);
  } finally {
    copy.dispose();
  }
}
