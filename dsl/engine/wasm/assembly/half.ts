// Matrices of bfloat16, whose 16 bits are the upper half of a float32: two lie in each word, the first one below.

import { addBias } from "./bias";
import { fma, sumLanes } from "./layout";

/** The first, third, ... of eight numbers. */
// @ts-ignore: decorator
@inline
function even(pairs: v128): v128 {
  return i32x4.shl(pairs, 16);
}

/** The second, fourth, ... */
// @ts-ignore: decorator
@inline
function odd(pairs: v128): v128 {
  return v128.and(pairs, i32x4.splat(0xffff0000));
}

/** One number. */
// @ts-ignore: decorator
@inline
function one(at: usize): f32 {
  return reinterpret<f32>(<u32>load<u16>(at) << 16);
}

/** The sum of products from the `whole`-th on. */
function sumRest(x: usize, row: usize, whole: usize, depth: usize): f32 {
  let sum: f32 = 0;
  for (let p = whole; p < depth; p++) sum += f32.load(x + p * 4) * one(row + p * 2);
  return sum;
}

/** Four products of which the lanes of all but the last numbers are there. */
// @ts-ignore: decorator
@inline
function storeFour(
  s0: v128,
  s1: v128,
  s2: v128,
  s3: v128,
  x: usize,
  row: usize,
  far: usize,
  out: usize,
  step: usize,
  whole: usize,
  depth: usize,
): void {
  f32.store(out, sumLanes(s0) + sumRest(x, row, whole, depth));
  f32.store(out + step, sumLanes(s1) + sumRest(x, row + far, whole, depth));
  f32.store(out + 2 * step, sumLanes(s2) + sumRest(x, row + 2 * far, whole, depth));
  f32.store(out + 3 * step, sumLanes(s3) + sumRest(x, row + 3 * far, whole, depth));
}

/** One product of a row of x and a row of the matrix. */
function multiplyOne(x: usize, row: usize, whole: usize, depth: usize): f32 {
  let s = f32x4.splat(0);
  const end = x + whole * 4;
  let at = row;
  for (let from = x; from < end; from += 32) {
    const first = v128.load(from);
    const second = v128.load(from, 16);
    const pairs = v128.load(at);
    s = fma(v128.shuffle<f32>(first, second, 0, 2, 4, 6), even(pairs), s);
    s = fma(v128.shuffle<f32>(first, second, 1, 3, 5, 7), odd(pairs), s);
    at += 16;
  }
  return sumLanes(s) + sumRest(x, row, whole, depth);
}

/** Products of a row of x and four rows of the matrix, `far` bytes apart; results are as far apart as `step` says. */
function multiplyFour(x: usize, row: usize, far: usize, out: usize, step: usize, whole: usize, depth: usize): void {
  let m0 = row;
  let m1 = m0 + far;
  let m2 = m1 + far;
  let m3 = m2 + far;
  let s0 = f32x4.splat(0);
  let s1 = s0;
  let s2 = s0;
  let s3 = s0;
  const end = x + whole * 4;
  for (let from = x; from < end; from += 32) {
    const first = v128.load(from);
    const second = v128.load(from, 16);
    const a = v128.shuffle<f32>(first, second, 0, 2, 4, 6);
    const b = v128.shuffle<f32>(first, second, 1, 3, 5, 7);
    const w0 = v128.load(m0);
    const w1 = v128.load(m1);
    const w2 = v128.load(m2);
    const w3 = v128.load(m3);
    s0 = fma(a, even(w0), s0);
    s1 = fma(a, even(w1), s1);
    s2 = fma(a, even(w2), s2);
    s3 = fma(a, even(w3), s3);
    s0 = fma(b, odd(w0), s0);
    s1 = fma(b, odd(w1), s1);
    s2 = fma(b, odd(w2), s2);
    s3 = fma(b, odd(w3), s3);
    m0 += 16;
    m1 += 16;
    m2 += 16;
    m3 += 16;
  }
  storeFour(s0, s1, s2, s3, x, row, far, out, step, whole, depth);
}

/** The same of eight rows of the matrix. */
function multiplyEight(x: usize, row: usize, far: usize, out: usize, step: usize, whole: usize, depth: usize): void {
  let m0 = row;
  let m1 = m0 + far;
  let m2 = m1 + far;
  let m3 = m2 + far;
  let m4 = m3 + far;
  let m5 = m4 + far;
  let m6 = m5 + far;
  let m7 = m6 + far;
  let s0 = f32x4.splat(0);
  let s1 = s0;
  let s2 = s0;
  let s3 = s0;
  let s4 = s0;
  let s5 = s0;
  let s6 = s0;
  let s7 = s0;
  const end = x + whole * 4;
  for (let from = x; from < end; from += 32) {
    const first = v128.load(from);
    const second = v128.load(from, 16);
    const a = v128.shuffle<f32>(first, second, 0, 2, 4, 6);
    const b = v128.shuffle<f32>(first, second, 1, 3, 5, 7);
    let w = v128.load(m0);
    s0 = fma(b, odd(w), fma(a, even(w), s0));
    w = v128.load(m1);
    s1 = fma(b, odd(w), fma(a, even(w), s1));
    w = v128.load(m2);
    s2 = fma(b, odd(w), fma(a, even(w), s2));
    w = v128.load(m3);
    s3 = fma(b, odd(w), fma(a, even(w), s3));
    w = v128.load(m4);
    s4 = fma(b, odd(w), fma(a, even(w), s4));
    w = v128.load(m5);
    s5 = fma(b, odd(w), fma(a, even(w), s5));
    w = v128.load(m6);
    s6 = fma(b, odd(w), fma(a, even(w), s6));
    w = v128.load(m7);
    s7 = fma(b, odd(w), fma(a, even(w), s7));
    m0 += 16;
    m1 += 16;
    m2 += 16;
    m3 += 16;
    m4 += 16;
    m5 += 16;
    m6 += 16;
    m7 += 16;
  }
  storeFour(s0, s1, s2, s3, x, row, far, out, step, whole, depth);
  storeFour(s4, s5, s6, s7, x, row + 4 * far, far, out + 4 * step, step, whole, depth);
}

