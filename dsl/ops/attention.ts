/**
 * Softmax attention and the reshaping around it.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { ownKernel } from "../engine/kernels.ts";
import { withGradient } from "./gradient.ts";

/** Keys and values of positions that were read before. */
export interface KeysAndValues {
  /** [B, KV, P, hd] */
  readonly key: tf.Tensor;
  /** [B, KV, P, hd] */
  readonly value: tf.Tensor;
}

/** Settings of {@linkcode attention}. */
export interface AttentionOptions {
  /** Added to the scores before the softmax, broadcastable to [B, H, N, M]; no gradient. */
  readonly mask?: tf.Tensor;
  /** Factor of the scores (default 1/sqrt(hd)). */
  readonly scale?: number;
  /**
   * Keys and values that come before k and v (for reading on; no gradient).
   *
   * @internal
   */
  readonly past?: KeysAndValues;
}

/** The gradient of softmax over the last axis from its output: dx = y dy - y rowsum(y dy). */
function softmaxGradient(dy: tf.Tensor, y: tf.Tensor): tf.Tensor {
  const own = ownKernel("SoftmaxGrad", { dy, y });
  if (own !== undefined) return own[0];
  const weighted = tf.mul(y, dy);
  return tf.sub(weighted, tf.mul(y, tf.sum(weighted, -1, true)));
}

/** The softmax of scores [B, H, N, M] and what is added to them before. */
function maskedSoftmax(scores: tf.Tensor, mask?: tf.Tensor): tf.Tensor {
  if (mask === undefined) return tf.softmax(scores);
  const [batch, , queries, keys] = scores.shape;
  const isLaid = mask.rank === 4 && mask.shape[1] === 1 && mask.shape[3] === keys &&
    [1, batch].includes(mask.shape[0]) && [1, queries].includes(mask.shape[2]!);
  const own = isLaid ? ownKernel("MaskedSoftmax", { logits: scores, mask }) : undefined;
  return own === undefined ? tf.softmax(tf.add(scores, mask)) : own[0];
}

/** Most keys, in sizes of a head, for which probabilities are kept: they then take no more than some activations. */
const KEPT = 2;

/**
 * softmax(scale q k^T + mask) v (Vaswani et al. 2017). Query head h uses key head floor(h KV / H).
 *
 * Keeps scale q, k, v and the mask: the probabilities, N M numbers a head, are computed again for the gradient (Dao et al.
 * 2022), which costs a product of the size of q k^T. Where M <= 2 hd, they are kept instead.
 *
 * @param q Queries, [B, H, N, hd]
 * @param k Keys, [B, KV, M, hd]; KV divides H
 * @param v Values, [B, KV, M, hd]
 * @param options See {@linkcode AttentionOptions}
 * @returns [B, H, N, hd]
 *
 * @example
 * ```ts
 * import { attention, useBackend } from "@onelora/onelora/dsl";
 * import { assertEquals } from "@std/assert";
 * import * as tf from "@tensorflow/tfjs-core";
 * await useBackend("cpu");
 * const v = tf.tensor4d([1, 3], [1, 1, 2, 1]);
 * // Equal scores average the values.
 * assertEquals([...attention(tf.zeros([1, 1, 1, 1]), v, v).dataSync()], [2]);
 * ```
 */
export function attention(q: tf.Tensor, k: tf.Tensor, v: tf.Tensor, options: AttentionOptions = {}): tf.Tensor {
  const [batch, heads, queries, size] = q.shape;
  const [, keyHeads, keys] = k.shape;
  const scale = options.scale ?? 1 / Math.sqrt(size);
  // The query heads that share a key head are rows of one product, so that keys and values are never repeated.
  const together = (t: tf.Tensor, width: number) => tf.reshape(t, [batch, keyHeads, heads / keyHeads * queries, width]);
  const apart = (t: tf.Tensor, width: number) => tf.reshape(t, [batch, heads, queries, width]);

  const probabilitiesOf = (scaled: tf.Tensor, k: tf.Tensor, mask?: tf.Tensor) => {
    const scores = apart(tf.matMul(scaled, k, false, true), keys);
    return together(maskedSoftmax(scores, mask), keys);
  };

  if (options.past !== undefined) return attentionAfter(options.past, q, k, v, { ...options, scale });

  const isKept = keys <= KEPT * size;
  return withGradient([q, k, v], (save) => {
    const scaled = together(tf.mul(q, scale), size);
    const probabilities = probabilitiesOf(scaled, k, options.mask);
    const mask = options.mask === undefined ? [] : [options.mask];
    save(scaled, k, v, ...(isKept ? [probabilities] : mask));
    return apart(tf.matMul(probabilities, v), size);
  }, (dy, [scaled, k, v, kept]) => {
    const probabilities = isKept ? kept : probabilitiesOf(scaled, k, kept);
    const dOutput = together(dy, size);
    const dScores = softmaxGradient(tf.matMul(dOutput, v, false, true), probabilities);
    return [
      apart(tf.mul(tf.matMul(dScores, k), scale), size),
      tf.matMul(dScores, scaled, true),
      tf.matMul(probabilities, dOutput, true),
    ];
  });
}

