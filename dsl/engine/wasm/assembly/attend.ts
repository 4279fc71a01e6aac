// Attention of texts that are read on: each query looks at the keys that it sees and at no other, so that neither padding nor
// room for what is to come changes a bit of it.

import { addScoresOfThree, HIDDEN, mixFew, mixRest, mixThree, seenBy, seenByThree } from "./attend_three";
import { fma, loadPart, sumLanes } from "./layout";
import { workBytes } from "./matmul";
import { expOfNegative } from "./maths";

/** Products of a query and four keys times the scale, added to what is at `out`; each sum is of four lanes. */
function addScores(q: usize, size: usize, k0: usize, k1: usize, k2: usize, k3: usize, scale: f32, out: usize): void {
  let s0 = f32x4.splat(0);
  let s1 = s0;
  let s2 = s0;
  let s3 = s0;
  const end = q + (size & ~3) * 4;
  for (; q < end; q += 16) {
    const x = v128.load(q);
    s0 = fma(x, v128.load(k0), s0);
    s1 = fma(x, v128.load(k1), s1);
    s2 = fma(x, v128.load(k2), s2);
    s3 = fma(x, v128.load(k3), s3);
    k0 += 16;
    k1 += 16;
    k2 += 16;
    k3 += 16;
  }
  if (size & 3) {
    const x = loadPart(q, size & 3);
    s0 = fma(x, loadPart(k0, size & 3), s0);
    s1 = fma(x, loadPart(k1, size & 3), s1);
    s2 = fma(x, loadPart(k2, size & 3), s2);
    s3 = fma(x, loadPart(k3, size & 3), s3);
  }
  f32.store(out, f32.load(out) + sumLanes(s0) * scale);
  f32.store(out, f32.load(out, 4) + sumLanes(s1) * scale, 4);
  f32.store(out, f32.load(out, 8) + sumLanes(s2) * scale, 8);
  f32.store(out, f32.load(out, 12) + sumLanes(s3) * scale, 12);
}

/** Whether a mask hides four columns. */
// @ts-ignore: decorator
@inline
function hidesFour(mask: usize): bool {
  return i32x4.all_true(f32x4.le(v128.load(mask), f32x4.splat(HIDDEN)));
}

/**
 * Scores of the keys that a query sees, one behind the other, and where each key's value is: column m of `before`, or behind
 * them of the new ones. Returns how many there are.
 */
function scoresOfSeen(
  q: usize,
  past: usize,
  pastValues: usize,
  fresh: usize,
  freshValues: usize,
  mask: usize,
  before: usize,
  total: usize,
  size: usize,
  scale: f32,
  scores: usize,
  places: usize,
): usize {
  const stride = size * 4;
  let k0: usize = 0;
  let k1: usize = 0;
  let k2: usize = 0;
  let k3: usize = 0;
  let count: usize = 0;
  for (let m: usize = 0; m < total; m++) {
    if ((m & 3) == 0 && m + 4 <= total && hidesFour(mask + m * 4)) {
      m += 3;
      continue;
    }
    const added = f32.load(mask + m * 4);
    if (added <= HIDDEN) continue;
    k0 = k1;
    k1 = k2;
    k2 = k3;
    const isPast = m < before;
    const offset = (isPast ? m : m - before) * stride;
    k3 = (isPast ? past : fresh) + offset;
    f32.store(scores + count * 4, added);
    store<usize>(places + count * 4, (isPast ? pastValues : freshValues) + offset);
    count++;
    if ((count & 3) == 0) addScores(q, size, k0, k1, k2, k3, scale, scores + (count - 4) * 4);
  }
  const left = count & 3;
  if (left) {
    // The last key once more, in the places that are free.
    for (let i = left; i < 4; i++) {
      k0 = k1;
      k1 = k2;
      k2 = k3;
      f32.store(scores + (count - left + i) * 4, 0);
    }
    addScores(q, size, k0, k1, k2, k3, scale, scores + (count - left) * 4);
  }
  return count;
}

/** e^(score - largest) in the place of scores, zeros behind them up to four. Returns their sum. */
function exponentials(at: usize, count: usize): f32 {
  const end = at + ((count + 3) & ~3) * 4;
  for (let i = count; i & 3; i++) f32.store(at + i * 4, -Infinity);
  let top = v128.load(at);
  for (let j = at + 16; j < end; j += 16) top = f32x4.pmax(top, v128.load(j));
  top = f32x4.pmax(top, v128.shuffle<f32>(top, top, 2, 3, 0, 1));
  top = f32x4.pmax(top, v128.shuffle<f32>(top, top, 1, 0, 3, 2));
  for (let j = at; j < end; j += 16) v128.store(j, expOfNegative(f32x4.sub(v128.load(j), top)));
  for (let i = count; i & 3; i++) f32.store(at + i * 4, 0);
  let sums = f32x4.splat(0);
  for (let j = at; j < end; j += 16) sums = f32x4.add(sums, v128.load(j));
  return sumLanes(sums);
}

