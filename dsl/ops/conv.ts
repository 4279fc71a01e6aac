/**
 * Convolutions of NHWC activations with weights as PyTorch stores them. What is a matrix product in disguise
 * (patches, transposed with stride = kernel) is computed as one. Nothing is computed or kept for a frozen weight.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { OneloraError } from "../error.ts";
import { correlate, type Sides } from "./correlate.ts";

/** Zeros around an image: the same on all sides, or [[top, bottom], [left, right]]. */
export type Padding = number | Sides;

/** Settings of {@linkcode conv2d}. */
export interface ConvOptions {
  /** Step between outputs (default 1). */
  readonly stride?: number;
  /** Zeros around the input (default 0). */
  readonly padding?: Padding;
  /** Whether the weight gets a gradient; if not, nothing of x is kept (default true). */
  readonly trainsWeight?: boolean;
}

/** Settings of {@linkcode convTranspose2d}. */
export interface ConvTransposeOptions {
  /** Step between the inputs in the output (default 1). */
  readonly stride?: number;
  /** Pixels cut off every side of the output (default 0). */
  readonly padding?: number;
}

function addBias(x: tf.Tensor, bias: tf.Tensor | undefined): tf.Tensor {
  return bias === undefined ? x : tf.add(x, bias);
}

/**
 * y[b, i, j, o] = bias[o] + sum_{c, u, v} w[o, c, u, v] x[b, s i + u - p, s j + v - p, c].
 *
 * @param x [B, H, W, in]
 * @param weight [out, in, kh, kw]
 * @param bias [out]
 * @param options See {@linkcode ConvOptions}
 * @returns [B, H', W', out]
 *
 * @example
 * ```ts
 * import { conv2d, useBackend } from "@onelora/onelora/dsl";
 * import { assertEquals } from "@std/assert";
 * import * as tf from "@tensorflow/tfjs-core";
 * await useBackend("cpu");
 * const y = conv2d(tf.ones([1, 5, 5, 3]), tf.ones([4, 3, 3, 3]), undefined, { stride: 2, padding: 1 });
 * assertEquals(y.shape, [1, 3, 3, 4]);
 * assertEquals(y.dataSync()[0], 12);
 * ```
 */
export function conv2d(x: tf.Tensor, weight: tf.Tensor, bias?: tf.Tensor, options: ConvOptions = {}): tf.Tensor {
  const { stride = 1, padding = 0, trainsWeight = true } = options;
  const sides = typeof padding === "number" ? [[padding, padding], [padding, padding]] as const : padding;
  return tf.tidy(() =>
    addBias(correlate(x as tf.Tensor4D, weight as tf.Tensor4D, { stride, sides, trainsWeight }), bias)
  );
}

/**
 * The transposed convolution: y[b, s i + u - p, s j + v - p, o] += w[c, o, u, v] x[b, i, j, c], plus bias[o].
 *
 * @param x [B, H, W, in]
 * @param weight [in, out, kh, kw]
 * @param bias [out]
 * @param options See {@linkcode ConvTransposeOptions}
 * @returns [B, (H-1) s - 2p + kh, (W-1) s - 2p + kw, out]
 */
export function convTranspose2d(
  x: tf.Tensor,
  weight: tf.Tensor,
  bias?: tf.Tensor,
  options: ConvTransposeOptions = {},
): tf.Tensor {
  const { stride = 1, padding = 0 } = options;
  const [batch, height, width, channels] = x.shape;
  const [, out, kernelHeight, kernelWidth] = weight.shape;
  return tf.tidy(() => {
    if (kernelHeight === stride && kernelWidth === stride && padding === 0) {
      // No two kernels overlap: every input pixel becomes its own block of outputs.
      const pixels = tf.reshape(x, [batch * height * width, channels]);
      const blocks = tf.matMul(pixels, tf.reshape(weight, [channels, out * stride * stride]));
      const placed = tf.transpose(tf.reshape(blocks, [batch, height, width, out, stride, stride]), [0, 1, 4, 2, 5, 3]);
      return addBias(tf.reshape(placed, [batch, height * stride, width * stride, out]), bias);
    }
    const filter = tf.transpose(weight, [2, 3, 1, 0]) as tf.Tensor4D;
    const [fullHeight, fullWidth] = [(height - 1) * stride + kernelHeight, (width - 1) * stride + kernelWidth];
    const shape: [number, number, number, number] = [batch, fullHeight, fullWidth, out];
    const full = tf.conv2dTranspose(x as tf.Tensor4D, filter, shape, stride, "valid");
    const cut = [batch, fullHeight - 2 * padding, fullWidth - 2 * padding, out];
    return addBias(padding === 0 ? full : tf.slice(full, [0, padding, padding, 0], cut), bias);
  });
}

/** Order of an image batch's axes. */
export type ImageLayout = "NCHW" | "NHWC";

/**
 * Cuts images into patches, each flattened as [C, p, q], row by row.
 *
 * @param x [B, C, H, W] or [B, H, W, C]
 * @param size Height p and width q of a patch, which divide H and W
 * @param layout Which of the two (default NCHW)
 * @returns [B, (H/p) (W/q), C p q]
 * @throws OneloraError if the patch size does not divide the image
 */
export function patchify(
  x: tf.Tensor,
  size: readonly [height: number, width: number],
  layout: ImageLayout = "NCHW",
): tf.Tensor {
  const [p, q] = size;
  const [batch, ...rest] = x.shape;
  const [channels, height, width] = layout === "NCHW" ? rest : [rest[2], rest[0], rest[1]];
  if (height % p !== 0 || width % q !== 0) {
    throw new OneloraError({
      attempted: `cutting images into patches of ${p}x${q}`,
      found: `images of ${height}x${width}`,
      allowed: `multiples of ${p}x${q}`,
    });
  }
  const [rows, columns] = [height / p, width / q];
  return tf.tidy(() => {
    const cut = layout === "NCHW"
      ? tf.transpose(tf.reshape(x, [batch, channels, rows, p, columns, q]), [0, 2, 4, 1, 3, 5])
      : tf.transpose(tf.reshape(x, [batch, rows, p, columns, q, channels]), [0, 1, 3, 5, 2, 4]);
    return tf.reshape(cut, [batch, rows * columns, channels * p * q]);
  });
}

/**
 * A convolution whose stride is its kernel, as one matrix product: patches W^T + bias.
 *
 * @param x [B, C, H, W] or [B, H, W, C]
 * @param weight [D, C, p, q]
 * @param bias [D]
 * @param layout Which of the two (default NCHW)
 * @returns [B, (H/p) (W/q), D]
 * @throws OneloraError if the patch size does not divide the image
 */
export function patchEmbed(
  x: tf.Tensor,
  weight: tf.Tensor,
  bias?: tf.Tensor,
  layout: ImageLayout = "NCHW",
): tf.Tensor {
  const [out, , height, width] = weight.shape as [number, number, number, number];
  return tf.tidy(() => {
    const patches = patchify(x, [height, width], layout);
    const [batch, count, features] = patches.shape;
    const rows = tf.reshape(patches, [batch * count, features]);
    const product = tf.matMul(rows, tf.reshape(weight, [out, features]), false, true);
    return tf.reshape(addBias(product, bias), [batch, count, out]);
  });
}
