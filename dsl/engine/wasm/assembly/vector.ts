// Products of a matrix and a vector: every element of the matrix is read once, so nothing is packed.

import { fma, loadPart, storePart, sumLanes } from "./layout";

/**
 * out[i] = sum over j of matrix[i, j] vector[j]. Four rows are read at a time, each from another quarter of the matrix: a
 * processor fetches ahead within pages, and of four pages at once it fetches most of what memory gives.
 */
export function multiplyByVector(matrix: usize, vector: usize, out: usize, rows: usize, columns: usize): void {
  const stride = columns * 4;
  const whole = columns & ~3;
  const rest = columns & 3;
  const vectorEnd = vector + whole * 4;
  const quarter = rows >> 2;
  for (let i: usize = 0; i < quarter; i++) {
    let m0 = matrix + i * stride;
    let m1 = m0 + quarter * stride;
    let m2 = m1 + quarter * stride;
    let m3 = m2 + quarter * stride;
    let s0 = f32x4.splat(0);
    let s1 = s0;
    let s2 = s0;
    let s3 = s0;
    let at = vector;
    for (; at < vectorEnd; at += 16) {
      const x = v128.load(at);
      s0 = fma(x, v128.load(m0), s0);
      s1 = fma(x, v128.load(m1), s1);
      s2 = fma(x, v128.load(m2), s2);
      s3 = fma(x, v128.load(m3), s3);
      m0 += 16;
      m1 += 16;
      m2 += 16;
      m3 += 16;
    }
    if (rest) {
      const x = loadPart(at, rest);
      s0 = fma(x, loadPart(m0, rest), s0);
      s1 = fma(x, loadPart(m1, rest), s1);
      s2 = fma(x, loadPart(m2, rest), s2);
      s3 = fma(x, loadPart(m3, rest), s3);
    }
    f32.store(out + i * 4, sumLanes(s0));
    f32.store(out + (i + quarter) * 4, sumLanes(s1));
    f32.store(out + (i + quarter * 2) * 4, sumLanes(s2));
    f32.store(out + (i + quarter * 3) * 4, sumLanes(s3));
  }
  for (let i = quarter * 4; i < rows; i++) {
    let m0 = matrix + i * stride;
    let s0 = f32x4.splat(0);
    let at = vector;
    for (; at < vectorEnd; at += 16) {
      s0 = fma(v128.load(at), v128.load(m0), s0);
      m0 += 16;
    }
    if (rest) s0 = fma(loadPart(at, rest), loadPart(m0, rest), s0);
    f32.store(out + i * 4, sumLanes(s0));
  }
}

/** out[j] = sum over i of vector[i] matrix[i, j], whose rows are `stride` bytes apart. */
export function multiplyVectorBy(
  vector: usize,
  matrix: usize,
  out: usize,
  rows: usize,
  columns: usize,
  stride: usize,
): void {
  const whole = columns & ~3;
  const rest = columns & 3;
  memory.fill(out, 0, columns * 4);
  let i: usize = 0;
  for (; i + 4 <= rows; i += 4) {
    let m0 = matrix + i * stride;
    let m1 = m0 + stride;
    let m2 = m1 + stride;
    let m3 = m2 + stride;
    const x0 = v128.load_splat<f32>(vector + i * 4);
    const x1 = v128.load_splat<f32>(vector + i * 4, 4);
    const x2 = v128.load_splat<f32>(vector + i * 4, 8);
    const x3 = v128.load_splat<f32>(vector + i * 4, 12);
    let at = out;
    const end = out + whole * 4;
    for (; at < end; at += 16) {
      let sum = fma(x0, v128.load(m0), v128.load(at));
      sum = fma(x1, v128.load(m1), sum);
      sum = fma(x2, v128.load(m2), sum);
      sum = fma(x3, v128.load(m3), sum);
      v128.store(at, sum);
      m0 += 16;
      m1 += 16;
      m2 += 16;
      m3 += 16;
    }
    if (rest) {
      let sum = fma(x0, loadPart(m0, rest), loadPart(at, rest));
      sum = fma(x1, loadPart(m1, rest), sum);
      sum = fma(x2, loadPart(m2, rest), sum);
      sum = fma(x3, loadPart(m3, rest), sum);
      storePart(at, sum, rest);
    }
  }
  for (; i < rows; i++) {
    let m0 = matrix + i * stride;
    const x0 = v128.load_splat<f32>(vector + i * 4);
    let at = out;
    const end = out + whole * 4;
    for (; at < end; at += 16) {
      v128.store(at, fma(x0, v128.load(m0), v128.load(at)));
      m0 += 16;
    }
    if (rest) storePart(at, fma(x0, loadPart(m0, rest), loadPart(at, rest)), rest);
  }
}
