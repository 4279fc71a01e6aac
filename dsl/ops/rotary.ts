/**
 * Rotary position embedding, half-split (Su et al. 2021, as LLaMA lays it out): feature i turns together with feature
 * i + hd/2.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { ownKernel } from "../engine/kernels.ts";
import { withGradient } from "./gradient.ts";

/** Angles' cosines and signed sines, made by {@linkcode rotaryTable}. */
export interface RotaryTable {
  /** cos(angle) of each feature, [N, hd]. */
  readonly cos: tf.Tensor;
  /** sin(angle) of each feature, negated in the first half, [N, hd]. */
  readonly sin: tf.Tensor;
}

/** How the features of a head turn. */
export interface RotaryWaves {
  /** Angle from one position to the next of each pair of features, [hd / 2]. */
  readonly frequencies: readonly number[];
  /** Factor of cosines and sines. */
  readonly scale: number;
}

/**
 * theta^(-2i/hd) for i < hd/2, rounded to float32 step by step as PyTorch does: at position 4000 the last bit is visible.
 *
 * @param size hd, even
 * @param theta Base of the frequencies (LLaMA: 10000)
 */
export function rotaryFrequencies(size: number, theta: number): readonly number[] {
  return Array.from({ length: size / 2 }, (_, i) => {
    return Math.fround(1 / Math.fround(Math.pow(theta, Math.fround(2 * i / size))));
  });
}

/**
 * angle[n, i] = position[n] frequency[i] for i < hd/2, repeated for the second half.
 *
 * @param positions The positions, or N for 0 ... N-1
 * @param size hd, even
 * @param by Base of the frequencies, see {@linkcode rotaryFrequencies}, or the frequencies themselves
 */
export function rotaryTable(
  positions: number | readonly number[],
  size: number,
  by: number | RotaryWaves,
): RotaryTable {
  const at = typeof positions === "number" ? Array.from({ length: positions }, (_, n) => n) : positions;
  const half = size / 2;
  const { frequencies, scale } = typeof by === "number" ? { frequencies: rotaryFrequencies(size, by), scale: 1 } : by;
  const table = (f: (angle: number, i: number) => number) => {
    const rows = at.map((n) =>
      Array.from({ length: size }, (_, i) => scale * f(Math.fround(n * Math.fround(frequencies[i % half])), i))
    );
    return tf.tensor2d(Float32Array.from(rows.flat()), [at.length, size]);
  };
  return { cos: table((angle) => Math.cos(angle)), sin: table((angle, i) => Math.sin(i < half ? -angle : angle)) };
}

/** [..., 2h] with its two halves exchanged. */
function swapHalves(x: tf.Tensor): tf.Tensor {
  const half = x.shape[x.rank - 1] / 2;
  const start = x.shape.map(() => 0);
  const size = [...x.shape.slice(0, -1), half];
  return tf.concat([tf.slice(x, [...start.slice(1), half], size), tf.slice(x, start, size)], x.rank - 1);
}

/** x cos + swap(x) sin, or the difference on the way back. */
function turned(x: tf.Tensor, cos: tf.Tensor, sin: tf.Tensor, back: boolean): tf.Tensor {
  const isTable = [cos, sin].every(({ shape }) => `${shape}` === `${x.shape.slice(-2)}`);
  const own = isTable ? ownKernel("Rotary", { x, cos, sin }, { back }) : undefined;
  if (own !== undefined) return own[0];
  const [kept, crossed] = [tf.mul(x, cos), tf.mul(swapHalves(x), sin)];
  return back ? tf.sub(kept, crossed) : tf.add(kept, crossed);
}

/**
 * Rotates each pair (x_i, x_{i+hd/2}) by its angle: x cos + swap(x) sin. The gradient rotates back and keeps nothing of x.
 *
 * @param x [..., N, hd]
 * @param cos From {@linkcode rotaryTable}
 * @param sin From {@linkcode rotaryTable} (its first half is negated)
 *
 * @example
 * ```ts
 * import { rotary, rotaryTable, useBackend } from "@onelora/onelora/dsl";
 * import { assertAlmostEquals } from "@std/assert";
 * import * as tf from "@tensorflow/tfjs-core";
 * await useBackend("cpu");
 * const { cos, sin } = rotaryTable([1], 2, 10000);
 * const [x, y] = rotary(tf.tensor2d([[1, 0]]), cos, sin).dataSync();
 * assertAlmostEquals(x, Math.cos(1), 1e-6);
 * assertAlmostEquals(y, Math.sin(1), 1e-6);
 * ```
 */
export function rotary(x: tf.Tensor, cos: tf.Tensor, sin: tf.Tensor): tf.Tensor {
  return withGradient([x], (save) => {
    save(cos, sin);
    return turned(x, cos, sin, false);
  }, (dy, [cos, sin]) => [turned(dy, cos, sin, true)]);
}
