/**
 * The product of activations with a frozen weight plus low-rank updates, with a gradient that keeps only what the
 * trainable factors need: for 1LoRA that is one number per row of x, their sum.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { productPrecision } from "../engine/kernels.ts";
import { type Dropout, dropoutMask, withWords } from "./dropout.ts";
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
  /** What is dropped out of x before `down`, in a training step. */
  readonly dropout?: Dropout;
}

/** How {@linkcode lowRankProduct} forms W x + ΔW x. */
export type Evaluation = "merged" | "factored";

/**
 * The cheaper way: adding ΔW into W costs about 2 d k (forward and backward), applying the factors to the rows about
 * (rows of x) * (d + k) per rank. In bf16 always the factors: W + ΔW would
 * round a small ΔW away; in f16 too, as W + ΔW would be a float32 matrix.
 *
 * @param rows Rows of x
 * @param outFeatures d
 * @param inFeatures k
 * @param rank Total rank of the updates
 */
export function cheaper(rows: number, outFeatures: number, inFeatures: number, rank: number): Evaluation {
  if (productPrecision() !== "float32") return "factored";
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

/** The factors that get a gradient, in order: each update's up, mid, down where they exist. */
function trainedFactors(updates: readonly LowRank[]): readonly tf.Tensor[] {
  return updates.flatMap(({ up, mid, down, trainsDown }) => [
    up,
    ...(mid === undefined ? [] : [mid]),
    ...(down !== "sum" && trainsDown ? [down] : []),
  ]);
}

/** x, if a gradient needs it. */
function keptInput(x: tf.Tensor, updates: readonly LowRank[]): readonly tf.Tensor[] {
  return updates.some(({ trainsDown }) => trainsDown) ? [x] : [];
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
 * y = ΔW (mask * x) / (1 - p): a low-rank update of numbers some of which are dropped out. It cannot be merged into W, which sees
 * all of them.
 *
 * Gradients as of {@linkcode lowRankProduct} at mask * x, and dx = mask * dx. Neither the mask nor the masked numbers are kept.
 *
 * @param x [n, k]
 * @param update The factors
 * @param dropout Rate and source
 * @returns [n, d]
 */
export function droppedProduct(x: tf.Tensor2D, update: LowRank, dropout: Dropout): tf.Tensor2D {
  const own = { ...update, scale: update.scale / (1 - dropout.rate) };
  const masked = (of: tf.Tensor, words: tf.Tensor) =>
    tf.mul(of, dropoutMask(x.shape, withWords(dropout, words))) as tf.Tensor2D;
  const { words } = dropout.draw;
  return withGradient([x, ...trainedFactors([own])], (save) => {
    const compressed = compress(masked(x, words), own.down);
    save(compressed, words, ...tensorsOf(own), ...keptInput(x, [own]));
    return tf.matMul(compressed, scaledUp(own), false, true);
  }, (dy, [compressed, words, ...saved]) => {
    const [kept] = restored([own], saved);
    const input = own.trainsDown ? masked(saved[saved.length - 1], words) : x;
    const { dc, ofFactors } = factorGradients(kept, dy as tf.Tensor2D, compressed as tf.Tensor2D, input);
    const dx = kept.down === "sum" ? tf.broadcastTo(dc, x.shape) : tf.matMul(dc, kept.down as tf.Tensor2D);
    return [masked(dx, words), ...ofFactors];
  }) as tf.Tensor2D;
}

/** What becomes of the product: y = gain * z + bias. */
export interface RowScale {
  /** [d] */
  readonly gain: tf.Tensor1D;
  /** [d]; zeros if absent. */
  readonly bias?: tf.Tensor1D;
}

/** Numbers of x for each of a merged weight that is kept for the backward pass instead of being made again. */
const KEPT_BESIDE = 8;

/**
 * y = x (W + sum ΔW)^T with W frozen.
 *
 * Gradients: dx = dy (W + ΔW); with c = x down^T and g = dy up: dup = scale dy^T (c mid), dmid = scale sum(g c),
 * ddown = scale (g mid)^T x. Only c is kept of x unless `trainsDown`; W + ΔW is made again unless it is small beside x.
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
  const isKept = evaluation === "merged" && KEPT_BESIDE * weight.size <= x.size;
  return withGradient([x, ...trainedFactors(updates)], (save) => {
    const compressed = updates.map(({ down }) => compress(x, down));
    const merged = evaluation === "merged" ? mergedWeight(weight, updates) : undefined;
    // Factors may themselves be intermediate results, so the backward pass must hold on to them too.
    save(...compressed, ...isKept ? [merged!] : [], ...updates.flatMap(tensorsOf), ...keptInput(x, updates));
    return merged !== undefined ? tf.matMul(x, merged, false, true) : updates.reduce<tf.Tensor2D>(
      (sum, update, i) => tf.add(sum, tf.matMul(compressed[i], scaledUp(update), false, true)),
      tf.matMul(x, weight, false, true),
    );
  }, (dy, saved) => {
    const compressed = saved.slice(0, updates.length) as tf.Tensor2D[];
    const kept = restored(updates, saved.slice(updates.length + Number(isKept)));
    const input = saved[saved.length - 1] as tf.Tensor2D;
    const gradients = kept.map((update, i) => factorGradients(update, dy as tf.Tensor2D, compressed[i], input));
    const dx = evaluation === "merged"
      ? tf.matMul(dy as tf.Tensor2D, isKept ? saved[updates.length] as tf.Tensor2D : mergedWeight(weight, kept))
      : kept.reduce<tf.Tensor2D>(
        (sum, { down }, i) =>
          tf.add(sum, down === "sum" ? gradients[i].dc : tf.matMul(gradients[i].dc, down as tf.Tensor2D)),
        tf.matMul(dy as tf.Tensor2D, weight),
      );
    return [dx, ...gradients.flatMap(({ ofFactors }) => ofFactors)];
  }) as tf.Tensor2D;
}

/**
 * y = gain * (x (W + sum ΔW)^T) + bias with W frozen, the gain folded into the merged weight: nothing is done to the
 * rows of y but the product, and no second tensor of y's size is kept for the gain.
 *
 * Gradients as of {@linkcode lowRankProduct} at gain * dy; dbias = sum(dy); dgain = sum(dy (y - bias)) / gain, and 0
 * where gain is 0.
 *
 * @param x [n, k]
 * @param weight [d, k], no gradient
 * @param updates Low-rank updates
 * @param scale Gain and bias
 * @returns [n, d]
 */
export function scaledLowRankProduct(
  x: tf.Tensor2D,
  weight: tf.Tensor2D,
  updates: readonly LowRank[],
  { gain, bias }: RowScale,
): tf.Tensor2D {
  const biases = bias === undefined ? [] : [bias];
  const folded = (gain: tf.Tensor, updates: readonly LowRank[]): tf.Tensor2D =>
    tf.mul(mergedWeight(weight, updates), tf.expandDims(gain, 1));
  return withGradient([x, gain, ...biases, ...trainedFactors(updates)], (save) => {
    const product = tf.matMul(x, folded(gain, updates), false, true);
    const y = bias === undefined ? product : tf.add(product, bias) as tf.Tensor2D;
    const compressed = updates.map(({ down }) => compress(x, down));
    save(y, gain, ...biases, ...compressed, ...updates.flatMap(tensorsOf), ...keptInput(x, updates));
    return y;
  }, (dy, [y, gain, ...rest]) => {
    const saved = rest.slice(biases.length);
    const kept = restored(updates, saved.slice(updates.length));
    const input = saved[saved.length - 1] as tf.Tensor2D;
    const column = tf.expandDims(gain, 1);
    const gradients = kept.flatMap((update, i) => {
      const scaledUpdate = { ...update, up: tf.mul(update.up, column) };
      const [dUp, ...others] =
        factorGradients(scaledUpdate, dy as tf.Tensor2D, saved[i] as tf.Tensor2D, input).ofFactors;
      return [tf.mul(dUp, column), ...others];
    });
    const z = bias === undefined ? y : tf.sub(y, rest[0]);
    return [
      tf.matMul(dy as tf.Tensor2D, folded(gain, kept)),
      tf.divNoNan(tf.sum(tf.mul(dy, z), 0), gain),
      ...biases.map(() => tf.sum(dy, 0)),
      ...gradients,
    ];
  }) as tf.Tensor2D;
}
