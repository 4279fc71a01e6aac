/**
 * Tensors that an engine keeps in another form than their float32: to all that is traced they are float32 matrices, and
 * what computes them brings them into numbers where they are read. No kernel of tfjs's can read them.
 *
 * @module
 */
import type * as tf from "@tensorflow/tfjs-core";
import type { BlockForm } from "../blocks.ts";
import { type Quantisation, quantisedBytes } from "../quantise.ts";
import { sizeOf } from "../tree.ts";

/** Halves: bfloat16, the upper half of a float32, and IEEE's half precision. */
export type HalfForm = "bf16" | "f16";

/** What a tensor is kept as. */
export type StoredForm = HalfForm | Quantisation | BlockForm;

/**
 * Whether a form has two bytes for each number.
 *
 * @param form The form
 */
export function isHalfForm(form: StoredForm): form is HalfForm {
  return form === "bf16" || form === "f16";
}

/**
 * Bytes of a matrix.
 *
 * @param form What it is kept as; undefined for float32
 * @param shape Its dimensions
 */
export function storedBytes(form: StoredForm | undefined, shape: readonly number[]): number {
  if (form === undefined) return 4 * sizeOf(shape);
  return isHalfForm(form) ? 2 * sizeOf(shape) : quantisedBytes(form, shape);
}

const forms = new WeakMap<object, StoredForm>();

/**
 * What a tensor is kept as, if it is not what its dtype says.
 *
 * @param tensor The tensor
 */
export function storedForm({ dataId }: tf.TensorInfo): StoredForm | undefined {
  return forms.get(dataId);
}

/**
 * Says what a tensor is kept as.
 *
 * @param tensor The tensor
 * @param form Its form
 */
export function markStored<T extends tf.TensorInfo>(tensor: T, form: StoredForm): T {
  forms.set(tensor.dataId, form);
  return tensor;
}
