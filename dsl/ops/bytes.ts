/**
 * Pictures that come as bytes and become numbers where they are computed with: a quarter of what there is to send.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";

/**
 * y[b, c, h, 4 w + k] = table[c, byte k of words[b, c, h, w]], the lowest byte first. Without a gradient to the bytes.
 *
 * @param words int32 [batch, channels, height, width / 4]
 * @param table float32 [channels, 256]
 * @returns [batch, channels, height, width]
 *
 * @example
 * ```ts
 * import { lookUpBytes, useBackend } from "@onelora/onelora/dsl";
 * import { assertEquals } from "@std/assert";
 * import * as tf from "@tensorflow/tfjs-core";
 * await useBackend("cpu");
 * const words = tf.tensor4d(new Int32Array(Uint8Array.of(0, 1, 2, 255).buffer), [1, 1, 1, 1], "int32");
 * const half = tf.tensor2d(Array.from({ length: 256 }, (_, byte) => byte / 2), [1, 256]);
 * assertEquals([...lookUpBytes(words, half).dataSync()], [0, 0.5, 1, 127.5]);
 * ```
 */
export function lookUpBytes(words: tf.Tensor, table: tf.Tensor): tf.Tensor {
  const [batch, channels, height, quarter] = words.shape;
  return tf.tidy(() => {
    const byte = (k: number) => tf.mod(tf.floorDiv(words, tf.scalar(256 ** k, "int32")), tf.scalar(256, "int32"));
    const bytes = tf.reshape(tf.stack([0, 1, 2, 3].map(byte), -1), [batch, channels, height * quarter * 4]);
    const row = tf.reshape(tf.range(0, 256 * channels, 256, "int32"), [1, channels, 1]);
    return tf.reshape(
      tf.gather(tf.reshape(table, [256 * channels]), tf.add(bytes, row)),
      [batch, channels, height, 4 * quarter],
    );
  });
}
