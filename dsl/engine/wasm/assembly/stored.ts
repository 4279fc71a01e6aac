// Products with matrices as files have them, a few rows at a time, and their numbers as float32.

import { addBias } from "./bias";
import { multiplyBlocks, preparedBytes } from "./block_rows";
import { prepareRow } from "./blocks";
import { FACTOR, Form, KEPT, LARGE, PIECE, read } from "./forms";
import { BLOCK, fma, sumLanes } from "./layout";
import { workBytes } from "./matmul";

/** Four halves as float32 where they are finite: one product adds 112 to exponents, exactly, and to numbers that have none. */
// @ts-ignore: decorator
@inline
function finite(words: v128): v128 {
  return f32x4.mul(v128.and(i32x4.shl(words, 13), v128.load(BLOCK, KEPT)), v128.load(BLOCK, FACTOR));
}

/**
 * What `multiplyFour` does, of four rows of halves in the order that they are read in, unless some of them are 2 or more, and may
 * be infinite: then nothing is stored.
 */
// @ts-ignore: decorator
@inline
function multiplyFourHalves(
  x: usize,
  matrix: usize,
  far: usize,
  out: usize,
  step: usize,
  stride: usize,
  depth: usize,
  isTwo: bool,
): bool {
  const size = depth * 4;
  const end = x + size;
  let at = matrix;
  let bits = i32x4.splat(0);
  let s0 = f32x4.splat(0);
  let s1 = s0;
  let s2 = s0;
  let s3 = s0;
  let t0 = s0;
  let t1 = s0;
  let t2 = s0;
  let t3 = s0;
  for (let from = x; from < end; from += 16) {
    const a = v128.load(from);
    const b = isTwo ? v128.load(from + size) : a;
    let words = v128.load16x4_s(at);
    bits = v128.or(bits, words);
    let m = finite(words);
    s0 = fma(a, m, s0);
    if (isTwo) t0 = fma(b, m, t0);
    words = v128.load16x4_s(at + far);
    bits = v128.or(bits, words);
    m = finite(words);
    s1 = fma(a, m, s1);
    if (isTwo) t1 = fma(b, m, t1);
    words = v128.load16x4_s(at + 2 * far);
    bits = v128.or(bits, words);
    m = finite(words);
    s2 = fma(a, m, s2);
    if (isTwo) t2 = fma(b, m, t2);
    words = v128.load16x4_s(at + 3 * far);
    bits = v128.or(bits, words);
    m = finite(words);
    s3 = fma(a, m, s3);
    if (isTwo) t3 = fma(b, m, t3);
    at += 8;
  }
  if (v128.any_true(v128.and(bits, v128.load(BLOCK, LARGE)))) return false;
  storeLanes(s0, s1, s2, s3, out, step);
  if (isTwo) storeLanes(t0, t1, t2, t3, out + stride, step);
  return true;
}

/** Products of a row of x, or two that lie behind each other, and four rows of floats that do. */
// @ts-ignore: decorator
@inline
function multiplyFour(x: usize, matrix: usize, out: usize, step: usize, stride: usize, depth: usize, isTwo: bool): void {
  const size = depth * 4;
  const end = x + (depth & ~3) * 4;
  let at = matrix;
  let s0 = f32x4.splat(0);
  let s1 = s0;
  let s2 = s0;
  let s3 = s0;
  let t0 = s0;
  let t1 = s0;
  let t2 = s0;
  let t3 = s0;
  for (let from = x; from < end; from += 16) {
    const a = v128.load(from);
    const m0 = v128.load(at);
    const m1 = v128.load(at + size);
    const m2 = v128.load(at + 2 * size);
    const m3 = v128.load(at + 3 * size);
    s0 = fma(a, m0, s0);
    s1 = fma(a, m1, s1);
    s2 = fma(a, m2, s2);
    s3 = fma(a, m3, s3);
    if (isTwo) {
      const b = v128.load(from + size);
      t0 = fma(b, m0, t0);
      t1 = fma(b, m1, t1);
      t2 = fma(b, m2, t2);
      t3 = fma(b, m3, t3);
    }
    at += 16;
  }
  storeFour(s0, s1, s2, s3, x, matrix, out, step, depth);
  if (isTwo) storeFour(t0, t1, t2, t3, x + size, matrix, out + stride, step, depth);
}

/** Four sums. */
// @ts-ignore: decorator
@inline
function storeLanes(s0: v128, s1: v128, s2: v128, s3: v128, out: usize, step: usize): void {
  f32.store(out, sumLanes(s0));
  f32.store(out + step, sumLanes(s1));
  f32.store(out + 2 * step, sumLanes(s2));
  f32.store(out + 3 * step, sumLanes(s3));
}

/** Four sums, with the products of the last numbers, of which there are no four. */
function storeFour(s0: v128, s1: v128, s2: v128, s3: v128, x: usize, matrix: usize, out: usize, step: usize, depth: usize): void {
  const size = depth * 4;
  f32.store(out, sumLanes(s0) + sumRest(x, matrix, depth));
  f32.store(out + step, sumLanes(s1) + sumRest(x, matrix + size, depth));
  f32.store(out + 2 * step, sumLanes(s2) + sumRest(x, matrix + 2 * size, depth));
  f32.store(out + 3 * step, sumLanes(s3) + sumRest(x, matrix + 3 * size, depth));
}

function sumRest(x: usize, row: usize, depth: usize): f32 {
  let sum: f32 = 0;
  for (let p = depth & ~3; p < depth; p++) sum += f32.load(x + p * 4) * f32.load(row + p * 4);
  return sum;
}

