/**
 * The product of activations with a frozen weight plus low-rank updates, with a gradient that keeps only what the
 * trainable factors need: for 1LoRA that is one number per row of x, their sum.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { productPrecision } from "../engine/kernels.ts";
import { withGradient } from "./gradient.ts";

/** ΔW = scale * up diag(mid) down, of shape [d, k] and rank r. */
export interface LowRank {
  /** [d, r] */
  readonly up: tf.Tensor;
  /** [r]; all ones if absent. */
  readonly mid?: tf.Tensor;
  /** [r, k], or `"sum"` for a single row of ones. */
  readonly down: tf.Tensor | "sum";
  /** Constant factor. */
  readonly scale: number;
  /** Whether `down` needs a gradient; if so x is kept for it. */
  readonly trainsDown: boolean;
}

/** How {@linkcode lowRankProduct} forms W x + ΔW x. */
export type Evaluation = "merged" | "factored";

/**
 * The cheaper way: adding ΔW into W costs about 2 d k (forward and backward), applying the factors to the rows about
 * (rows of x) * (d + k) per rank. In bf16 always the factors: W + ΔW would round a small ΔW away.
 *
 * @param rows Rows of x
 * @param outFeatures d
 * @param inFeatures k
 * @param rank Total rank of the updates
 */
export function cheaper(rows: number, outFeatures: number, inFeatures: number, rank: number): Evaluation {
  if (productPrecision() === "bf16") return "factored";
  return 2 * outFeatures * inFeatures < rows * rank * (outFeatures + inFeatures) ? "merged" : "factored";
}

function scaled<T extends tf.Tensor>(x: T, scale: number): T {
  return scale === 1 ? x : tf.mul(x, scale);
}

/** The factors as a list. */
function tensorsOf({ up, mid, down }: LowRank): tf.Tensor[] {
  return [up, ...(mid === undefined ? [] : [mid]), ...(down === "sum" ? [] : [down])];
}

/** The same updates with their tensors replaced, in the order of {@linkcode tensorsOf}. */
function restored(updates: readonly LowRank[], tensors: readonly tf.Tensor[]): LowRank[] {
  let next = 0;
  return updates.map((update) => ({
    ...update,
    up: tensors[next++],
    mid: update.mid && tensors[next++],
    down: update.down === "sum" ? "sum" : tensors[next++],
  }));
}

/** up diag(mid) scale, [d, r]. */
function scaledUp({ up, mid, scale }: LowRank): tf.Tensor2D {
  return scaled((mid === undefined ? up : tf.mul(up, mid)) as tf.Tensor2D, scale);
}

/**
 * ΔW as a matrix, [d, k].
 *
 * @param update The factors
 * @param inFeatures k
 */
export function lowRankMatrix(update: LowRank, inFeatures: number): tf.Tensor {
  const up = scaledUp(update);
  return update.down === "sum"
    ? tf.broadcastTo(up, [up.shape[0], inFeatures])
    : tf.matMul(up, update.down as tf.Tensor2D);
}

/** W + sum of ΔW. For 1LoRA the column b is added to every column of W by broadcasting. */
function mergedWeight(weight: tf.Tensor2D, updates: readonly LowRank[]): tf.Tensor2D {
  return updates.reduce<tf.Tensor2D>((sum, update) => {
    const up = scaledUp(update);
    return tf.add(sum, update.down === "sum" ? up : tf.matMul(up, update.down as tf.Tensor2D));
  }, weight);
}

/** The compressed activations c = x down^T, [n, r]. */
function compress(x: tf.Tensor2D, down: LowRank["down"]): tf.Tensor2D {
  return down === "sum" ? tf.sum(x, -1, true) : tf.matMul(x, down as tf.Tensor2D, false, true);
}

