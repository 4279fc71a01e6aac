// Matrices as files have them: halves, and ggml's blocks, whose numbers dsl/blocks.ts defines. Forms go by ggml's numbers.

import { addBias } from "./bias";
import { BLOCK, block, CONSTANTS, fma, sumLanes } from "./layout";

// Constants in the block, as those of maths.ts, which they come behind.
// @ts-ignore: decorator
@inline
const KEPT: usize = CONSTANTS + 640;
// @ts-ignore: decorator
@inline
const EXPONENT: usize = CONSTANTS + 656;
// @ts-ignore: decorator
@inline
const SIZE: usize = CONSTANTS + 672;
// @ts-ignore: decorator
@inline
const LEAST: usize = CONSTANTS + 688;
// @ts-ignore: decorator
@inline
const FINITE: usize = CONSTANTS + 704;
// @ts-ignore: decorator
@inline
const FIFTEEN: usize = CONSTANTS + 720;
// @ts-ignore: decorator
@inline
const SIXTEEN: usize = CONSTANTS + 736;
// @ts-ignore: decorator
@inline
const THIRTY_TWO: usize = CONSTANTS + 752;
// @ts-ignore: decorator
@inline
const THREES: usize = CONSTANTS + 768;
// @ts-ignore: decorator
@inline
const OWN: usize = CONSTANTS + 784;
// @ts-ignore: decorator
@inline
const FACTOR: usize = CONSTANTS + 800;
// @ts-ignore: decorator
@inline
const LARGE: usize = CONSTANTS + 816;

/** Writes the constants; to be called once. */
export function initialiseStored(): void {
  v128.store(block + KEPT, i32x4.splat(0x8fffe000)); // sign, exponent and fraction of a half after a shift by 13
  v128.store(block + EXPONENT, i32x4.splat(112 << 23)); // what a float32's exponent is more
  v128.store(block + SIZE, i16x8.splat(0x7fff)); // all but the sign of a half
  v128.store(block + LEAST, i16x8.splat(0x0400)); // the least half that has an exponent
  v128.store(block + FINITE, i16x8.splat(0x7800)); // above it, the exponent is all ones
  v128.store(block + FIFTEEN, i8x16.splat(15));
  v128.store(block + SIXTEEN, i8x16.splat(16));
  v128.store(block + THIRTY_TWO, i8x16.splat(32));
  v128.store(block + THREES, i8x16.splat(0x30)); // two bits above four
  v128.store(block + FACTOR, i32x4.splat(0x77800000)); // 2^112
  v128.store(block + LARGE, i32x4.splat(0x4000)); // the highest bit of a half's exponent: of 2 and more
  v128.store(block + OWN, i64x2.splat(0x8040201008040201)); // the bit of eight that each byte has for its own
}

const enum Form {
  F16 = 1,
  Q4_0 = 2,
  Q4_1 = 3,
  Q5_0 = 6,
  Q5_1 = 7,
  Q8_0 = 8,
  Q4_K = 12,
  Q5_K = 13,
  Q6_K = 14,
  BF16 = 30,
}

/** Numbers that are read of a row at a time: the largest block. */
const PIECE: usize = 256;

/** Four numbers of half precision that have an exponent, sign-extended to 32 bits, as float32: 112 is added to it. */
// @ts-ignore: decorator
@inline
function normal(words: v128): v128 {
  return i32x4.add(v128.and(i32x4.shl(words, 13), v128.load(BLOCK, KEPT)), v128.load(BLOCK, EXPONENT));
}

/**
 * Any four. With 113 added, t, a number with an exponent is twice what it was, and one without 2^-14 too large; an exponent of
 * all ones stays one. No step makes or reads a float32 without exponent, which processors are slow with.
 */
