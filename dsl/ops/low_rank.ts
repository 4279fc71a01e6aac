/**
 * The product of activations with a frozen weight plus low-rank updates, with a gradient that keeps only what the
 * trainable factors need: for 1LoRA that is one number per row of x, their sum.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";

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
 * (rows of x) * (d + k) per rank.
 *
 * @param rows Rows of x
 * @param outFeatures d
 * @param inFeatures k
 * @param rank Total rank of the updates
 */
export function cheaper(rows: number, outFeatures: number, inFeatures: number, rank: number): Evaluation {
  return 2 * outFeatures * inFeatures < rows * rank * (outFeatures + inFeatures) ? "merged" : "factored";
}

/** up diag(mid) scale, [d, r]. */
function scaledUp({ up, mid, scale }: LowRank): tf.Tensor {
  const scaled = mid === undefined ? up : tf.mul(up, mid);
  return scale === 1 ? scaled : tf.mul(scaled, scale);
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
    : tf.matMul(up as tf.Tensor2D, update.down as tf.Tensor2D);
}

/** W + sum of ΔW. For 1LoRA the column b is added to every column of W by broadcasting. */
function mergedWeight(weight: tf.Tensor, updates: readonly LowRank[]): tf.Tensor {
  return updates.reduce(
    (sum, update) =>
      tf.add(sum, update.down === "sum" ? scaledUp(update) : tf.matMul(scaledUp(update) as tf.Tensor2D, update.down as tf.Tensor2D)),
    weight,
  );
}

/** The compressed activations x down^T, [n, r]. */
function compress(x: tf.Tensor, down: LowRank["down"]): tf.Tensor {
  return down === "sum" ? tf.sum(x, -1, true) : tf.matMul(x as tf.Tensor2D, down as tf.Tensor2D, false, true);
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
  const product = tf.customGrad((...inputs: unknown[]) => {
    const save = inputs[inputs.length - 1] as tf.GradSaveFunc;
    const compressed = updates.map(({ down }) => compress(x, down));
    const value = evaluation === "merged"
      ? tf.matMul(x, mergedWeight(weight, updates) as tf.Tensor2D, false, true)
      : updates.reduce(
        (sum, update, i) => tf.add(sum, tf.matMul(compressed[i] as tf.Tensor2D, scaledUp(update) as tf.Tensor2D, false, true)),
        tf.matMul(x, weight, false, true) as tf.Tensor,
      );
    const keepsInput = updates.some(({ trainsDown }) => trainsDown);
    save([...compressed, ...(keepsInput ? [x] : [])]);

    const gradFunc = (dz: tf.Tensor, saved: tf.Tensor[]): tf.Tensor[] => {
      const gradients: tf.Tensor[] = [];
      let dx = tf.matMul(dz as tf.Tensor2D, (evaluation === "merged" ? mergedWeight(weight, updates) : weight) as tf.Tensor2D) as tf.Tensor;
      updates.forEach((update, i) => {
        const { up, mid, down, scale, trainsDown } = update;
        const scaled = (t: tf.Tensor) => scale === 1 ? t : tf.mul(t, scale);
        const c = saved[i];
        gradients.push(scaled(tf.matMul(dz as tf.Tensor2D, (mid === undefined ? c : tf.mul(c, mid)) as tf.Tensor2D, true)));
        if (evaluation === "merged" && mid === undefined && !trainsDown) return;
        const g = tf.matMul(dz as tf.Tensor2D, up as tf.Tensor2D) as tf.Tensor;
        if (mid !== undefined) gradients.push(scaled(tf.sum(tf.mul(g, c), 0)));
        const gm = scaled(mid === undefined ? g : tf.mul(g, mid));
        if (trainsDown) gradients.push(tf.matMul(gm as tf.Tensor2D, saved[updates.length] as tf.Tensor2D, true));
        if (evaluation === "factored") dx = tf.add(dx, down === "sum" ? gm : tf.matMul(gm as tf.Tensor2D, down as tf.Tensor2D));
      });
      return [dx, ...gradients];
    };
    return { value, gradFunc };
  });
  return product(x, ...factors) as tf.Tensor2D;
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