/** Gradients of up, mid and down (those that get one, in this order) and of the compressed activations c. */
function factorGradients(
  { up, mid, scale, trainsDown }: LowRank,
  dz: tf.Tensor2D,
  c: tf.Tensor2D,
  x: tf.Tensor2D,
): { readonly dc: tf.Tensor2D; readonly ofFactors: readonly tf.Tensor[] } {
  const g = tf.matMul(dz, up as tf.Tensor2D);
  const dc = scaled(mid === undefined ? g : tf.mul(g, mid), scale) as tf.Tensor2D;
  const dUp = scaled(tf.matMul(dz, mid === undefined ? c : tf.mul(c, mid) as tf.Tensor2D, true), scale);
  return {
    dc,
    ofFactors: [
      dUp,
      ...(mid === undefined ? [] : [scaled(tf.sum(tf.mul(g, c), 0), scale)]),
      ...(trainsDown ? [tf.matMul(dc, x, true)] : []),
    ],
  };
}

/**
 * z = x (W + sum ΔW)^T with W frozen.
 *
 * Gradients: dx = dz (W + ΔW); with c = x down^T and g = dz up: dup = scale dz^T (c mid), dmid = scale sum(g c),
 * ddown = scale (g mid)^T x. Only c is kept of x unless `trainsDown`.
 *
 * @param x [n, k]
 * @param weight [d, k], no gradient
 * @param updates Low-rank updates
 * @param evaluation `merged` adds ΔW to W first, `factored` applies the factors one after the other
 * @returns [n, d]
 */
export function lowRankProduct(
  x: tf.Tensor2D,
  weight: tf.Tensor2D,
  updates: readonly LowRank[],
  evaluation: Evaluation,
): tf.Tensor2D {
  // The differentiable inputs in a fixed order: x, then each update's up, mid, down where they exist.
  const factors = updates.flatMap(({ up, mid, down, trainsDown }) => [
    up,
    ...(mid === undefined ? [] : [mid]),
    ...(down !== "sum" && trainsDown ? [down] : []),
  ]);
  const keepsInput = updates.some(({ trainsDown }) => trainsDown);
  return withGradient([x, ...factors], (save) => {
    const compressed = updates.map(({ down }) => compress(x, down));
    // Factors may themselves be intermediate results, so the backward pass must hold on to them too.
    save(...compressed, ...updates.flatMap(tensorsOf), ...(keepsInput ? [x] : []));
    return evaluation === "merged"
      ? tf.matMul(x, mergedWeight(weight, updates), false, true)
      : updates.reduce<tf.Tensor2D>(
        (sum, update, i) => tf.add(sum, tf.matMul(compressed[i], scaledUp(update), false, true)),
        tf.matMul(x, weight, false, true),
      );
  }, (dz, saved) => {
    const compressed = saved.slice(0, updates.length) as tf.Tensor2D[];
    const kept = restored(updates, saved.slice(updates.length));
    const input = saved[saved.length - 1] as tf.Tensor2D;
    const gradients = kept.map((update, i) => factorGradients(update, dz as tf.Tensor2D, compressed[i], input));
    const dx = evaluation === "merged"
      ? tf.matMul(dz as tf.Tensor2D, mergedWeight(weight, kept))
      : kept.reduce<tf.Tensor2D>(
        (sum, { down }, i) =>
          tf.add(sum, down === "sum" ? gradients[i].dc : tf.matMul(gradients[i].dc, down as tf.Tensor2D)),
        tf.matMul(dz as tf.Tensor2D, weight),
      );
    return [dx, ...gradients.flatMap(({ ofFactors }) => ofFactors)];
  }) as tf.Tensor2D;
}

/**
 * z = x W^T with W frozen: dx = dz W, and nothing of x is kept.
 *
 * @param x [n, k]
 * @param weight [d, k], no gradient
 * @returns [n, d]
 */
export function frozenProduct(x: tf.Tensor2D, weight: tf.Tensor2D): tf.Tensor2D {
  return lowRankProduct(x, weight, [], "factored");
}
