/**
 * Pictures as bytes on their way to a step, which looks their numbers up.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";

/**
 * The whole numbers that an array of float32 has the bits of.
 *
 * @param values Bits alone, as `packBytes` gives them
 */
export function wordsIn(values: Float32Array): Int32Array {
  return new Int32Array(values.buffer, values.byteOffset, values.length);
}

/**
 * Numbers that bytes stand for: [C, 256].
 *
 * @param table Those of each channel
 */
export function tableTensor(table: Float32Array): tf.Tensor2D {
  return tf.tensor2d(table, [table.length / 256, 256]);
}