/** Attention to what was read before and to what is new: two products each, so that the former is never copied. */
function attentionAfter(
  past: KeysAndValues,
  q: tf.Tensor,
  k: tf.Tensor,
  v: tf.Tensor,
  { mask, scale }: AttentionOptions & { readonly scale: number },
): tf.Tensor {
  const [batch, heads, queries, size] = q.shape as number[];
  const [before, after] = [past.key.shape[2]!, k.shape[2]!];
  const together = [batch, k.shape[1]!, heads / k.shape[1]! * queries];
  return tf.tidy(() => {
    const scaled = tf.reshape(tf.mul(q, scale), [...together, size]);
    const scores = tf.reshape(
      tf.concat([tf.matMul(scaled, past.key, false, true), tf.matMul(scaled, k, false, true)], 3),
      [batch, heads, queries, before + after],
    );
    const probabilities = tf.reshape(
      tf.softmax(mask === undefined ? scores : tf.add(scores, mask)),
      [...together, before + after],
    );
    const part = (from: number, count: number) => tf.slice(probabilities, [0, 0, 0, from], [...together, count]);
    const mixed = tf.add(tf.matMul(part(0, before), past.value), tf.matMul(part(before, after), v));
    return tf.reshape(mixed, [batch, heads, queries, size]);
  });
}

/**
 * [B, N, H hd] -> [B, H, N, hd].
 *
 * @param x Activations
 * @param heads H
 */
export function splitHeads(x: tf.Tensor, heads: number): tf.Tensor {
  const [batch, length, width] = x.shape;
  return tf.tidy(() => tf.transpose(tf.reshape(x, [batch, length, heads, width / heads]), [0, 2, 1, 3]));
}

/**
 * [B, H, N, hd] -> [B, N, H hd], the inverse of {@linkcode splitHeads}.
 *
 * @param x Activations per head
 */
export function mergeHeads(x: tf.Tensor): tf.Tensor {
  const [batch, heads, length, size] = x.shape;
  return tf.tidy(() => tf.reshape(tf.transpose(x, [0, 2, 1, 3]), [batch, length, heads * size]));
}

/**
 * The mask that hides later positions: 0 where key <= past + query, else -1e9; [1, 1, N, past + N].
 *
 * @param length N
 * @param past Keys before the first query's own
 * @param window Keys that a query sees at most, its own the last (default all)
 */
export function causalMask(length: number, past = 0, window = Infinity): tf.Tensor {
  const keys = past + length;
  const mask = new Float32Array(length * keys);
  for (let query = 0; query < length; query++) {
    const [start, own] = [query * keys, past + query];
    mask.fill(-1e9, start + own + 1, start + keys);
    mask.fill(-1e9, start, start + Math.max(0, own + 1 - window));
  }
  return tf.tensor4d(mask, [1, 1, length, keys]);
}

/**
 * The mask that hides padding: 0 where a key counts, else -1e9; [B, 1, 1, M]. Where each query sees others, [B, 1, N, M].
 *
 * @param counts 1 for tokens, 0 for padding, [B, M], or for each query [B, N, M]
 */
export function paddingMask(counts: tf.Tensor): tf.Tensor {
  const [batch, ...seen] = counts.shape;
  const shape = seen.length === 1 ? [batch, 1, 1, seen[0]] : [batch, 1, ...seen];
  return tf.tidy(() => tf.reshape(tf.mul(tf.sub(1, tf.cast(counts, "float32")), -1e9), shape));
}