function any(words: v128): v128 {
  const size = v128.and(i32x4.shl(words, 13), i32x4.splat(0x0fffe000));
  const t = i32x4.add(size, i32x4.splat(0x38800000));
  const value = f32x4.sub(t, f32x4.pmax(f32x4.splat(6.103515625e-5), f32x4.mul(t, f32x4.splat(0.5))));
  const greatest = i32x4.ge_s(size, i32x4.splat(0x0f800000));
  const ones = v128.and(greatest, i32x4.splat(0x7f800000));
  return v128.or(v128.or(value, ones), v128.and(words, i32x4.splat(0x80000000)));
}

/** How far eight numbers are above the least with an exponent, as whole numbers without sign: from 0x7800 on they have none. */
// @ts-ignore: decorator
@inline
function above(eight: v128): v128 {
  return i16x8.sub(v128.and(eight, v128.load(BLOCK, SIZE)), v128.load(BLOCK, LEAST));
}

function readHalves(at: usize, end: usize, out: usize): usize {
  for (; out + 64 <= end; out += 64) {
    const p = v128.load(at);
    const q = v128.load(at, 16);
    if (v128.any_true(i16x8.ge_u(i16x8.max_u(above(p), above(q)), v128.load(BLOCK, FINITE)))) {
      for (let i: usize = 0; i < 4; i++) v128.store(out + 16 * i, any(v128.load16x4_s(at + 8 * i)));
    } else {
      v128.store(out, normal(i32x4.extend_low_i16x8_s(p)));
      v128.store(out, normal(i32x4.extend_high_i16x8_s(p)), 16);
      v128.store(out, normal(i32x4.extend_low_i16x8_s(q)), 32);
      v128.store(out, normal(i32x4.extend_high_i16x8_s(q)), 48);
    }
    at += 32;
  }
  for (; out < end; out += 4) {
    f32.store(out, half(at));
    at += 2;
  }
  return at;
}

/** One number of half precision. */
// @ts-ignore: decorator
@inline
function half(at: usize): f32 {
  const word = <i32>load<i16>(at);
  const size = word & 0x7fff;
  if (size >= 0x0400 && size < 0x7c00) return reinterpret<f32>((word & 0x80000000) | ((size << 13) + 0x38000000));
  return f32x4.extract_lane(any(i32x4.splat(word)), 0);
}

/** bfloat16 is the upper half of a float32. */
function readBrain(at: usize, end: usize, out: usize): usize {
  for (; out + 16 <= end; out += 16) {
    v128.store(out, i32x4.shl(v128.load16x4_u(at), 16));
    at += 8;
  }
  for (; out < end; out += 4) {
    i32.store(out, load<u16>(at) << 16);
    at += 2;
  }
  return at;
}

/** scale q of four whole numbers. */
// @ts-ignore: decorator
@inline
function scaled(q: v128, scale: v128): v128 {
  return f32x4.mul(scale, f32x4.convert_i32x4_s(q));
}

/** scale q of sixteen signed bytes. */
// @ts-ignore: decorator
@inline
function put(q: v128, scale: v128, out: usize): void {
  const low = i16x8.extend_low_i8x16_s(q);
  const high = i16x8.extend_high_i8x16_s(q);
  v128.store(out, scaled(i32x4.extend_low_i16x8_s(low), scale));
  v128.store(out, scaled(i32x4.extend_high_i16x8_s(low), scale), 16);
  v128.store(out, scaled(i32x4.extend_low_i16x8_s(high), scale), 32);
  v128.store(out, scaled(i32x4.extend_high_i16x8_s(high), scale), 48);
}

/** scale q + least. */
// @ts-ignore: decorator
@inline
function putAbove(q: v128, scale: v128, least: v128, out: usize): void {
  const low = i16x8.extend_low_i8x16_s(q);
  const high = i16x8.extend_high_i8x16_s(q);
  v128.store(out, f32x4.add(scaled(i32x4.extend_low_i16x8_s(low), scale), least));
  v128.store(out, f32x4.add(scaled(i32x4.extend_high_i16x8_s(low), scale), least), 16);
  v128.store(out, f32x4.add(scaled(i32x4.extend_low_i16x8_s(high), scale), least), 32);
  v128.store(out, f32x4.add(scaled(i32x4.extend_high_i16x8_s(high), scale), least), 48);
}

