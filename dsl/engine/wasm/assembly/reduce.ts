// Sums, maxima, softmax and normalisation.

import { fma, fnma, loadPart, storePart, sumLanes } from "./layout";
import { expOfNegative } from "./maths";

/** -infinity in the lanes from `count` (1 to 3) on, for maxima of vectors that end early. */
// @ts-ignore: decorator
@inline
function lowestBehind(x: v128, count: usize): v128 {
  return v128.bitselect(x, f32x4.splat(-Infinity), i32x4.lt_s(i32x4(0, 1, 2, 3), i32x4.splat(<i32>count)));
}

/** Sum of `size` floats, in four times four lanes. */
// @ts-ignore: decorator
@inline
function sum(x: usize, size: usize): f32 {
  let s0 = f32x4.splat(0);
  let s1 = s0;
  let s2 = s0;
  let s3 = s0;
  const end = x + (size & ~3) * 4;
  for (; x + 64 <= end; x += 64) {
    s0 = f32x4.add(s0, v128.load(x));
    s1 = f32x4.add(s1, v128.load(x, 16));
    s2 = f32x4.add(s2, v128.load(x, 32));
    s3 = f32x4.add(s3, v128.load(x, 48));
  }
  for (; x < end; x += 16) s0 = f32x4.add(s0, v128.load(x));
  if (size & 3) s1 = f32x4.add(s1, loadPart(x, size & 3));
  return sumLanes(f32x4.add(f32x4.add(s0, s1), f32x4.add(s2, s3)));
}

/** out[i] = sum of row i / divisor. */
export function sumRows(x: usize, out: usize, rows: usize, size: usize, divisor: f32): void {
  const stride = size * 4;
  for (let i: usize = 0; i < rows; i++) {
    f32.store(out, sum(x, size) / divisor);
    x += stride;
    out += 4;
  }
}

/** Largest of four lanes, in all lanes. */
// @ts-ignore: decorator
@inline
function maxLanes(x: v128): v128 {
  const pairs = f32x4.pmax(x, v128.shuffle<f32>(x, x, 2, 3, 0, 1));
  return f32x4.pmax(pairs, v128.shuffle<f32>(pairs, pairs, 1, 0, 3, 2));
}

/** out[i] = largest of row i; NaN wins. `pmax`, one instruction, may lose a NaN: these are looked for apart. */
export function maxRows(x: usize, out: usize, rows: usize, size: usize): void {
  const rest = size & 3;
  for (let i: usize = 0; i < rows; i++) {
    let top = f32x4.splat(-Infinity);
    let isNumber = i32x4.splat(-1);
    const end = x + (size & ~3) * 4;
    for (; x < end; x += 16) {
      const value = v128.load(x);
      top = f32x4.pmax(top, value);
      isNumber = v128.and(isNumber, f32x4.eq(value, value));
    }
    if (rest) {
      const value = lowestBehind(loadPart(x, rest), rest);
      top = f32x4.pmax(top, value);
      isNumber = v128.and(isNumber, f32x4.eq(value, value));
      x += rest * 4;
    }
    f32.store(out, i32x4.all_true(isNumber) ? f32x4.extract_lane(maxLanes(top), 0) : NaN);
    out += 4;
  }
}

/** Sum of a column of four floats over 8 rows, pairwise. */
// @ts-ignore: decorator
@inline
function sumOf8(x: usize, stride: usize): v128 {
  const x4 = x + 4 * stride;
  const s0 = f32x4.add(v128.load(x), v128.load(x + stride));
  const s1 = f32x4.add(v128.load(x + 2 * stride), v128.load(x + 3 * stride));
  const s2 = f32x4.add(v128.load(x4), v128.load(x4 + stride));
  const s3 = f32x4.add(v128.load(x4 + 2 * stride), v128.load(x4 + 3 * stride));
  return f32x4.add(f32x4.add(s0, s1), f32x4.add(s2, s3));
}

/**
 * out[g, j] = sum over i of x[g, i, j] / divisor for the first `columns` of each row, for x of `groups` x `rows` x `size` and
 * out of `groups` x `size`.
 */
export function sumColumns(
  x: usize,
  out: usize,
  groups: usize,
  rows: usize,
  size: usize,
  divisor: f32,
  columns: usize,
): void {
  const stride = size * 4;
  const whole = (columns & ~3) * 4;
  const end = columns * 4;
  const division = f32x4.splat(divisor);
  for (let g: usize = 0; g < groups; g++) {
    memory.fill(out, 0, end);
    let i: usize = 0;
    for (; i + 8 <= rows; i += 8) {
      let j: usize = 0;
      for (; j < whole; j += 16) v128.store(out + j, f32x4.add(v128.load(out + j), sumOf8(x + j, stride)));
      for (; j < end; j += 4) {
        const at = x + j;
        const at4 = at + 4 * stride;
        const s0 = f32.load(at) + f32.load(at + stride);
        const s1 = f32.load(at + 2 * stride) + f32.load(at + 3 * stride);
        const s2 = f32.load(at4) + f32.load(at4 + stride);
        const s3 = f32.load(at4 + 2 * stride) + f32.load(at4 + 3 * stride);
        f32.store(out + j, f32.load(out + j) + ((s0 + s1) + (s2 + s3)));
      }
      x += 8 * stride;
    }
    for (; i < rows; i++) {
      let j: usize = 0;
      for (; j < whole; j += 16) v128.store(out + j, f32x4.add(v128.load(out + j), v128.load(x + j)));
      for (; j < end; j += 4) f32.store(out + j, f32.load(out + j) + f32.load(x + j));
      x += stride;
    }
    if (divisor != 1) {
      let j: usize = 0;
      for (; j < whole; j += 16) v128.store(out + j, f32x4.div(v128.load(out + j), division));
      for (; j < end; j += 4) f32.store(out + j, f32.load(out + j) / divisor);
    }
    out += stride;
  }
}

