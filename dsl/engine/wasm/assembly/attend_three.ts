// Attention of three queries at a time to keys that they share: what is read of keys and values serves all three. Every number
// is made of the same sums in the same order as for one query by itself (attend.ts).

import { fma, loadPart, storePart } from "./layout";

/** What a mask hides it has at most this of. */
export const HIDDEN: f32 = -1e8;

// How many keys each of the three sees, for `seenByThree`; each thread has its own.
let seen0: usize = 0;
let seen1: usize = 0;
let seen2: usize = 0;

/** How many keys the first, second or third of the queries sees that `seenByThree` was asked about last. */
// @ts-ignore: decorator
@inline
export function seenBy(query: usize): usize {
  return query == 0 ? seen0 : query == 1 ? seen1 : seen2;
}

/**
 * Keys that any of three queries sees, and their values, as two lists of addresses, the first filled up to a multiple of four;
 * what each query's mask has of them, to `scores`, whose rows are `step` bytes apart. Returns how many keys there are, or -1
 * where a query sees one without those before it: then it has to be looked at by itself.
 */
export function seenByThree(
  past: usize,
  pastValues: usize,
  fresh: usize,
  freshValues: usize,
  mask0: usize,
  mask1: usize,
  mask2: usize,
  before: usize,
  total: usize,
  stride: usize,
  scores: usize,
  step: usize,
  keys: usize,
  places: usize,
): isize {
  const hidden = f32x4.splat(HIDDEN);
  seen0 = 0;
  seen1 = 0;
  seen2 = 0;
  let count: usize = 0;
  for (let m: usize = 0; m < total; ) {
    if (m + 4 <= total) {
      const a0 = v128.load(mask0 + m * 4);
      const a1 = v128.load(mask1 + m * 4);
      const a2 = v128.load(mask2 + m * 4);
      const h0 = f32x4.le(a0, hidden);
      const h1 = f32x4.le(a1, hidden);
      const h2 = f32x4.le(a2, hidden);
      if (i32x4.all_true(v128.and(v128.and(h0, h1), h2))) {
        m += 4;
        continue;
      }
      const isSeen = !v128.any_true(v128.or(v128.or(h0, h1), h2));
      if (isSeen && (m >= before || m + 4 <= before) && seen0 == count && seen1 == count && seen2 == count) {
        const at = count * 4;
        v128.store(scores + at, a0);
        v128.store(scores + step + at, a1);
        v128.store(scores + 2 * step + at, a2);
        const offset = (m < before ? m : m - before) * stride;
        let key = (m < before ? past : fresh) + offset;
        let value = (m < before ? pastValues : freshValues) + offset;
        for (let i: usize = 0; i < 16; i += 4) {
          store<usize>(keys + at + i, key);
          store<usize>(places + at + i, value);
          key += stride;
          value += stride;
        }
        count += 4;
        seen0 = count;
        seen1 = count;
        seen2 = count;
        m += 4;
        continue;
      }
    }
    // One column, up to the next four.
    do {
      const a0 = f32.load(mask0 + m * 4);
      const a1 = f32.load(mask1 + m * 4);
      const a2 = f32.load(mask2 + m * 4);
      const s0 = !(a0 <= HIDDEN);
      const s1 = !(a1 <= HIDDEN);
      const s2 = !(a2 <= HIDDEN);
      if (s0 || s1 || s2) {
        if ((s0 && seen0 != count) || (s1 && seen1 != count) || (s2 && seen2 != count)) return -1;
        const at = count * 4;
        if (s0) f32.store(scores + at, a0);
        if (s1) f32.store(scores + step + at, a1);
        if (s2) f32.store(scores + 2 * step + at, a2);
        const offset = (m < before ? m : m - before) * stride;
        store<usize>(keys + at, (m < before ? past : fresh) + offset);
        store<usize>(places + at, (m < before ? pastValues : freshValues) + offset);
        count++;
        if (s0) seen0 = count;
        if (s1) seen1 = count;
        if (s2) seen2 = count;
      }
      m++;
    } while (m < total && m & 3);
  }
  for (let i = count; i & 3; i++) store<usize>(keys + i * 4, load<usize>(keys + (count - 1) * 4));
  return count;
}

/** Sums of the lanes of four vectors, each pairwise as in `sumLanes`. */
// @ts-ignore: decorator
@inline
function sumsOfFour(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab = f32x4.add(v128.shuffle<f32>(a, b, 0, 1, 4, 5), v128.shuffle<f32>(a, b, 2, 3, 6, 7));
  const cd = f32x4.add(v128.shuffle<f32>(c, d, 0, 1, 4, 5), v128.shuffle<f32>(c, d, 2, 3, 6, 7));
  return f32x4.add(v128.shuffle<f32>(ab, cd, 0, 2, 4, 6), v128.shuffle<f32>(ab, cd, 1, 3, 5, 7));
}