/** The same of two rows of x, that lie behind each other, with each number of the matrix made a float once. */
function multiplyFourByTwo(
  x: usize,
  row: usize,
  far: usize,
  out: usize,
  step: usize,
  stride: usize,
  whole: usize,
  depth: usize,
): void {
  let m0 = row;
  let m1 = m0 + far;
  let m2 = m1 + far;
  let m3 = m2 + far;
  let s0 = f32x4.splat(0);
  let s1 = s0;
  let s2 = s0;
  let s3 = s0;
  let t0 = s0;
  let t1 = s0;
  let t2 = s0;
  let t3 = s0;
  const next = depth * 4;
  const end = x + whole * 4;
  for (let from = x; from < end; from += 32) {
    let first = v128.load(from);
    let second = v128.load(from, 16);
    const a = v128.shuffle<f32>(first, second, 0, 2, 4, 6);
    const b = v128.shuffle<f32>(first, second, 1, 3, 5, 7);
    first = v128.load(from + next);
    second = v128.load(from + next, 16);
    const c = v128.shuffle<f32>(first, second, 0, 2, 4, 6);
    const d = v128.shuffle<f32>(first, second, 1, 3, 5, 7);
    let w = v128.load(m0);
    let half = even(w);
    s0 = fma(a, half, s0);
    t0 = fma(c, half, t0);
    half = odd(w);
    s0 = fma(b, half, s0);
    t0 = fma(d, half, t0);
    w = v128.load(m1);
    half = even(w);
    s1 = fma(a, half, s1);
    t1 = fma(c, half, t1);
    half = odd(w);
    s1 = fma(b, half, s1);
    t1 = fma(d, half, t1);
    w = v128.load(m2);
    half = even(w);
    s2 = fma(a, half, s2);
    t2 = fma(c, half, t2);
    half = odd(w);
    s2 = fma(b, half, s2);
    t2 = fma(d, half, t2);
    w = v128.load(m3);
    half = even(w);
    s3 = fma(a, half, s3);
    t3 = fma(c, half, t3);
    half = odd(w);
    s3 = fma(b, half, s3);
    t3 = fma(d, half, t3);
    m0 += 16;
    m1 += 16;
    m2 += 16;
    m3 += 16;
  }
  storeFour(s0, s1, s2, s3, x, row, far, out, step, whole, depth);
  storeFour(t0, t1, t2, t3, x + next, row, far, out + stride, step, whole, depth);
}

/**
 * out[i, j] = sum over p of x[i, p] matrix[j, p] (+ bias[j]) for few rows of x and a matrix in bfloat16. Four rows of the
 * matrix are read at a time, each from another quarter of it: a processor fetches ahead within pages, and of four pages at
 * once it fetches most of what memory gives.
 */
export function multiplyHalf(
  x: usize,
  matrix: usize,
  out: usize,
  rows: usize,
  columns: usize,
  depth: usize,
  bias: usize,
  stride: usize,
): void {
  const whole = depth & ~7;
  const size = depth * 2;
  if (rows == 1) {
    const eighth = columns >> 3;
    for (let j: usize = 0; j < eighth; j++) {
      multiplyEight(x, matrix + j * size, eighth * size, out + j * 4, eighth * 4, whole, depth);
    }
    for (let j = eighth * 8; j < columns; j++) {
      f32.store(out + j * 4, multiplyOne(x, matrix + j * size, whole, depth));
    }
    if (bias) addBias(out, stride, 1, columns, bias);
    return;
  }
  const quarter = columns >> 2;
  const far = quarter * size;
  const step = quarter * 4;
  for (let j: usize = 0; j < quarter; j++) {
    let from = x;
    let to = out + j * 4;
    let i: usize = 0;
    for (; i + 2 <= rows; i += 2) {
      multiplyFourByTwo(from, matrix + j * size, far, to, step, stride, whole, depth);
      from += depth * 8;
      to += stride * 2;
    }
    if (i < rows) multiplyFour(from, matrix + j * size, far, to, step, whole, depth);
  }
  for (let j = quarter * 4; j < columns; j++) {
    for (let i: usize = 0; i < rows; i++) {
      f32.store(out + i * stride + j * 4, multiplyOne(x + i * depth * 4, matrix + j * size, whole, depth));
    }
  }
  if (bias) addBias(out, stride, rows, columns, bias);
}
