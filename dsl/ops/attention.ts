/**
 * Softmax attention and the reshaping around it.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { hasKernel, isRecordedWhole, ownKernel, productPrecision } from "../engine/kernels.ts";
import { withGradient } from "./gradient.ts";
import { type Span, spansOf } from "./slices.ts";

/** Keys and values of positions that were read before. */
export interface KeysAndValues {
  /** [B, KV, P, hd] */
  readonly key: tf.Tensor;
  /** [B, KV, P, hd] */
  readonly value: tf.Tensor;
}

/** Queries that see no later keys; there are as many of both. */
export interface Causal {
  /** Keys that a query sees at most, its own the last (default all). */
  readonly window?: number;
  /** What is added besides, [B, 1, 1 or N, N]; where it hides all keys that a query could see, the result means nothing. */
  readonly mask?: tf.Tensor;
}

/** Settings of {@linkcode attention}. */
export interface AttentionOptions {
  /** Added to the scores before the softmax, broadcastable to [B, H, N, M]; no gradient. */
  readonly mask?: tf.Tensor;
  /**
   * What `mask` says, where it hides later positions, for kernels that need no number for each query and key.
   *
   * @internal
   */
  readonly causal?: Causal;
  /** Factor of the scores (default 1/sqrt(hd)). */
  readonly scale?: number;
  /**
   * Keys and values that come before k and v (for reading on; no gradient).
   *
   * @internal
   */
  readonly past?: KeysAndValues;
  /**
   * Whether a text is read on, whether or not something comes before (no gradient).
   *
   * @internal
   */
  readonly isRead?: boolean;
  /**
   * Scores that are there at a time, in bytes of float32 (default 32 MiB; 256 where a step is one compiled function).
   *
   * @internal
   */
  readonly blockBytes?: number;
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
  const own = isLaidOut(mask, [batch, queries, keys])
    ? ownKernel("MaskedSoftmax", { logits: scores, mask })
    : undefined;
  return own === undefined ? tf.softmax(tf.add(scores, mask)) : own[0];
}

/**
 * Most keys, in sizes of a head, for which probabilities are kept: they then take no more than some activations. Where a step is
 * one compiled function, kernels cost more than memory, as long as probabilities are in bf16: of ViT-B/16's step of 64 in
 * float32 they would be a fifth of all that it takes.
 */
const KEPT = { plain: 2, half: 4 };

/** The same for what is being recorded. */
function mostKept(): number {
  return isRecordedWhole() && productPrecision() === "bf16" ? KEPT.half : KEPT.plain;
}

/**
 * softmax(scale q k^T + mask) v (Vaswani et al. 2017). Query head h uses key head floor(h KV / H).
 *
 * Keeps scale q, k, v and the mask: the probabilities, N M numbers a head, are computed again for the gradient (Dao et al.
 * 2022), which costs a product of the size of q k^T. Where M <= 2 hd, they are kept instead; M <= 4 hd where a step is one
 * compiled function in bf16. Scores of more than 32 MiB (256 there) are computed in blocks of queries, which changes nothing but the order in
 * which the gradients of keys and values are added up. Where the engine has kernels for blocks (WebGPU), scores are never in
 * memory, and neither are probabilities.
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
  const { scale = 1 / Math.sqrt(size), blockBytes = isRecordedWhole() ? 2 ** 28 : 2 ** 25 } = options;
  const seen = options.isRead ? attentionToSeen(q, k, v, { ...options, scale }) : undefined;
  if (seen !== undefined) return seen;
  if (options.past !== undefined) return attentionAfter(options.past, q, k, v, { ...options, scale });
  const own = attentionInBlocks(q, k, v, { ...options, scale });
  if (own !== undefined) return own;

  // The query heads that share a key head are rows of one product, so that keys and values are never repeated.
  const together = (t: tf.Tensor) => {
    const [, , length, width] = t.shape;
    return tf.reshape(t, [batch, keyHeads, heads / keyHeads * length!, width!]);
  };
  const separate = (t: tf.Tensor, length: number) => tf.reshape(t, [batch, heads, length, t.shape[3]!]);
  const probabilitiesOf = (scaled: tf.Tensor, k: tf.Tensor, mask: tf.Tensor | undefined, length: number) => {
    const scores = separate(tf.matMul(scaled, k, false, true), length);
    return together(maskedSoftmax(scores, mask));
  };
  const blocks = spansOf(queries, Math.ceil(4 * batch * heads * queries * keys / blockBytes));
  const isKept = blocks.length === 1 && keys <= mostKept() * size;
  /** The rows of some queries. */
  const rows = (t: tf.Tensor, [from, length]: Span) =>
    blocks.length === 1 || t.shape[2] !== queries
      ? t
      : tf.slice(t, [0, 0, from, 0], [t.shape[0]!, t.shape[1]!, length, t.shape[3]!]);
  const joined = (parts: readonly tf.Tensor[]) => parts.length === 1 ? parts[0] : tf.concat([...parts], 2);

  return withGradient([q, k, v], (save) => {
    const scaled = tf.mul(q, scale);
    const found = blocks.map((block): readonly [output: tf.Tensor, probabilities: tf.Tensor] => {
      const mask = options.mask && rows(options.mask, block);
      const probabilities = probabilitiesOf(together(rows(scaled, block)), k, mask, block[1]);
      return [separate(tf.matMul(probabilities, v), block[1]), probabilities];
    });
    save(scaled, k, v, ...(isKept ? [found[0][1]] : options.mask === undefined ? [] : [options.mask]));
    return joined(found.map(([output]) => output));
  }, (dy, [scaled, k, v, last]) => {
    const found = blocks.map((block) => {
      const [queried, mask] = [together(rows(scaled, block)), last && !isKept ? rows(last, block) : undefined];
      const dOutput = together(rows(dy, block));
      const probabilities = isKept ? last : probabilitiesOf(queried, k, mask, block[1]);
      const dScores = softmaxGradient(tf.matMul(dOutput, v, false, true), probabilities);
      return [
        separate(tf.mul(tf.matMul(dScores, k), scale), block[1]),
        tf.matMul(dScores, queried, true),
        tf.matMul(probabilities, dOutput, true),
      ];
    });
    const [dQueries, ...others] = [0, 1, 2].map((i) => found.map((each) => each[i]));
    // Not by additions: TensorFlow would make one of them that XLA does not have.
    const total = (terms: readonly tf.Tensor[]) => terms.length === 1 ? terms[0] : tf.sum(tf.stack([...terms]), 0);
    return [joined(dQueries), ...others.map(total)];
  });
}

