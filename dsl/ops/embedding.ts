/**
 * Table look-up.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { withGradient } from "./gradient.ts";

/**
 * Rows of a table: y[...] = table[ids[...]]. The gradient adds the rows of dy into a table of zeros.
 *
 * @param ids int32, any shape, each in [0, V)
 * @param table [V, D]
 * @returns [...ids.shape, D]
 */
export function embedding(ids: tf.Tensor, table: tf.Tensor): tf.Tensor {
  const width = table.shape[1] as number;
  return withGradient([table], (save) => {
    const flat = tf.reshape(ids, [ids.size]);
    save(flat);
    return tf.reshape(tf.gather(table, flat), [...ids.shape, width]);
  }, (dy, [flat]) => [
    tf.scatterND(tf.reshape(flat, [ids.size, 1]), tf.reshape(dy, [ids.size, width]), [table.shape[0] as number, width]),
  ]);
}
