/**
 * MoRA types 1 (sharing) and 6 (rotary) (Jiang et al. 2024, Eq. 6 and Eq. 9): a square matrix M between a fixed
 * compression and a fixed decompression.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { zeros } from "../dsl/initialise.ts";
import type { LinearShape } from "../dsl/linear.ts";
import { addOperator } from "../dsl/linear_change.ts";
import { sumAlong } from "../dsl/ops/along.ts";
import { type Adapter, at, stage, trainable } from "./adapter.ts";
import { type Method, method, oneOf, wholeNumber } from "./method.ts";

/** Options of {@linkcode mora1} and {@linkcode mora6}. */
export interface MoraOptions {
  /** r for the reference rule (default 1); the paper's rule ignores it. */
  readonly rank?: number;
  /** `paper`: r^ = int(sqrt(d) + 0.5); `reference`: r^ = int(sqrt((k + d) r) + 0.5), as in kongds/MoRA. */
  readonly size?: "paper" | "reference";
}

/**
 * r^, the size of M.
 *
 * @param shape The layer's dimensions
 * @param options See {@linkcode MoraOptions}
 */
export function moraSize({ inFeatures, outFeatures }: LinearShape, options: MoraOptions = {}): number {
  const area = options.size === "reference" ? (inFeatures + outFeatures) * (options.rank ?? 1) : outFeatures;
  return Math.floor(Math.sqrt(area) + 0.5);
}

/** Repeats the last axis from its start until it has `length` entries: [n, w] -> [n, length]. */
function wrapTo(x: tf.Tensor2D, length: number): tf.Tensor2D {
  const [rows, width] = x.shape;
  const repeats = Math.ceil(length / width);
  const tiled = repeats === 1 ? x : tf.tile(x, [1, repeats]);
  return repeats * width === length ? tiled : tf.slice(tiled, [0, 0], [rows, length]);
}

/** Features in rows of r^, wrapping the first features into the last row: [n, k] -> [n, ceil(k / r^), r^]. */
function grouped(x: tf.Tensor2D, size: number): tf.Tensor3D {
  const groups = Math.ceil(x.shape[1] / size);
  return tf.reshape(wrapTo(x, groups * size), [x.shape[0], groups, size]);
}

/** z_q = sum_g x[g r^ + q]; ΔW x = M z, tiled and cut to d. */
function sharing(x: tf.Tensor2D, m: tf.Tensor2D, outFeatures: number): tf.Tensor2D {
  const z = sumAlong(grouped(x, m.shape[0]), 1) as tf.Tensor2D;
  return wrapTo(tf.matMul(z, m, false, true), outFeatures);
}

/** cos and sin of theta_{g,q} = g * 10000^(-2q / r^), each [g, r^] with the two halves alike. */
function angles(groups: number, size: number): { readonly cos: tf.Tensor2D; readonly sin: tf.Tensor2D } {
  const half = size / 2;
  const theta = Array.from(
    { length: groups },
    (_, g) => Array.from({ length: size }, (_, q) => g * 10000 ** (-2 * (q % half) / size)),
  );
  return {
    cos: tf.tensor2d(theta.map((row) => row.map(Math.cos))),
    sin: tf.tensor2d(theta.map((row) => row.map(Math.sin))),
  };
}

/** Row g rotated by theta_g (half-split rotary), each row times M, flattened, tiled and cut to d. */
function rotating(x: tf.Tensor2D, m: tf.Tensor2D, outFeatures: number): tf.Tensor2D {
  const size = m.shape[0];
  const rows = grouped(x, size);
  const [n, groups] = rows.shape;
  const { cos, sin } = angles(groups, size);
  const [first, second] = tf.split(rows, 2, 2);
  const rotated = tf.add(tf.mul(rows, cos), tf.mul(tf.concat([tf.neg(second), first], 2), sin));
  const products = tf.matMul(tf.reshape(rotated, [n * groups, size]) as tf.Tensor2D, m, false, true);
  return wrapTo(tf.reshape(products, [n, groups * size]) as tf.Tensor2D, outFeatures);
}

function mora(
  name: string,
  sizeOf: (shape: LinearShape) => number,
  act: (x: tf.Tensor2D, m: tf.Tensor2D, outFeatures: number) => tf.Tensor2D,
): Adapter {
  return {
    name,
    fit: (shape) => ({
      name,
      stage: stage.update,
      params: { M: trainable([sizeOf(shape), sizeOf(shape)], zeros) },
      reform: (param) => {
        const apply = (x: tf.Tensor2D) => act(x, param("M") as tf.Tensor2D, shape.outFeatures);
        // ΔW is linear, so acting on the identity gives its transpose.
        return addOperator({ apply, matrix: () => tf.transpose(apply(tf.eye(shape.inFeatures))) });
      },
    }),
  };
}

/**
 * MoRA type 1: groups of features are summed, M mixes the r^ sums, the result is repeated. r^^2 parameters per layer.
 *
 * @param options See {@linkcode MoraOptions}
 */
export function mora1(options: MoraOptions = {}): Adapter {
  return mora("mora1", (shape) => moraSize(shape, options), sharing);
}

/**
 * MoRA type 6: rows of r^ features are rotated by their index and mixed by M. r^ is rounded down to an even number.
 *
 * @param options See {@linkcode MoraOptions}
 */
export function mora6(options: MoraOptions = {}): Adapter {
  return mora("mora6", (shape) => moraSize(shape, options) - moraSize(shape, options) % 2, rotating);
}

/** The paper's size is that of r = 1, whatever r. */
const conditions = {
  rank: {
    beside: "size=reference",
    holds: ({ size, rank = 1 }: MoraOptions) => size === "reference" || rank === 1,
  },
};

const settings = {
  size: oneOf(["paper", "reference"], "r^ = int(sqrt(d) + 0.5), or int(sqrt((k + d) r) + 0.5)"),
  rank: wholeNumber("r of size=reference (default 1)"),
};

/** MoRA type 1, described. */
export const mora1Method: Method = method({
  name: "mora1",
  summary: "a square matrix between sums of features and their repetition",
  settings,
  conditions,
  build: (options, target) => at(target, mora1(options)),
  isLinear: true,
});

/** MoRA type 6, described. */
export const mora6Method: Method = method({
  name: "mora6",
  summary: "a square matrix that acts on rotated rows of features",
  settings,
  conditions,
  build: (options, target) => at(target, mora6(options)),
  isLinear: true,
});