/** Softmax of a row of 1 to 3 floats. Returns the largest and the sum, in the first two lanes. */
function softmaxOfFew(x: usize, out: usize, size: usize): v128 {
  const row = lowestBehind(loadPart(x, size), size);
  const top = maxLanes(row);
  const e = expOfNegative(f32x4.sub(row, top));
  const total = sumLanes(e);
  storePart(out, f32x4.mul(e, f32x4.splat(1 / total)), size);
  return f32x4.replace_lane(top, 1, total);
}

/**
 * Softmax of a row. What is left of it behind whole vectors is done with its last four floats, of which the sum takes only
 * the new ones. Returns the largest and the sum of the exponentials, in the first two lanes.
 */
// @ts-ignore: decorator
@inline
function softmaxOfRow(x: usize, out: usize, size: usize): v128 {
  if (size < 4) return softmaxOfFew(x, out, size);
  const whole = (size & ~3) * 4;
  const last = size * 4 - 16;
  const isNew = i32x4.ge_s(i32x4(0, 1, 2, 3), i32x4.splat(4 - <i32>(size & 3)));
  let top = v128.load(x + last);
  let j: usize = 0;
  // Four at a time: one would wait for the other.
  let top1 = top;
  let top2 = top;
  let top3 = top;
  for (; j + 64 <= whole; j += 64) {
    top = f32x4.pmax(top, v128.load(x + j));
    top1 = f32x4.pmax(top1, v128.load(x + j, 16));
    top2 = f32x4.pmax(top2, v128.load(x + j, 32));
    top3 = f32x4.pmax(top3, v128.load(x + j, 48));
  }
  for (; j < whole; j += 16) top = f32x4.pmax(top, v128.load(x + j));
  top = maxLanes(f32x4.pmax(f32x4.pmax(top, top1), f32x4.pmax(top2, top3)));

  // Before anything is written: out may be x.
  const end = expOfNegative(f32x4.sub(v128.load(x + last), top));
  let sums = f32x4.splat(0);
  for (j = 0; j < whole; j += 16) {
    const e = expOfNegative(f32x4.sub(v128.load(x + j), top));
    v128.store(out + j, e);
    sums = f32x4.add(sums, e);
  }
  const total = sumLanes(f32x4.add(sums, v128.and(end, isNew)));
  const factor = f32x4.splat(1 / total);
  for (j = 0; j < whole; j += 16) v128.store(out + j, f32x4.mul(v128.load(out + j), factor));
  v128.store(out + last, f32x4.mul(end, factor));
  return f32x4.replace_lane(top, 1, total);
}

/** out = e^(x - max) / sum of these, row by row. */
export function softmax(x: usize, out: usize, rows: usize, size: usize): void {
  for (let i: usize = 0; i < rows; i++) {
    softmaxOfRow(x, out, size);
    x += size * 4;
    out += size * 4;
  }
}

/** The same; the maxima and the sums are written too. */
export function softmaxParts(x: usize, out: usize, tops: usize, totals: usize, rows: usize, size: usize): void {
  for (let i: usize = 0; i < rows; i++) {
    const parts = softmaxOfRow(x, out, size);
    f32.store(tops, f32x4.extract_lane(parts, 0));
    f32.store(totals, f32x4.extract_lane(parts, 1));
    x += size * 4;
    out += size * 4;
    tops += 4;
    totals += 4;
  }
}

/**
 * The softmax of x + mask, row by row: row r, counted from `first`, has the row of the mask that lies
 * r / period * outer + r % inner * step bytes behind its first.
 */
export function softmaxMasked(
  x: usize,
  mask: usize,
  out: usize,
  rows: usize,
  size: usize,
  first: usize,
  period: usize,
  outer: usize,
  inner: usize,
  step: usize,
): void {
  const whole = (size & ~3) * 4;
  const rest = size & 3;
  for (let row = first; row < first + rows; row++) {
    const from = mask + (row / period) * outer + (row % inner) * step;
    let j: usize = 0;
    for (; j < whole; j += 16) v128.store(out + j, f32x4.add(v128.load(x + j), v128.load(from + j)));
    if (rest) storePart(out + j, f32x4.add(loadPart(x + j, rest), loadPart(from + j, rest)), rest);
    softmaxOfRow(out, out, size);
    x += size * 4;
    out += size * 4;
  }
}

