/**
 * Resampling of maps: what comes from files and goes to metrics, and pictures that come to a card as bytes.
 *
 * @module
 */

import * as tf from "@tensorflow/tfjs-core";
import { OneloraError } from "../../dsl/error.ts";

/** The two inputs around an output of one axis, corners aligned, and the weight of the second. */
function taps(from: number, to: number): readonly (readonly [first: number, second: number, weight: number])[] {
  const step = to > 1 ? Math.fround((from - 1) / (to - 1)) : 0;
  return Array.from({ length: to }, (_, i) => {
    const at = Math.fround(step * i);
    const first = Math.min(Math.floor(at), from - 1);
    return [first, Math.min(first + 1, from - 1), at - first] as const;
  });
}

/**
 * Bilinear resampling with the corners' centres kept in place, as torch.nn.functional.interpolate does it.
 *
 * @param map [height, width, channels]
 * @param size Rows, columns and channels of the map
 * @param target Rows and columns of the result
 *
 * @example
 * ```ts
 * import { resampleMap } from "./resample.ts";
 * import { assertEquals } from "@std/assert";
 * const wide = resampleMap(Float32Array.of(0, 1), { height: 1, width: 2, channels: 1 }, [1, 3]);
 * assertEquals([...wide], [0, 0.5, 1]);
 * ```
 */
export function resampleMap(
  map: Float32Array,
  size: { readonly height: number; readonly width: number; readonly channels: number },
  [height, width]: readonly [number, number],
): Float32Array {
  const { channels } = size;
  if (map.length !== size.height * size.width * channels || map.length === 0) {
    throw new OneloraError({
      attempted: "resampling a map",
      found: `${map.length} values`,
      allowed: `${size.height} x ${size.width} x ${channels}, at least one`,
    });
  }
  if (height === size.height && width === size.width) return map;
  const out = new Float32Array(height * width * channels);
  const across = taps(size.width, width);
  let at = 0;
  for (const [top, bottom, down] of taps(size.height, height)) {
    for (const [left, right, along] of across) {
      for (let c = 0; c < channels; c++) {
        const value = (row: number, column: number) => map[(row * size.width + column) * channels + c];
        const upper = value(top, left) * (1 - along) + value(top, right) * along;
        const lower = value(bottom, left) * (1 - along) + value(bottom, right) * along;
        out[at++] = upper * (1 - down) + lower * down;
      }
    }
  }
  return out;
}

/**
 * The same of a tensor, in float32 on any engine: products of matrices would lose bits on a card.
 *
 * @param x [batch, channels, height, width]
 * @param size Rows and columns of the result
 */
export function resampled(x: tf.Tensor4D, size: readonly [height: number, width: number]): tf.Tensor4D {
  return tf.tidy(() =>
    [3, 2].reduce((map, axis) => {
      const [from, to] = [map.shape[axis], size[axis - 2]];
      if (from === to) return map;
      const all = taps(from, to);
      const at = (tap: 0 | 1) => tf.gather(map, tf.tensor1d(all.map((each) => each[tap]), "int32"), axis);
      const weight = tf.tensor(all.map(([, , each]) => each), axis === 3 ? [to] : [to, 1]);
      return tf.add(tf.mul(at(0), tf.sub(1, weight)), tf.mul(at(1), weight));
    }, x)
  );
}

/**
 * The average of a prediction and of the prediction for the mirrored picture, mirrored back.
 *
 * @param prediction [height, width]
 * @param ofMirrored Prediction for the picture mirrored left to right, [height, width]
 * @param width Columns
 *
 * @example
 * ```ts
 * import { flipAveraged } from "./resample.ts";
 * import { assertEquals } from "@std/assert";
 * assertEquals([...flipAveraged(Float32Array.of(1, 2), Float32Array.of(4, 1), 2)], [1, 3]);
 * ```
 */
export function flipAveraged(prediction: Float32Array, ofMirrored: Float32Array, width: number): Float32Array {
  const back = mirroredMap(ofMirrored, width);
  return prediction.map((value, i) => (value + back[i]) / 2);
}

/**
 * Maps mirrored left to right.
 *
 * @param maps Rows one after another, [..., width]
 * @param width Columns
 */
export function mirroredMap(maps: Float32Array, width: number): Float32Array {
  return maps.map((_, i) => maps[i - i % width + width - 1 - i % width]);
}
