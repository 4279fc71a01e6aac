// Numbers as files have them: halves, and ggml's blocks, which dsl/blocks.ts defines. Forms go by ggml's numbers.

import { BLOCK, block, CONSTANTS } from "./layout";

// Constants in the block, as those of maths.ts, which they come behind.
// @ts-ignore: decorator
@inline
export const KEPT: usize = CONSTANTS + 640;
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
export const SIXTEEN: usize = CONSTANTS + 736;
// @ts-ignore: decorator
@inline
const THIRTY_TWO: usize = CONSTANTS + 752;
// @ts-ignore: decorator
@inline
export const THREES: usize = CONSTANTS + 768;
// @ts-ignore: decorator
@inline
export const OWN: usize = CONSTANTS + 784;
// @ts-ignore: decorator
@inline
export const FACTOR: usize = CONSTANTS + 800;
// @ts-ignore: decorator
@inline
export const LARGE: usize = CONSTANTS + 816;

/** Writes the constants; to be called once. */
export function initialiseForms(): void {
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

export const enum Form {
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
export const PIECE: usize = 256;

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
export function any(words: v128): v128 {
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
export function half(at: usize): f32 {
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
export function scaled(q: v128, scale: v128): v128 {
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
export function low(bytes: v128): v128 {
  return v128.and(bytes, v128.load(BLOCK, FIFTEEN));
}

/** The high ones; what comes from a neighbour is left out. */
// @ts-ignore: decorator
@inline
export function high(bytes: v128): v128 {
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
export function read(form: Form, at: usize, end: usize, out: usize): usize {
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