/** The low halves of sixteen bytes. */
// @ts-ignore: decorator
@inline
function low(bytes: v128): v128 {
  return v128.and(bytes, v128.load(BLOCK, FIFTEEN));
}

/** The high ones; what comes from a neighbour is left out. */
// @ts-ignore: decorator
@inline
function high(bytes: v128): v128 {
  return low(i16x8.shr_u(bytes, 4));
}

/** 16 where a bit is set: of the byte that each lane has, its own of eight. */
// @ts-ignore: decorator
@inline
function ownBits(bytes: v128): v128 {
  const own = v128.load(BLOCK, OWN);
  return v128.and(i8x16.eq(v128.and(bytes, own), own), v128.load(BLOCK, SIXTEEN));
}

/** Blocks of 32 numbers of four bits, or five: d, a minimum where there is one, the fifth bits, the others. */
// @ts-ignore: decorator
@inline
function readSmall(at: usize, end: usize, out: usize, hasMinimum: bool, hasFifth: bool): usize {
  const bits: usize = hasMinimum ? 4 : 2;
  const bytes: usize = hasFifth ? bits + 4 : bits;
  const offset = i8x16.splat(hasFifth ? 16 : 8);
  for (; out < end; out += 128) {
    const d = f32x4.splat(half(at));
    const packed = v128.load(at + bytes);
    let first = low(packed);
    let second = high(packed);
    if (hasFifth) {
      const four = v128.load32_splat(at + bits);
      first = v128.or(first, ownBits(v128.shuffle<i8>(four, four, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1)));
      second = v128.or(second, ownBits(v128.shuffle<i8>(four, four, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3)));
    }
    if (hasMinimum) {
      const least = f32x4.splat(half(at + 2));
      putAbove(first, d, least, out);
      putAbove(second, d, least, out + 64);
    } else {
      put(i8x16.sub(first, offset), d, out);
      put(i8x16.sub(second, offset), d, out + 64);
    }
    at += bytes + 16;
  }
  return at;
}

function readQ8(at: usize, end: usize, out: usize): usize {
  for (; out < end; out += 128) {
    const d = f32x4.splat(half(at));
    put(v128.load(at, 2), d, out);
    put(v128.load(at, 18), d, out + 64);
    at += 34;
  }
  return at;
}

/** 16 where a bit of each of sixteen bytes is set. */
// @ts-ignore: decorator
@inline
function sameBit(bytes: v128, bit: i32): v128 {
  const there = bit < 4 ? i16x8.shl(bytes, 4 - bit) : i16x8.shr_u(bytes, bit - 4);
  return v128.and(there, v128.load(BLOCK, SIXTEEN));
}

/** The scale of a group of eight, of six bits: some of twelve bytes for all of them. */
function groupScale(at: usize, group: usize): f32 {
  if (group < 4) return <f32>(load<u8>(at + group) & 63);
  return <f32>((load<u8>(at + group + 4) & 15) | ((load<u8>(at + group - 4) >> 6) << 4));
}

/** Its minimum. */
function groupMinimum(at: usize, group: usize): f32 {
  if (group < 4) return <f32>(load<u8>(at + group + 4) & 63);
  return <f32>((load<u8>(at + group + 4) >> 4) | ((load<u8>(at + group) >> 6) << 4));
}

/** Blocks of 256 numbers of four bits, or five, in eight groups: d, the groups' minimum, twelve bytes, fifth bits, the others. */
// @ts-ignore: decorator
@inline
function readGroups(at: usize, end: usize, out: usize, hasFifth: bool): usize {
  const bytes: usize = hasFifth ? 48 : 16;
  while (out < end) {
    const d = half(at);
    const e = half(at + 2);
    for (let group: usize = 0; group < 8; group++) {
      const packed = at + bytes + 32 * (group >> 1);
      const p = v128.load(packed);
      const q = v128.load(packed, 16);
      let first = group & 1 ? high(p) : low(p);
      let second = group & 1 ? high(q) : low(q);
      if (hasFifth) {
        first = v128.or(first, sameBit(v128.load(at, 16), <i32>group));
        second = v128.or(second, sameBit(v128.load(at, 32), <i32>group));
      }
      const scale = f32x4.splat(d * groupScale(at + 4, group));
      const least = f32x4.splat(-(e * groupMinimum(at + 4, group)));
      putAbove(first, scale, least, out);
      putAbove(second, scale, least, out + 64);
      out += 128;
    }
    at += bytes + 128;
  }
  return at;
}

