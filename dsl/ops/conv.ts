/**
 * Convolutions of NHWC activations with weights as PyTorch stores them. What is a matrix product in disguise
 * (patches, transposed with stride = kernel) is computed as one. Of a frozen convolution's input nothing is kept.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { OneloraError } from "../error.ts";
import { correlate, type Sides, spread, weightFrom } from "./correlate.ts";
import { withGradient } from "./gradient.ts";

/** Zeros around an image: the same on all sides, or [[top, bottom], [left, right]]. */
export type Padding = number | Sides;

/** Settings of {@linkcode conv2d}. */
export interface ConvOptions {
  /** Step between outputs (default 1). */
  readonly stride?: number;
  /** Zeros around the input (default 0). */
  readonly padding?: Padding;
  /** Weight and bias get no gradient, and nothing of x is kept for them (default false). */
  readonly frozen?: boolean;
}

/** Settings of {@linkcode convTranspose2d}. */
export interface ConvTransposeOptions {
  /** Step between the inputs in the output (default 1). */
  readonly stride?: number;
  /** Pixels cut off every side of the output (default 0). */
  readonly padding?: number;
  /** Weight and bias get no gradient, and nothing of x is kept for them (default false). */
  readonly frozen?: boolean;
}

/** A product with the weight, plus the bias: inside the operation if both are frozen, so that the sum keeps nothing. */
function affine(
  x: tf.Tensor4D,
  weight: tf.Tensor4D,
  bias: tf.Tensor | undefined,
  frozen: boolean,
  product: () => tf.Tensor,
  inputGradient: (dy: tf.Tensor4D, weight: tf.Tensor4D) => tf.Tensor,
  weightGradient: (dy: tf.Tensor4D, x: tf.Tensor4D) => tf.Tensor,
): tf.Tensor {
  const operation = withGradient(frozen ? [x] : [x, weight], (save) => {
    save(weight, ...(frozen ? [] : [x]));
    return frozen ? addBias(product(), bias) : product();
  }, (dy, [weight, x]) => {
    const dx = inputGradient(dy as tf.Tensor4D, weight as tf.Tensor4D);
    return frozen ? [dx] : [dx, weightGradient(dy as tf.Tensor4D, x as tf.Tensor4D)];
  });
  return frozen ? operation : addBias(operation, bias);
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
  const { stride = 1, padding = 0, frozen = false } = options;
  const sides = typeof padding === "number" ? [[padding, padding], [padding, padding]] as const : padding;
  const [image, kernel] = [x as tf.Tensor4D, weight as tf.Tensor4D];
  const [, , height, width] = kernel.shape;
  const sliding = { stride, sides };
  return tf.tidy(() =>
    affine(
      image,
      kernel,
      bias,
      frozen,
      () => correlate(image, kernel, sliding),
      (dy, kernel) => spread(dy, kernel, image.shape, sliding),
      (dy, image) => weightFrom(dy, image, [height, width], sliding),
    )
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
  const { stride = 1, padding = 0, frozen = false } = options;
  const [image, kernel] = [x as tf.Tensor4D, weight as tf.Tensor4D];
  const [batch, height, width] = image.shape;
  const [, out, kernelHeight, kernelWidth] = kernel.shape;
  const [outHeight, outWidth] = [
    (height - 1) * stride - 2 * padding + kernelHeight,
    (width - 1) * stride - 2 * padding + kernelWidth,
  ];
  const sliding = { stride, sides: [[padding, padding], [padding, padding]] } as const;
  // No two kernels overlap: every input pixel becomes its own block of outputs.
  const apart = kernelHeight === stride && kernelWidth === stride && padding === 0;
  return tf.tidy(() =>
    affine(
      image,
      kernel,
      bias,
      frozen,
      () => apart ? blocks(image, kernel) : spread(image, kernel, [batch, outHeight, outWidth, out], sliding),
      (dy, kernel) => correlate(dy, kernel, sliding),
      (dy, image) => weightFrom(image, dy, [kernelHeight, kernelWidth], sliding),
    )
  );
}

/** The transposed convolution whose stride s is its kernel, as one matrix product. */
function blocks(x: tf.Tensor4D, weight: tf.Tensor4D): tf.Tensor4D {
  const [batch, height, width, channels] = x.shape;
  const [, out, s] = weight.shape;
  const pixels = tf.reshape(x, [batch * height * width, channels]);
  const product = tf.matMul(pixels, tf.reshape(weight, [channels, out * s * s]));
  const placed = tf.transpose(tf.reshape(product, [batch, height, width, out, s, s]), [0, 1, 4, 2, 5, 3]);
  return tf.reshape(placed, [batch, height * s, width * s, out]);
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
