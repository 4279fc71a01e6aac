/**
 * A correction of tfjs-wasm: its fused matrix product is wrong where a bias is added and a factor is transposed.
 *
 * @module
 */

import type * as tf from "@tensorflow/tfjs-core";

/** Exchanges the last two axes, by the backend's own kernel. */
function transposed(x: tf.TensorInfo, transpose: tf.KernelFunc, backend: object): tf.TensorInfo {
  const rank = x.shape.length;
  const perm = [...Array(rank - 2).keys(), rank - 1, rank - 2];
  return transpose({ inputs: { x }, attrs: { perm }, backend }) as tf.TensorInfo;
}

/**
 * The fused product with transposed factors turned round before it is called; without them it is right.
 *
 * @param product tfjs-wasm's kernel `_FusedMatMul`
 * @param transpose Its kernel `Transpose`
 */
export function correctedFusedProduct(product: tf.KernelFunc, transpose: tf.KernelFunc): tf.KernelFunc {
  return ({ inputs, attrs, backend }) => {
    const { transposeA, transposeB } = attrs as { readonly transposeA?: boolean; readonly transposeB?: boolean };
    if (!inputs.bias || !(transposeA || transposeB)) return product({ inputs, attrs, backend });
    const { a, b } = inputs as Readonly<Record<"a" | "b", tf.TensorInfo>>;
    const left = transposeA ? transposed(a, transpose, backend) : a;
    const right = transposeB ? transposed(b, transpose, backend) : b;
    const result = product({
      inputs: { ...inputs, a: left, b: right },
      attrs: { ...attrs, transposeA: false, transposeB: false },
      backend,
    });
    const { disposeData } = backend as tf.KernelBackend;
    if (left !== a) disposeData.call(backend, left.dataId);
    if (right !== b) disposeData.call(backend, right.dataId);
    return result;
  };
}