/** Adds scale q k^T of three queries, `size` numbers each, and `count` keys to `scores`, whose rows are `step` bytes apart. */
export function addScoresOfThree(
  q: usize,
  size: usize,
  keys: usize,
  count: usize,
  scale: f32,
  scores: usize,
  step: usize,
): void {
  const stride = size * 4;
  const whole = (size & ~3) * 4;
  const rest = size & 3;
  const factor = f32x4.splat(scale);
  for (let j: usize = 0; j < count; j += 4) {
    let k0 = load<usize>(keys + j * 4);
    let k1 = load<usize>(keys + j * 4, 4);
    let k2 = load<usize>(keys + j * 4, 8);
    let k3 = load<usize>(keys + j * 4, 12);
    let a0 = f32x4.splat(0);
    let a1 = a0;
    let a2 = a0;
    let a3 = a0;
    let b0 = a0;
    let b1 = a0;
    let b2 = a0;
    let b3 = a0;
    let c0 = a0;
    let c1 = a0;
    let c2 = a0;
    let c3 = a0;
    let x = q;
    const end = q + whole;
    for (; x < end; x += 16) {
      const xa = v128.load(x);
      const xb = v128.load(x + stride);
      const xc = v128.load(x + 2 * stride);
      let k = v128.load(k0);
      a0 = fma(xa, k, a0);
      b0 = fma(xb, k, b0);
      c0 = fma(xc, k, c0);
      k = v128.load(k1);
      a1 = fma(xa, k, a1);
      b1 = fma(xb, k, b1);
      c1 = fma(xc, k, c1);
      k = v128.load(k2);
      a2 = fma(xa, k, a2);
      b2 = fma(xb, k, b2);
      c2 = fma(xc, k, c2);
      k = v128.load(k3);
      a3 = fma(xa, k, a3);
      b3 = fma(xb, k, b3);
      c3 = fma(xc, k, c3);
      k0 += 16;
      k1 += 16;
      k2 += 16;
      k3 += 16;
    }
    if (rest) {
      const xa = loadPart(x, rest);
      const xb = loadPart(x + stride, rest);
      const xc = loadPart(x + 2 * stride, rest);
      let k = loadPart(k0, rest);
      a0 = fma(xa, k, a0);
      b0 = fma(xb, k, b0);
      c0 = fma(xc, k, c0);
      k = loadPart(k1, rest);
      a1 = fma(xa, k, a1);
      b1 = fma(xb, k, b1);
      c1 = fma(xc, k, c1);
      k = loadPart(k2, rest);
      a2 = fma(xa, k, a2);
      b2 = fma(xb, k, b2);
      c2 = fma(xc, k, c2);
      k = loadPart(k3, rest);
      a3 = fma(xa, k, a3);
      b3 = fma(xb, k, b3);
      c3 = fma(xc, k, c3);
    }
    let to = scores + j * 4;
    v128.store(to, f32x4.add(v128.load(to), f32x4.mul(sumsOfFour(a0, a1, a2, a3), factor)));
    to += step;
    v128.store(to, f32x4.add(v128.load(to), f32x4.mul(sumsOfFour(b0, b1, b2, b3), factor)));
    to += step;
    v128.store(to, f32x4.add(v128.load(to), f32x4.mul(sumsOfFour(c0, c1, c2, c3), factor)));
  }
}

/** 16 numbers of the values' sums by three rows of weights, `step` bytes apart, to three rows `stride` bytes apart. */
export function mixThree(weights: usize, step: usize, places: usize, count: usize, skipped: usize, out: usize, stride: usize): void {
  let a0 = f32x4.splat(0);
  let a1 = a0;
  let a2 = a0;
  let a3 = a0;
  let b0 = a0;
  let b1 = a0;
  let b2 = a0;
  let b3 = a0;
  let c0 = a0;
  let c1 = a0;
  let c2 = a0;
  let c3 = a0;
  const end = weights + count * 4;
  for (; weights < end; weights += 4) {
    const value = load<usize>(places) + skipped;
    const v0 = v128.load(value);
    const v1 = v128.load(value, 16);
    const v2 = v128.load(value, 32);
    const v3 = v128.load(value, 48);
    let weight = v128.load_splat<f32>(weights);
    a0 = fma(weight, v0, a0);
    a1 = fma(weight, v1, a1);
    a2 = fma(weight, v2, a2);
    a3 = fma(weight, v3, a3);
    weight = v128.load_splat<f32>(weights + step);
    b0 = fma(weight, v0, b0);
    b1 = fma(weight, v1, b1);
    b2 = fma(weight, v2, b2);
    b3 = fma(weight, v3, b3);
    weight = v128.load_splat<f32>(weights + 2 * step);
    c0 = fma(weight, v0, c0);
    c1 = fma(weight, v1, c1);
    c2 = fma(weight, v2, c2);
    c3 = fma(weight, v3, c3);
    places += 4;
  }
  storeFour(out, a0, a1, a2, a3);
  storeFour(out + stride, b0, b1, b2, b3);
  storeFour(out + 2 * stride, c0, c1, c2, c3);
}

// @ts-ignore: decorator
@inline
function storeFour(to: usize, s0: v128, s1: v128, s2: v128, s3: v128): void {
  v128.store(to, s0);
  v128.store(to, s1, 16);
  v128.store(to, s2, 32);
  v128.store(to, s3, 48);
}

/** Goes on with four numbers of such sums, those at `out`, from where the three do not see the same; then times the factor. */
export function mixRest(weights: usize, end: usize, places: usize, skipped: usize, factor: v128, out: usize): void {
  let sum = v128.load(out);
  for (; weights < end; weights += 4) {
    sum = fma(v128.load_splat<f32>(weights), v128.load(load<usize>(places) + skipped), sum);
    places += 4;
  }
  v128.store(out, f32x4.mul(sum, factor));
}

/** Four numbers of the values' sum by weights, times the factor, or the first `count` of four. */
export function mixFew(
  weights: usize,
  places: usize,
  end: usize,
  skipped: usize,
  factor: v128,
  out: usize,
  count: usize,
): void {
  let sum = f32x4.splat(0);
  for (; weights < end; weights += 4) {
    const value = load<usize>(places) + skipped;
    sum = fma(v128.load_splat<f32>(weights), count < 4 ? loadPart(value, count) : v128.load(value), sum);
    places += 4;
  }
  sum = f32x4.mul(sum, factor);
  if (count < 4) storePart(out, sum, count);
  else v128.store(out, sum);
}