function multiplyOne(x: usize, row: usize, depth: usize): f32 {
  let s = f32x4.splat(0);
  for (let p: usize = 0; p + 4 <= depth; p += 4) s = fma(v128.load(x + p * 4), v128.load(row + p * 4), s);
  return sumLanes(s) + sumRest(x, row, depth);
}

/** One or two rows of x by four of a matrix of halves: their numbers need no place in memory. With more it is worth making them once. */
function multiplyDirectly(
  x: usize,
  matrix: usize,
  far: usize,
  out: usize,
  rows: usize,
  step: usize,
  stride: usize,
  depth: usize,
): bool {
  if (depth & 3) return false;
  if (rows == 1) return multiplyFourHalves(x, matrix, far, out, step, stride, depth, false);
  if (rows == 2) return multiplyFourHalves(x, matrix, far, out, step, stride, depth, true);
  return false;
}

/** Products of some rows of x and the matrix's, of halves whose numbers are made a piece of a row at a time. */
function multiplyHalves(
  x: usize,
  matrix: usize,
  out: usize,
  rows: usize,
  columns: usize,
  depth: usize,
  stride: usize,
  size: usize,
  work: usize,
): void {
  const quarter = columns >> 2;
  const step = quarter * 4;
  const far = quarter * size;
  const next = depth * 4;
  const end = work + next;
  for (let j: usize = 0; j < quarter; j++) {
    let m0 = matrix + j * size;
    if (multiplyDirectly(x, m0, far, out + j * 4, rows, step, stride, depth)) continue;
    let m1 = m0 + far;
    let m2 = m1 + far;
    let m3 = m2 + far;
    for (let at = work; at < end; at += PIECE * 4) {
      const to = min<usize>(at + PIECE * 4, end);
      m0 = read(Form.F16, m0, to, at);
      m1 = read(Form.F16, m1, to + next, at + next);
      m2 = read(Form.F16, m2, to + 2 * next, at + 2 * next);
      m3 = read(Form.F16, m3, to + 3 * next, at + 3 * next);
    }
    let from = x;
    let to = out + j * 4;
    let i: usize = 0;
    for (; i + 2 <= rows; i += 2) {
      multiplyFour(from, work, to, step, stride, depth, true);
      from += 2 * next;
      to += 2 * stride;
    }
    if (i < rows) multiplyFour(from, work, to, step, stride, depth, false);
  }
  for (let j = quarter * 4; j < columns; j++) {
    read(Form.F16, matrix + j * size, end, work);
    for (let i: usize = 0; i < rows; i++) f32.store(out + i * stride + j * 4, multiplyOne(x + i * next, work, depth));
  }
}

/** Fours of rows of a matrix in blocks that are read once more for each two rows of x: a second-level cache has them. */
const TILE: usize = 16;

/** Products of prepared rows, `next` bytes each, and fours of rows of a matrix in blocks, which lie behind each other and `far` apart. */
function multiplyRows(
  form: Form,
  prepared: usize,
  next: usize,
  rows: usize,
  matrix: usize,
  size: usize,
  fours: usize,
  far: usize,
  out: usize,
  step: usize,
  stride: usize,
): void {
  for (let first: usize = 0; first < fours; first += TILE) {
    const end = min(first + TILE, fours);
    for (let i: usize = 0; i < rows; i += 2) {
      const isTwo = i + 2 <= rows;
      for (let j = first; j < end; j++) {
        multiplyBlocks(form, isTwo, prepared + i * next, next, matrix + j * size, far, out + i * stride + j * 4, step, stride);
      }
    }
  }
}

/**
 * out[i, j] = sum over p of x[i, p] matrix[j, p] (+ bias[j]) for few rows of x and a matrix in halves of IEEE or blocks, whose rows
 * have `size` bytes: four rows from four quarters of the matrix, since a processor fetches ahead within pages. Every sum has the
 * same order, whatever the number of rows. Of blocks, as many rows of x as have place in `work` are prepared at a time.
 */
export function multiplyStored(
  form: i32,
  x: usize,
  matrix: usize,
  out: usize,
  rows: usize,
  columns: usize,
  depth: usize,
  bias: usize,
  stride: usize,
  size: usize,
  work: usize,
): void {
  if (form == Form.F16) multiplyHalves(x, matrix, out, rows, columns, depth, stride, size, work);
  else {
    const next = preparedBytes(form, depth);
    const most = max<usize>(2, (workBytes() / next) & ~1);
    const quarter = columns >> 2;
    const far = quarter * size;
    for (let first: usize = 0; first < rows; first += most) {
      const count = min(most, rows - first);
      for (let i: usize = 0; i < count; i++) {
        const row = x + (first + i) * depth * 4;
        prepareRow(form, row, row + depth * 4, work + i * next);
      }
      const to = out + first * stride;
      multiplyRows(form, work, next, count, matrix, size, quarter, far, to, quarter * 4, stride);
      // Rows that are left are multiplied as four of the same.
      const left = quarter * 4;
      multiplyRows(form, work, next, count, matrix + left * size, size, columns - left, 0, to + left * 4, 0, stride);
    }
  }
  if (bias) addBias(out, stride, rows, columns, bias);
}

/** The numbers of a matrix of any form, as float32. */
export function widen(form: i32, x: usize, out: usize, size: usize): void {
  read(form, x, out + size * 4, out);
}

/** out[i] = x[indices[i]] as float32, where every element is `size` numbers in `bytes`. */
export function gatherStored(form: i32, x: usize, indices: usize, out: usize, count: usize, size: usize, bytes: usize): void {
  for (let i: usize = 0; i < count; i++) {
    read(form, x + <usize>i32.load(indices + i * 4) * bytes, out + size * 4, out);
    out += size * 4;
  }
}