/** Whether a mask is one of keys, or of keys for each query, of all heads. */
function isLaidOut({ shape: [first, heads, seen, all], rank }: tf.Tensor, [batch, queries, keys]: readonly number[]) {
  return rank === 4 && heads === 1 && all === keys && [1, batch].includes(first) && [1, queries].includes(seen!);
}

/** Largest head that the kernel for blocks takes. */
const MOST_HEAD = 128;

/** Attention by kernels that keep no scores, where there are such and they take it. */
function attentionInBlocks(
  q: tf.Tensor,
  k: tf.Tensor,
  v: tf.Tensor,
  { mask: whole, causal, scale }: AttentionOptions,
): tf.Tensor | undefined {
  const [batch, , queries, size] = q.shape as [number, number, number, number];
  const keys = k.shape[2]!;
  const mask = causal === undefined ? whole : causal.mask;
  if (!hasKernel("BlockAttention") || size % 4 !== 0 || size > MOST_HEAD || v.shape[3] !== size) return undefined;
  if ([q, k, v].some(({ dtype }) => dtype !== "float32")) return undefined;
  if (mask !== undefined && (mask.dtype !== "float32" || !isLaidOut(mask, [batch, queries, keys]))) return undefined;
  const window = causal === undefined ? 0 : Math.min(causal.window ?? keys, keys);
  const attributes = { scale: scale!, window };
  return withGradient(
    [q, k, v],
    (save) => {
      const [output, stats] = ownKernel("BlockAttention", { q, k, v, ...mask && { mask } }, attributes)!;
      save(q, k, v, stats, ...mask === undefined ? [] : [mask]);
      return output;
    },
    (dy, [q, k, v, stats, mask]) =>
      ownKernel("BlockAttentionGrad", { dy, q, k, v, stats, ...mask && { mask } }, attributes)!,
  );
}

/** Most keys that the kernel below has place for in a thread's work area. */
const MOST_SEEN = 2 ** 15 - 4;

/** Attention by a kernel that leaves out keys that a query does not see, where there is one and it takes it. */
function attentionToSeen(
  q: tf.Tensor,
  k: tf.Tensor,
  v: tf.Tensor,
  { past, mask, scale }: AttentionOptions,
): tf.Tensor | undefined {
  const [batch, , queries] = q.shape;
  const keys = (past?.key.shape[2] ?? 0) + k.shape[2]!;
  if (mask === undefined || keys > MOST_SEEN || !isLaidOut(mask, [batch, queries!, keys])) return undefined;
  const before = past && { pastKey: past.key, pastValue: past.value };
  return ownKernel("SeenAttention", { q, k, v, mask, ...before }, { scale: scale! })?.[0];
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
