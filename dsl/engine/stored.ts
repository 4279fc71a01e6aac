/**
 * Tensors that an engine keeps in another form than their float32: to all that is traced they are float32 matrices, and
 * what computes them brings them into numbers where they are read. No kernel of tfjs's can read them.
 *
 * @module
 */
import type * as tf from "@tensorflow/tfjs-core";
import type { BlockForm } from "../blocks.ts";
import type { Quantisation } from "../quantise.ts";

/** What a tensor is kept as. */
export type StoredForm = "bf16" | Quantisation | BlockForm;

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
