/**
 * The sliding product inside a convolution, with gradients made of the operations that every engine is fast at: the
 * gradient of x is a convolution with the mirrored weight, that of the weight one matrix product per kernel position.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { withGradient } from "./gradient.ts";

/** Zeros around an image: [[top, bottom], [left, right]]. */
export type Sides = readonly [readonly [number, number], readonly [number, number]];

/** How {@linkcode correlate} slides. */
export interface CorrelateOptions {
  /** Step between outputs. */
  readonly stride: number;
  /** Zeros around x. */
  readonly sides: Sides;
  /** Whether the weight gets a gradient; if not, nothing of x is kept. */
  readonly trainsWeight: boolean;
}

function pad(x: tf.Tensor4D, [rows, columns]: Sides): tf.Tensor4D {
  return [...rows, ...columns].some((zeros) => zeros > 0) ? tf.pad(x, [[0, 0], [...rows], [...columns], [0, 0]]) : x;
}

/** Takes the padding off again. */
function cut(x: tf.Tensor4D, [[top], [left]]: Sides, shape: tf.Tensor4D["shape"]): tf.Tensor4D {
  return `${x.shape}` === `${shape}` ? x : tf.slice(x, [0, top, left, 0], shape);
}

/** Whether the padding makes the output as large as the input, as the engines' "same" does: they know no other. */
function isSame([, , height, width]: readonly number[], { stride, sides: [rows, columns] }: CorrelateOptions): boolean {
  return stride === 1 && rows.every((zeros) => 2 * zeros + 1 === height) &&
    columns.every((zeros) => 2 * zeros + 1 === width);
}

/** dx: every input pixel collects dy through the weight; for stride 1 that is a convolution with the mirrored one. */
function inputGradient(
  dy: tf.Tensor4D,
  weight: tf.Tensor4D,
  shape: tf.Tensor4D["shape"],
  options: CorrelateOptions,
): tf.Tensor4D {
  const [, , height, width] = weight.shape;
  const [batch, rows, columns, channels] = shape;
  const { stride, sides } = options;
  const mirrored = () => tf.reverse(tf.transpose(weight, [2, 3, 0, 1]), [0, 1]) as tf.Tensor4D;
  if (isSame(weight.shape, options)) return tf.conv2d(dy, mirrored(), 1, "same");
  if (stride === 1) {
    const around = pad(dy, [[height - 1, height - 1], [width - 1, width - 1]]);
    return cut(tf.conv2d(around, mirrored(), 1, "valid"), sides, shape);
  }
  const [[top, bottom], [left, right]] = sides;
  const padded: tf.Tensor4D["shape"] = [batch, rows + top + bottom, columns + left + right, channels];
  return cut(tf.conv2dTranspose(dy, tf.transpose(weight, [2, 3, 1, 0]), padded, stride, "valid"), sides, shape);
}

/** dw[o, c, u, v] = sum_{b, i, j} dy[b, i, j, o] x[b, s i + u, s j + v, c]. */
function weightGradient(dy: tf.Tensor4D, x: tf.Tensor4D, weight: tf.Tensor4D, stride: number): tf.Tensor {
  const [out, channels, height, width] = weight.shape;
  const [batch, rows, columns] = dy.shape;
  const pixels = batch * rows * columns;
  const flat = tf.reshape(dy, [pixels, out]) as tf.Tensor2D;
  const seenBy = (u: number, v: number) => {
    const [endRow, endColumn] = [u + (rows - 1) * stride + 1, v + (columns - 1) * stride + 1];
    const window = stride === 1
      ? tf.slice(x, [0, u, v, 0], [batch, rows, columns, channels])
      : tf.stridedSlice(x, [0, u, v, 0], [batch, endRow, endColumn, channels], [1, stride, stride, 1]);
    return tf.reshape(window, [pixels, channels]) as tf.Tensor2D;
  };
  const products = Array.from(
    { length: height * width },
    (_, position) => tf.tidy(() => tf.matMul(flat, seenBy(Math.floor(position / width), position % width), true)),
  );
  return tf.reshape(tf.stack(products, 2), weight.shape);
}

/**
 * y[b, i, j, o] = sum_{c, u, v} w[o, c, u, v] x[b, s i + u - top, s j + v - left, c].
 *
 * @param x [B, H, W, in]
 * @param weight [out, in, kh, kw]
 * @param options See {@linkcode CorrelateOptions}
 * @returns [B, H', W', out]
 */
export function correlate(x: tf.Tensor4D, weight: tf.Tensor4D, options: CorrelateOptions): tf.Tensor4D {
  const { stride, sides, trainsWeight } = options;
  const { shape } = x;
  return withGradient(trainsWeight ? [x, weight] : [x], (save) => {
    save(weight, ...(trainsWeight ? [x] : []));
    const filter = tf.transpose(weight, [2, 3, 1, 0]) as tf.Tensor4D;
    return isSame(weight.shape, options)
      ? tf.conv2d(x, filter, 1, "same")
      : tf.conv2d(pad(x, sides), filter, stride, "valid");
  }, (upstream, [weight, input]) => {
    const [dy, w] = [upstream as tf.Tensor4D, weight as tf.Tensor4D];
    const dx = inputGradient(dy, w, shape, options);
    return trainsWeight ? [dx, weightGradient(dy, pad(input as tf.Tensor4D, sides), w, stride)] : [dx];
  }) as tf.Tensor4D;
}
