/**
 * Weights in the engine in fewer bits than float32's, where the engine can; elsewhere the same numbers in float32.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { compile } from "./compile/mod.ts";
import { engineInUse } from "./engine/in_use.ts";
import { type HalfForm, isHalfForm, storedForm } from "./engine/stored.ts";
import { dequantised, type Quantisation, quantise, type Quantised } from "./quantise.ts";
import { release } from "./release.ts";
import { type DType, type HostTensor, toBfloat16, toFloat16, toFloat32 } from "./safetensors/dtype.ts";

/** Halves: the element type that files call them by, and what makes them of numbers. */
const HALVES = { bf16: ["BF16", toBfloat16], f16: ["F16", toFloat16] } as const;

/**
 * The halves that an element type of files is, if it is one.
 *
 * @param dtype The type
 */
export function halfFormOf(dtype: DType): HalfForm | undefined {
  return dtype === "BF16" ? "bf16" : dtype === "F16" ? "f16" : undefined;
}

/**
 * A tensor of floats in a form. Only compiled functions can read it: see {@linkcode widened}.
 *
 * @param host The tensor
 * @param form What to keep it as; halves are rounded to the nearest, ties to even
 * @throws OneloraError for a shape that the form has not
 */
export function held(host: HostTensor, form: HalfForm | Quantisation): tf.Tensor {
  const { shape } = host;
  if (!isHalfForm(form)) {
    const numbers = toFloat32(host);
    const quantised = quantise(form, shape, numbers);
    if (numbers !== host.data) release(numbers);
    return heldQuantised(quantised);
  }
  const [dtype, narrowed] = HALVES[form];
  const bits = host.dtype === dtype ? host.data as Uint16Array : narrowed(toFloat32(host));
  const bytes = new Uint8Array(bits.buffer, bits.byteOffset, bits.byteLength);
  return engineInUse().hold?.(bytes, form, shape) ?? tf.tensor(toFloat32({ dtype, shape, data: bits }), [...shape]);
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
 * The halves that a tensor is kept in as a file has them, where they are of an element type and can be had without their numbers.
 *
 * @param tensor A tensor, kept in whatever form
 * @param dtype The element type
 */
export function bitsOf(tensor: tf.Tensor, dtype: DType): Uint16Array | undefined {
  const form = storedForm(tensor);
  return form !== undefined && form === halfFormOf(dtype) ? engineInUse().bits?.(tensor) : undefined;
}

/**
 * The first numbers of a tensor kept in halves, where those can be had alone.
 *
 * @param tensor The tensor
 * @param count How many, at most
 */
export function firstOf(tensor: tf.Tensor, count: number): tf.Tensor1D | undefined {
  const form = storedForm(tensor);
  if (form === undefined || !isHalfForm(form)) return undefined;
  const [dtype] = HALVES[form];
  const data = bitsOf(tensor, dtype)?.slice(0, count);
  return data && tf.tensor1d(toFloat32({ dtype, shape: [data.length], data }));
}

/**
 * A tensor whose numbers every kernel can read: itself, or where it is kept in another form a new one, for `tf.tidy` to dispose.
 *
 * @param tensor A tensor, kept in whatever form
 */
export function readable(tensor: tf.Tensor): tf.Tensor {
  return storedForm(tensor) === undefined ? tensor : widened(tensor);
}

/**
 * The numbers of a tensor as float32, a new tensor.
 *
 * @param tensor A tensor, kept in whatever form
 */
export function widened(tensor: tf.Tensor): tf.Tensor {
  const form = storedForm(tensor);
  if (form === undefined) return tf.clone(tensor);
  const { widened: atOnce } = engineInUse();
  if (isHalfForm(form) && atOnce !== undefined) return atOnce(tensor);
  const copy = compile((x: tf.Tensor) => tf.mul(x, 1));
  try {
    return copy(tensor);
  } finally {
    copy.dispose();
  }
}
