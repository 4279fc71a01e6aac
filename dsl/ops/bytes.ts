/**
 * Pictures that come as bytes and become numbers where they are computed with: a quarter of what there is to send.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";

/**
 * The four bytes of int32 words, the lowest first. Some engines divide whole numbers in float32: here nothing is divided that has
 * more than 24 bits that count.
 */
function bytesOf(words: tf.Tensor): readonly tf.Tensor[] {
  const [base, upper] = [tf.scalar(256, "int32"), tf.scalar(2 ** 24, "int32")];
  let rest = words;
  return [0, 1, 2, 3].map(() => {
    // What is multiplied out at the top is gone.
    const byte = tf.mod(tf.floorDiv(tf.mul(rest, upper), upper), base);
    rest = tf.floorDiv(tf.sub(rest, byte), base);
    return byte;
  });
}

/**
 * y[b, c, h, 4 w + k] = table[c, byte k of words[b, c, h, w]], the lowest byte first; or table[b, c, ...], where every picture
 * has numbers of its own. Without a gradient to the bytes.
 *
 * @param words int32 [batch, channels, height, width / 4]
 * @param table float32 [channels, 256] or [batch, channels, 256]
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
    const bytes = tf.reshape(tf.stack([...bytesOf(words)], -1), [batch, channels, height * quarter * 4]);
    const tables = table.size / (256 * channels);
    const row = tf.reshape(tf.range(0, table.size, 256, "int32"), [tables, channels, 1]);
    return tf.reshape(
      tf.gather(tf.reshape(table, [table.size]), tf.add(bytes, row)),
      [batch, channels, height, 4 * quarter],
    );
  });
}