/** Numbers of six bits: four, and two of which only these are left. */
// @ts-ignore: decorator
@inline
function putSix(four: v128, two: v128, d: f32, scale: usize, out: usize): void {
  const bits = v128.or(four, v128.and(two, v128.load(BLOCK, THREES)));
  put(i8x16.sub(bits, v128.load(BLOCK, THIRTY_TWO)), f32x4.splat(d * <f32>load<i8>(scale)), out);
}

/** Blocks of 256 numbers of six bits in sixteen groups: four bits, two bits, the groups' scales, d. */
function readQ6(at: usize, end: usize, out: usize): usize {
  while (out < end) {
    const d = half(at + 208);
    for (let part: usize = 0; part < 4; part++) {
      // Sixteen of the 128 numbers of a half, and those 32, 64 and 96 behind them.
      const before = part >> 1;
      const behind = part & 1;
      const from = at + 64 * before + 16 * behind;
      const p = v128.load(from);
      const q = v128.load(from, 32);
      const two = v128.load(at + 128 + 16 * part);
      const scale = at + 192 + 8 * before + behind;
      const to = out + 512 * before + 64 * behind;
      putSix(low(p), i16x8.shl(two, 4), d, scale, to);
      putSix(low(q), i16x8.shl(two, 2), d, scale + 2, to + 128);
      putSix(high(p), two, d, scale + 4, to + 256);
      putSix(high(q), i16x8.shr_u(two, 2), d, scale + 6, to + 384);
    }
    out += 1024;
    at += 210;
  }
  return at;
}

/** Numbers of a form from an address on, as many as lie between `out` and `end`; returns where the next are. */
function read(form: Form, at: usize, end: usize, out: usize): usize {
  switch (form) {
    case Form.F16: return readHalves(at, end, out);
    case Form.Q4_0: return readSmall(at, end, out, false, false);
    case Form.Q4_1: return readSmall(at, end, out, true, false);
    case Form.Q5_0: return readSmall(at, end, out, false, true);
    case Form.Q5_1: return readSmall(at, end, out, true, true);
    case Form.Q8_0: return readQ8(at, end, out);
    case Form.Q4_K: return readGroups(at, end, out, false);
    case Form.Q5_K: return readGroups(at, end, out, true);
    case Form.Q6_K: return readQ6(at, end, out);
    default: return readBrain(at, end, out);
  }
}

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

/** s plus four numbers of a row times x's. */
// @ts-ignore: decorator
@inline
function plus(q: v128, scale: v128, a: v128, s: v128): v128 {
  return fma(a, scaled(q, scale), s);
}

