/**
 * A run's precision as part of what it is: the weights that it computes with.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { engineInUse, type Precision } from "../../dsl/engine/mod.ts";
import { storedForm } from "../../dsl/engine/stored.ts";
import { isTrainable, type Layer } from "../../dsl/layer.ts";
import { fromBfloat16, fromFloat16, inFloat16, toBfloat16 } from "../../dsl/safetensors/dtype.ts";
import type { Params, Path } from "../../dsl/tree.ts";

/**
 * Parameters as a run of a precision has them: in bf16, frozen weights of two axes or more are rounded to bfloat16 (nearest,
 * ties to even), and kept so where the engine can, in f16 to float16. So training, its evaluations, a resumed run and a later
 * evaluation all compute with the same numbers, whatever the shapes of their batches.
 *
 * @param layer The adapted layer, which says what is trained
 * @param params All of its parameters, the callee's to dispose where they give way
 * @param precision The run's (default float32)
 * @throws OneloraError for a weight that float16's range does not hold
 */
export async function inPrecision(layer: Layer, params: Params, precision: Precision = "float32"): Promise<Params> {
  if (precision === "float32") return params;
  const isTrained = isTrainable(layer);
  const { narrowed, settle } = engineInUse();
  const made: Record<Path, tf.Tensor> = {};
  for (const [path, tensor] of Object.entries(params)) {
    if (storedForm(tensor) !== undefined) continue;
    if (tensor.rank < 2 || tensor.dtype !== "float32" || isTrained(path)) continue;
    if (precision === "bf16" && narrowed !== undefined) {
      made[path] = tf.keep(narrowed(tensor));
    } else {
      const values = await tensor.data<"float32">();
      const rounded = precision === "bf16" ? fromBfloat16(toBfloat16(values)) : fromFloat16(inFloat16(values, path));
      // Most checkpoints are in halves already.
      if (rounded.every((value, i) => value === values[i])) continue;
      made[path] = tf.keep(tf.tensor(rounded, tensor.shape));
      settle?.(made[path]);
    }
    tensor.dispose();
  }
  return { ...params, ...made };
}
