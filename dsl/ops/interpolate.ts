/**
 * Resampling of images with the coordinates that PyTorch uses, as one constant matrix per axis: the gradient is the
 * transposed product, for which nothing of the image is kept.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { withGradient } from "./gradient.ts";

/** How values between pixels are found. */
export type InterpolationMode = "nearest" | "bilinear" | "bicubic";

/** What to resample to: a size, or factors. */
export type Target =
  /** [height, width]; in/out input pixels per output pixel. */
  | { readonly size: readonly [number, number] }
  /** [height, width] factors: out = floor(factor in), and 1/factor input pixels per output pixel. */
  | { readonly scaleFactor: readonly [number, number] };

/** How to resample. */
export interface InterpolateOptions {
  /** The interpolation. */
  readonly mode: InterpolationMode;
  /** Whether the corner pixels' centres stay in place; not for `nearest` (default false). */
  readonly alignCorners?: boolean;
  /**
   * Whether a smaller image mixes all pixels that go into one of its own, as Pillow does, with a = -1/2; `bicubic` to a size alone
   * (default false).
   */
  readonly antialias?: boolean;
}

/** Weights of the input pixels around a source coordinate, as [pixel, weight]. */
type Taps = readonly (readonly [number, number])[];

/** Cubic convolution with a = -3/4, or another, at distance d < 2 (Keys 1981). */
function cubic(d: number, a = -0.75): number {
  return d <= 1 ? ((a + 2) * d - (a + 3)) * d * d + 1 : ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
}

const taps: Readonly<Record<InterpolationMode, (source: number) => Taps>> = {
  nearest: (source) => [[Math.floor(source), 1]],
  bilinear: (source) => {
    const at = Math.max(source, 0);
    const low = Math.floor(at);
    return [[low, 1 - (at - low)], [low + 1, at - low]];
  },
  bicubic: (source) => {
    const low = Math.floor(source);
    return [-1, 0, 1, 2].map((offset) => [low + offset, cubic(Math.abs(source - low - offset))] as const);
  },
};

/** Taps of an output pixel whose source is widened where the image becomes smaller; those outside are left out. */
function widenedTaps(input: number, ratio: number, o: number): Taps {
  const [centre, scale] = [ratio * (o + 0.5), Math.max(ratio, 1)];
  const first = Math.max(Math.trunc(centre - 2 * scale + 0.5), 0);
  const end = Math.min(Math.trunc(centre + 2 * scale + 0.5), input);
  const weights = Array.from({ length: end - first }, (_, i) => {
    const distance = Math.abs((i + first - centre + 0.5) / scale);
    return distance < 2 ? cubic(distance, -0.5) : 0;
  });
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return weights.map((weight, i) => [first + i, weight / total] as const);
}

/** The matrix of one axis, [1, out, in]: each row holds an output pixel's taps, those outside moved to the edge. */
function axisMatrix(
  input: number,
  [output, step]: readonly [number, number],
  { mode, alignCorners = false, antialias = false }: InterpolateOptions,
): tf.Tensor3D {
  const corners = alignCorners && mode !== "nearest";
  const ratio = Math.fround(corners ? (output > 1 ? (input - 1) / (output - 1) : 0) : step);
  // Coordinates round to float32 as PyTorch's do; for `nearest` that decides between two pixels.
  const source = (o: number) => Math.fround(corners || mode === "nearest" ? ratio * o : ratio * (o + 0.5) - 0.5);
  const matrix = new Float32Array(output * input);
  for (let o = 0; o < output; o++) {
    for (const [pixel, weight] of antialias ? widenedTaps(input, step, o) : taps[mode](source(o))) {
      matrix[o * input + Math.min(Math.max(pixel, 0), input - 1)] += weight;
    }
  }
  return tf.tensor3d(matrix, [1, output, input]);
}

/** Each pixel repeated [rows, columns] times; the gradient sums over the repeats. */
function repeat(x: tf.Tensor, [rows, columns]: readonly [number, number]): tf.Tensor {
  const [batch, height, width, channels] = x.shape;
  const block = [batch * height, rows, width, columns, channels];
  return withGradient([x], () => {
    const tiled = tf.tile(tf.reshape(x, [batch * height, 1, width, 1, channels]), [1, rows, 1, columns, 1]);
    return tf.reshape(tiled, [batch, height * rows, width * columns, channels]);
  }, (dy) => [tf.reshape(tf.sum(tf.reshape(dy, block), [1, 3]), x.shape)]);
}

/**
 * Resampling along height, then width: y = Mh x Mw^T per channel; equal to torch.nn.functional.interpolate.
 *
 * @param x [B, H, W, C]
 * @param target See {@linkcode Target}
 * @param options See {@linkcode InterpolateOptions}
 * @returns [B, H', W', C]
 *
 * @example
 * ```ts
 * import { interpolate, useBackend } from "@onelora/onelora/dsl";
 * import { assertEquals } from "@std/assert";
 * import * as tf from "@tensorflow/tfjs-core";
 * await useBackend("cpu");
 * const x = tf.tensor4d([0, 1], [1, 1, 2, 1]);
 * const y = interpolate(x, { size: [1, 3] }, { mode: "bilinear", alignCorners: true });
 * assertEquals([...y.dataSync()], [0, 0.5, 1]);
 * ```
 */
export function interpolate(x: tf.Tensor, target: Target, options: InterpolateOptions): tf.Tensor {
  const [batch, height, width, channels] = x.shape;
  // Output length and input pixels per output pixel of either axis.
  const along = (input: number, axis: 0 | 1): readonly [number, number] =>
    "size" in target
      ? [target.size[axis], input / target.size[axis]]
      : [Math.floor(input * target.scaleFactor[axis]), 1 / target.scaleFactor[axis]];
  const [[outHeight, rowStep], [outWidth, columnStep]] = [along(height, 0), along(width, 1)];
  const repeats = [1 / rowStep, 1 / columnStep] as const;
  if (options.mode === "nearest" && repeats.every(Number.isInteger)) return repeat(x, repeats);
  return withGradient([x], (save) => {
    const rows = axisMatrix(height, [outHeight, rowStep], options);
    const columns = axisMatrix(width, [outWidth, columnStep], options);
    save(rows, columns);
    const tall = tf.matMul(rows, tf.reshape(x, [batch, height, width * channels]));
    const wide = tf.matMul(columns, tf.reshape(tall, [batch * outHeight, width, channels]));
    return tf.reshape(wide, [batch, outHeight, outWidth, channels]);
  }, (dy, [rows, columns]) => {
    const tall = tf.matMul(columns, tf.reshape(dy, [batch * outHeight, outWidth, channels]), true);
    const dx = tf.matMul(rows, tf.reshape(tall, [batch, outHeight, width * channels]), true);
    return [tf.reshape(dx, x.shape)];
  });
}