/** What `multiplyFour` does, of four rows in Q8_0 in the order that they are read in. */
// @ts-ignore: decorator
@inline
function multiplyFourQ8(
  x: usize,
  matrix: usize,
  far: usize,
  out: usize,
  step: usize,
  stride: usize,
  depth: usize,
  isTwo: bool,
): void {
  const size = depth * 4;
  const end = x + size;
  let at = matrix;
  let s0 = f32x4.splat(0);
  let s1 = s0;
  let s2 = s0;
  let s3 = s0;
  let t0 = s0;
  let t1 = s0;
  let t2 = s0;
  let t3 = s0;
  let from = x;
  while (from < end) {
    const d0 = f32x4.splat(half(at));
    const d1 = f32x4.splat(half(at + far));
    const d2 = f32x4.splat(half(at + 2 * far));
    const d3 = f32x4.splat(half(at + 3 * far));
    const next = at + 32;
    for (; at < next; at += 8) {
      const a = v128.load(from);
      const b = v128.load(from, 16);
      const c = isTwo ? v128.load(from + size) : a;
      const d = isTwo ? v128.load(from + size, 16) : b;
      let q = v128.load8x8_s(at, 2);
      let low = i32x4.extend_low_i16x8_s(q);
      let high = i32x4.extend_high_i16x8_s(q);
      s0 = plus(high, d0, b, plus(low, d0, a, s0));
      if (isTwo) t0 = plus(high, d0, d, plus(low, d0, c, t0));
      q = v128.load8x8_s(at + far, 2);
      low = i32x4.extend_low_i16x8_s(q);
      high = i32x4.extend_high_i16x8_s(q);
      s1 = plus(high, d1, b, plus(low, d1, a, s1));
      if (isTwo) t1 = plus(high, d1, d, plus(low, d1, c, t1));
      q = v128.load8x8_s(at + 2 * far, 2);
      low = i32x4.extend_low_i16x8_s(q);
      high = i32x4.extend_high_i16x8_s(q);
      s2 = plus(high, d2, b, plus(low, d2, a, s2));
      if (isTwo) t2 = plus(high, d2, d, plus(low, d2, c, t2));
      q = v128.load8x8_s(at + 3 * far, 2);
      low = i32x4.extend_low_i16x8_s(q);
      high = i32x4.extend_high_i16x8_s(q);
      s3 = plus(high, d3, b, plus(low, d3, a, s3));
      if (isTwo) t3 = plus(high, d3, d, plus(low, d3, c, t3));
      from += 32;
    }
    at += 2;
  }
  storeLanes(s0, s1, s2, s3, out, step);
  if (isTwo) storeLanes(t0, t1, t2, t3, out + stride, step);
}

/**
 * One or two rows of x by four of a matrix in the forms that most files have: their numbers need no place in memory. With more
 * rows it is worth making them once.
 *
 * @returns Whether it was done
 */
function multiplyDirectly(
  form: Form,
  x: usize,
  matrix: usize,
  far: usize,
  out: usize,
  rows: usize,
  step: usize,
  stride: usize,
  depth: usize,
): bool {
  if (form == Form.F16 && !(depth & 3)) {
    if (rows == 1) return multiplyFourHalves(x, matrix, far, out, step, stride, depth, false);
    if (rows == 2) return multiplyFourHalves(x, matrix, far, out, step, stride, depth, true);
  } else if (form == Form.Q8_0 && rows <= 2) {
    if (rows == 1) multiplyFourQ8(x, matrix, far, out, step, stride, depth, false);
    else multiplyFourQ8(x, matrix, far, out, step, stride, depth, true);
    return true;
  }
  return false;
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

/**
 * out[i, j] = sum over p of x[i, p] matrix[j, p] (+ bias[j]) for few rows of x and a matrix of any form, whose rows have `size`
 * bytes. Its numbers are made a piece of a row at a time in `work`, four rows from four quarters of the matrix, since a
 * processor fetches ahead within pages. Every sum has the same order, whatever the number of rows.
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
  const quarter = columns >> 2;
  const step = quarter * 4;
  const far = quarter * size;
  const next = depth * 4;
  const end = work + next;
  for (let j: usize = 0; j < quarter; j++) {
    let m0 = matrix + j * size;
    if (multiplyDirectly(form, x, m0, far, out + j * 4, rows, step, stride, depth)) continue;
    let m1 = m0 + far;
    let m2 = m1 + far;
    let m3 = m2 + far;
    for (let at = work; at < end; at += PIECE * 4) {
      const to = min<usize>(at + PIECE * 4, end);
      m0 = read(form, m0, to, at);
      m1 = read(form, m1, to + next, at + next);
      m2 = read(form, m2, to + 2 * next, at + 2 * next);
      m3 = read(form, m3, to + 3 * next, at + 3 * next);
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
    read(form, matrix + j * size, end, work);
    for (let i: usize = 0; i < rows; i++) f32.store(out + i * stride + j * 4, multiplyOne(x + i * next, work, depth));
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
