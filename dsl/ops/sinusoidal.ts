/**
 * Embeddings of times and places by sines and cosines of geometrically spaced frequencies, as DiT uses them.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";

/**
 * [cos(t f_0), cos(t f_1), ..., sin(t f_0), sin(t f_1), ...] with f_i = 10000^(-i / divisor) (Vaswani et al. 2017; DiT).
 *
 * @param timesteps t, [B], int32 or float32
 * @param size D, even
 * @param divisor D/2 in DiT's own code; diffusers divides by D/2 - 1
 * @returns [B, D]
 *
 * @example
 * ```ts
 * import { timestepEmbedding, useBackend } from "@onelora/onelora/dsl";
 * import { assertAlmostEquals } from "@std/assert";
 * import * as tf from "@tensorflow/tfjs-core";
 * await useBackend("cpu");
 * const [cosine, , sine] = timestepEmbedding(tf.tensor1d([3], "int32"), 4).dataSync();
 * assertAlmostEquals(cosine, Math.cos(3), 1e-6);
 * assertAlmostEquals(sine, Math.sin(3), 1e-6);
 * ```
 */
export function timestepEmbedding(timesteps: tf.Tensor, size: number, divisor: number = size / 2): tf.Tensor {
  // Rounded to float32 step by step as PyTorch does: at t = 999 the last bit of a frequency is visible.
  const slope = Math.fround(-Math.log(10000));
  const frequencies = Array.from({ length: size / 2 }, (_, i) => {
    return Math.exp(Math.fround(Math.fround(slope * i) / divisor));
  });
  return tf.tidy(() => {
    const times = tf.reshape(tf.cast(timesteps, "float32"), [timesteps.size, 1]);
    const angles = tf.mul(times, tf.tensor2d(Float32Array.from(frequencies), [1, size / 2]));
    return tf.concat([tf.cos(angles), tf.sin(angles)], 1);
  });
}

/**
 * Embeddings of the places in a square grid, row by row: of place (row, column), the first half of the features encodes the
 * column and the second the row, each as [sin(p w_0), sin(p w_1), ..., cos(p w_0), ...] with w_i = 10000^(-4i/D).
 *
 * @param side Rows and columns S
 * @param size D, a multiple of 4
 * @returns [S², D]
 */
export function gridEmbedding(side: number, size: number): tf.Tensor {
  const quarter = size / 4;
  const values = new Float32Array(side * side * size);
  for (let place = 0, at = 0; place < side * side; place++) {
    for (const position of [place % side, Math.floor(place / side)]) {
      for (const f of [Math.sin, Math.cos]) {
        for (let i = 0; i < quarter; i++) values[at++] = f(position * 10000 ** (-i / quarter));
      }
    }
  }
  return tf.tensor2d(values, [side * side, size]);
}
