/**
 * The three products inside a convolution and its gradients: of image and weight, of output and weight, of image and
 * output. Each is made of the operations that every engine is fast at, and is another's gradient.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";

/** Zeros around an image: [[top, bottom], [left, right]]. */
export type Sides = readonly [readonly [number, number], readonly [number, number]];

/** How a kernel slides. */
export interface Sliding {
  /** Step between outputs. */
  readonly stride: number;
  /** Zeros around the image. */
  readonly sides: Sides;
}

function pad(x: tf.Tensor4D, [rows, columns]: Sides): tf.Tensor4D {
  return [...rows, ...columns].some((zeros) => zeros > 0) ? tf.pad(x, [[0, 0], [...rows], [...columns], [0, 0]]) : x;
}

/** Takes the padding off again. */
function cut(x: tf.Tensor4D, [[top], [left]]: Sides, shape: tf.Tensor4D["shape"]): tf.Tensor4D {
  return `${x.shape}` === `${shape}` ? x : tf.slice(x, [0, top, left, 0], shape);
}

/** Whether the padding makes the output as large as the input, as the engines' "same" does: they know no other. */
function isSame([, , height, width]: readonly number[], { stride, sides: [rows, columns] }: Sliding): boolean {
  return stride === 1 && rows.every((zeros) => 2 * zeros + 1 === height) &&
    columns.every((zeros) => 2 * zeros + 1 === width);
}

/**
 * y[b, i, j, o] = sum_{c, u, v} w[o, c, u, v] x[b, s i + u - top, s j + v - left, c].
 *
 * @param x [B, H, W, in]
 * @param weight [out, in, kh, kw]
 * @param sliding Stride s and padding
 * @returns [B, H', W', out]
 */
export function correlate(x: tf.Tensor4D, weight: tf.Tensor4D, sliding: Sliding): tf.Tensor4D {
  const filter = tf.transpose(weight, [2, 3, 1, 0]);
  return isSame(weight.shape, sliding)
    ? tf.conv2d(x, filter, 1, "same")
    : tf.conv2d(pad(x, sliding.sides), filter, sliding.stride, "valid");
}

/**
 * x[b, s i + u - top, s j + v - left, c] += w[o, c, u, v] y[b, i, j, o]: the gradient of {@linkcode correlate} with respect
 * to x. For stride 1 that is a convolution with the mirrored weight.
 *
 * @param y [B, H', W', out]
 * @param weight [out, in, kh, kw]
 * @param shape Shape of the result, [B, H, W, in]
 * @param sliding Stride s and padding
 */
export function spread(
  y: tf.Tensor4D,
  weight: tf.Tensor4D,
  shape: tf.Tensor4D["shape"],
  sliding: Sliding,
): tf.Tensor4D {
  const [, , height, width] = weight.shape;
  const [batch, rows, columns, channels] = shape;
  const { stride, sides } = sliding;
  const mirrored = () => tf.reverse(tf.transpose(weight, [2, 3, 0, 1]), [0, 1]) as tf.Tensor4D;
  if (isSame(weight.shape, sliding)) return tf.conv2d(y, mirrored(), 1, "same");
  if (stride === 1) {
    const around = pad(y, [[height - 1, height - 1], [width - 1, width - 1]]);
    return cut(tf.conv2d(around, mirrored(), 1, "valid"), sides, shape);
  }
  const [[top, bottom], [left, right]] = sides;
  const padded: tf.Tensor4D["shape"] = [batch, rows + top + bottom, columns + left + right, channels];
  return cut(tf.conv2dTranspose(y, tf.transpose(weight, [2, 3, 1, 0]), padded, stride, "valid"), sides, shape);
}

/**
 * w[o, c, u, v] = sum_{b, i, j} y[b, i, j, o] x[b, s i + u - top, s j + v - left, c]: the gradient of {@linkcode correlate}
 * with respect to the weight, as one matrix product per kernel position.
 *
 * @param y [B, H', W', out]
 * @param x [B, H, W, in]
 * @param size Kernel height and width
 * @param sliding Stride s and padding
 * @returns [out, in, kh, kw]
 */
export function weightFrom(
  y: tf.Tensor4D,
  x: tf.Tensor4D,
  [height, width]: readonly [number, number],
  { stride, sides }: Sliding,
): tf.Tensor4D {
  const [batch, rows, columns, out] = y.shape;
  const channels = x.shape[3];
  const pixels = batch * rows * columns;
  const flat = tf.reshape(y, [pixels, out]) as tf.Tensor2D;
  const padded = pad(x, sides);
  const seenBy = (u: number, v: number) => {
    const [endRow, endColumn] = [u + (rows - 1) * stride + 1, v + (columns - 1) * stride + 1];
    const window = stride === 1
      ? tf.slice(padded, [0, u, v, 0], [batch, rows, columns, channels])
      : tf.stridedSlice(padded, [0, u, v, 0], [batch, endRow, endColumn, channels], [1, stride, stride, 1]);
    return tf.reshape(window, [pixels, channels]) as tf.Tensor2D;
  };
  const products = Array.from(
    { length: height * width },
    (_, position) => tf.tidy(() => tf.matMul(flat, seenBy(Math.floor(position / width), position % width), true)),
  );
  return tf.reshape(tf.stack(products, 2), [out, channels, height, width]);
}