/** 32 numbers of the values' sum by weights. */
function mixMany(weights: usize, places: usize, end: usize, skipped: usize, factor: v128, out: usize): void {
  let s0 = f32x4.splat(0);
  let s1 = s0;
  let s2 = s0;
  let s3 = s0;
  let s4 = s0;
  let s5 = s0;
  let s6 = s0;
  let s7 = s0;
  for (; weights < end; weights += 4) {
    const weight = v128.load_splat<f32>(weights);
    const value = load<usize>(places) + skipped;
    s0 = fma(weight, v128.load(value), s0);
    s1 = fma(weight, v128.load(value, 16), s1);
    s2 = fma(weight, v128.load(value, 32), s2);
    s3 = fma(weight, v128.load(value, 48), s3);
    s4 = fma(weight, v128.load(value, 64), s4);
    s5 = fma(weight, v128.load(value, 80), s5);
    s6 = fma(weight, v128.load(value, 96), s6);
    s7 = fma(weight, v128.load(value, 112), s7);
    places += 4;
  }
  v128.store(out, f32x4.mul(s0, factor));
  v128.store(out, f32x4.mul(s1, factor), 16);
  v128.store(out, f32x4.mul(s2, factor), 32);
  v128.store(out, f32x4.mul(s3, factor), 48);
  v128.store(out, f32x4.mul(s4, factor), 64);
  v128.store(out, f32x4.mul(s5, factor), 80);
  v128.store(out, f32x4.mul(s6, factor), 96);
  v128.store(out, f32x4.mul(s7, factor), 112);
}

/** What `attend` does for three rows whose scores are there: their softmax, and the sums of the values. */
function mixOfThree(work: usize, step: usize, places: usize, size: usize, out: usize): void {
  const stride = size * 4;
  const same = min<usize>(min<usize>(seenBy(0), seenBy(1)), seenBy(2));
  const whole = stride & ~63;
  // Of one after the other: a row's sums before its factor, then what only it sees.
  for (let i: usize = 0; i < 3; i++) {
    if (seenBy(i)) f32.store(work + i * step + step - 4, 1 / exponentials(work + i * step, seenBy(i)));
  }
  for (let j: usize = 0; j < whole; j += 64) mixThree(work, step, places, same, j, out + j, stride);
  for (let i: usize = 0; i < 3; i++) {
    const weights = work + i * step;
    const to = out + i * stride;
    const end = weights + seenBy(i) * 4;
    if (seenBy(i) == 0) {
      memory.fill(to, 0, stride);
      continue;
    }
    const factor = v128.load_splat<f32>(weights + step - 4);
    let j: usize = 0;
    for (; j < whole; j += 16) mixRest(weights + same * 4, end, places + same * 4, j, factor, to + j);
    for (; j < stride; j += 16) mixFew(weights, places, end, j, factor, to + j, min<usize>(4, (stride - j) / 4));
  }
}

/**
 * out = softmax(scale q k^T + mask) v for rows [B, H, N] of `size` numbers, counted from `first`: `heads` x `queries` a text,
 * `group` heads to one of keys. A row's keys are `before` of the past and `after` new ones; those of which the mask's row,
 * `outer` bytes a text and `inner` a query further, has -1e8 and less are not looked at. Zeros where there is no key. `work`
 * has two numbers for each column; three rows with the same keys are made at once where it has five.
 */
export function attend(
  q: usize,
  past: usize,
  pastValues: usize,
  fresh: usize,
  freshValues: usize,
  mask: usize,
  out: usize,
  work: usize,
  rows: usize,
  size: usize,
  first: usize,
  heads: usize,
  group: usize,
  queries: usize,
  before: usize,
  after: usize,
  outer: usize,
  inner: usize,
  scale: f32,
): void {
  const stride = size * 4;
  const total = before + after;
  const places = work + ((total + 3) & ~3) * 4;
  // Three rows of scores with a number behind each, and two lists.
  const step = (((total + 3) & ~3) + 4) * 4;
  const areThree = step * 5 <= workBytes();
  const end = first + rows;
  for (let row = first; row < end; row++) {
    const shared = row / queries / group;
    const old = shared * before * stride;
    const next = shared * after * stride;
    if (areThree && row + 3 <= end && (row + 2) / queries / group == shared) {
      const count = seenByThree(
        past + old,
        pastValues + old,
        fresh + next,
        freshValues + next,
        mask + row / (heads * queries) * outer + row % queries * inner,
        mask + (row + 1) / (heads * queries) * outer + (row + 1) % queries * inner,
        mask + (row + 2) / (heads * queries) * outer + (row + 2) % queries * inner,
        before,
        total,
        stride,
        work,
        step,
        work + 3 * step,
        work + 4 * step,
      );
      if (count >= 0) {
        addScoresOfThree(q, size, work + 3 * step, count, scale, work, step);
        mixOfThree(work, step, work + 4 * step, size, out);
        row += 2;
        q += 3 * stride;
        out += 3 * stride;
        continue;
      }
    }
    const count = scoresOfSeen(
      q,
      past + old,
      pastValues + old,
      fresh + next,
      freshValues + next,
      mask + row / (heads * queries) * outer + row % queries * inner,
      before,
      total,
      size,
      scale,
      work,
      places,
    );
    if (count == 0) memory.fill(out, 0, stride);
    else {
      const factor = f32x4.splat(1 / exponentials(work, count));
      const last = work + count * 4;
      let j: usize = 0;
      for (; j + 128 <= stride; j += 128) mixMany(work, places, last, j, factor, out + j);
      for (; j < stride; j += 16) mixFew(work, places, last, j, factor, out + j, min<usize>(4, (stride - j) / 4));
    }
    q += stride;
    out += stride;
  }
}