/** dx = y (dy - sum of y dy), row by row: the gradient of softmax from its output. */
export function softmaxGradient(dy: usize, y: usize, dx: usize, rows: usize, size: usize): void {
  const whole = (size & ~3) * 4;
  const rest = size & 3;
  for (let i: usize = 0; i < rows; i++) {
    let along = f32x4.splat(0);
    let more = along;
    let j: usize = 0;
    for (; j + 32 <= whole; j += 32) {
      along = fma(v128.load(dy + j), v128.load(y + j), along);
      more = fma(v128.load(dy + j, 16), v128.load(y + j, 16), more);
    }
    if (j < whole) {
      along = fma(v128.load(dy + j), v128.load(y + j), along);
      j += 16;
    }
    if (rest) more = fma(loadPart(dy + j, rest), loadPart(y + j, rest), more);
    along = f32x4.splat(sumLanes(f32x4.add(along, more)));
    for (j = 0; j < whole; j += 16) {
      v128.store(dx + j, f32x4.mul(v128.load(y + j), f32x4.sub(v128.load(dy + j), along)));
    }
    if (rest) storePart(dx + j, f32x4.mul(loadPart(y + j, rest), f32x4.sub(loadPart(dy + j, rest), along)), rest);
    dy += size * 4;
    y += size * 4;
    dx += size * 4;
  }
}

/**
 * out = (x - mean) scale, scale = 1 / sqrt(variance + epsilon), row by row; scale is written too. Without `centred` the
 * mean counts as 0.
 */
export function standardise(
  x: usize,
  out: usize,
  scale: usize,
  rows: usize,
  size: usize,
  epsilon: f32,
  centred: bool,
): void {
  const whole = (size & ~3) * 4;
  const rest = size & 3;
  for (let i: usize = 0; i < rows; i++) {
    const mean = centred ? f32x4.splat(sum(x, size) / <f32>size) : f32x4.splat(0);
    let squares = f32x4.splat(0);
    let more = squares;
    let j: usize = 0;
    for (; j + 32 <= whole; j += 32) {
      const d = f32x4.sub(v128.load(x + j), mean);
      const d1 = f32x4.sub(v128.load(x + j, 16), mean);
      squares = fma(d, d, squares);
      more = fma(d1, d1, more);
    }
    if (j < whole) {
      const d = f32x4.sub(v128.load(x + j), mean);
      squares = fma(d, d, squares);
      j += 16;
    }
    let variance = sumLanes(f32x4.add(squares, more));
    for (; j < size * 4; j += 4) {
      const d = f32.load(x + j) - f32x4.extract_lane(mean, 0);
      variance += d * d;
    }
    const factor: f32 = 1 / sqrt<f32>(variance / <f32>size + epsilon);
    f32.store(scale, factor);
    const factors = f32x4.splat(factor);
    for (j = 0; j < whole; j += 16) v128.store(out + j, f32x4.mul(f32x4.sub(v128.load(x + j), mean), factors));
    if (rest) storePart(out + j, f32x4.mul(f32x4.sub(loadPart(x + j, rest), mean), factors), rest);
    x += size * 4;
    out += size * 4;
    scale += 4;
  }
}

/** dx = (dy - mean(dy) - y mean(dy y)) scale from the output y, row by row; without `centred` no mean(dy). */
export function standardiseGradient(
  dy: usize,
  y: usize,
  scale: usize,
  dx: usize,
  rows: usize,
  size: usize,
  centred: bool,
): void {
  const whole = (size & ~3) * 4;
  const rest = size & 3;
  for (let i: usize = 0; i < rows; i++) {
    let total = f32x4.splat(0);
    let along = f32x4.splat(0);
    let j: usize = 0;
    for (; j < whole; j += 16) {
      const d = v128.load(dy + j);
      total = f32x4.add(total, d);
      along = fma(d, v128.load(y + j), along);
    }
    if (rest) {
      const d = loadPart(dy + j, rest);
      total = f32x4.add(total, d);
      along = fma(d, loadPart(y + j, rest), along);
    }
    const mean = centred ? f32x4.splat(sumLanes(total) / <f32>size) : f32x4.splat(0);
    along = f32x4.splat(sumLanes(along) / <f32>size);
    const factors = v128.load_splat<f32>(scale);
    for (j = 0; j < whole; j += 16) {
      const d = f32x4.sub(v128.load(dy + j), mean);
      v128.store(dx + j, f32x4.mul(fnma(v128.load(y + j), along, d), factors));
    }
    if (rest) {
      const d = f32x4.sub(loadPart(dy + j, rest), mean);
      storePart(dx + j, f32x4.mul(fnma(loadPart(y + j, rest), along, d), factors), rest);
    }
    dy += size * 4;
    y += size * 4;
    dx += size * 4;
    scale += 4;
  }
}
