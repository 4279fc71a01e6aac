// What products with ggml's blocks are made of, beside scripts/tools/kernels/block_rows.ts.

import { Form, OWN, SIXTEEN } from "./forms";
import { BLOCK, block, CONSTANTS, sumLanes } from "./layout";

// Constants in the block, behind those of forms.ts.
// @ts-ignore: decorator
@inline
export const NIBBLES: usize = CONSTANTS + 832;
// @ts-ignore: decorator
@inline
export const BYTES: usize = CONSTANTS + 944;
// @ts-ignore: decorator
@inline
export const SPREAD: usize = CONSTANTS + 1008;
// @ts-ignore: decorator
@inline
const HALF_SIZE: usize = CONSTANTS + 1040;
// @ts-ignore: decorator
@inline
const HALF_BIAS: usize = CONSTANTS + 1056;
// @ts-ignore: decorator
@inline
const HALF_LEAST: usize = CONSTANTS + 1072;
// @ts-ignore: decorator
@inline
const HALF_GREATEST: usize = CONSTANTS + 1088;
// @ts-ignore: decorator
@inline
const ONES: usize = CONSTANTS + 1104;
// @ts-ignore: decorator
@inline
const SIGN: usize = CONSTANTS + 1120;
// @ts-ignore: decorator
@inline
const HALF: usize = CONSTANTS + 1136;

/** Scales of the groups of four blocks, 16 floats each, for as long as the blocks are read. */
// @ts-ignore: decorator
@inline
export const SCALES: usize = CONSTANTS + 1152;

// @ts-ignore: decorator
@inline
export const LOWER: usize = CONSTANTS + 1408;
// @ts-ignore: decorator
@inline
export const BIASED: usize = CONSTANTS + 1456;

/** Writes the constants; to be called once. */
export function initialiseBlocks(): void {
  for (let i: usize = 0; i < 7; i++) v128.store(block + NIBBLES + 16 * i, i32x4.splat(15 << (4 * <i32>i)));
  for (let i: usize = 0; i < 4; i++) v128.store(block + BYTES + 16 * i, i32x4.splat(255 << (8 * <i32>i)));
  v128.store(block + SPREAD, i8x16(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1));
  v128.store(block + SPREAD + 16, i8x16(2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3));
  v128.store(block + HALF_SIZE, i32x4.splat(0x0fffe000)); // exponent and fraction of a half after a shift by 13
  v128.store(block + HALF_BIAS, i32x4.splat(0x38800000)); // 113 in a float32's exponent
  v128.store(block + HALF_LEAST, f32x4.splat(6.103515625e-5)); // the least half that has an exponent
  v128.store(block + HALF_GREATEST, i32x4.splat(0x0f800000)); // from here on, the exponent is all ones
  v128.store(block + ONES, i32x4.splat(0x7f800000));
  v128.store(block + SIGN, i32x4.splat(0x80000000));
  v128.store(block + HALF, f32x4.splat(0.5));
  for (let i: usize = 0; i < 3; i++) v128.store(block + LOWER + 16 * i, i32x4.splat((1 << (8 * (<i32>i + 1))) - 1)); // 1 to 3 bytes
  v128.store(block + BIASED, i32x4.splat(0x00808080)); // the sign of all bytes but the last
}

/** What `any` of forms.ts does, with constants of the block. */
// @ts-ignore: decorator
@inline
export function anyHalves(words: v128): v128 {
  const size = v128.and(i32x4.shl(words, 13), v128.load(BLOCK, HALF_SIZE));
  const t = i32x4.add(size, v128.load(BLOCK, HALF_BIAS));
  const value = f32x4.sub(t, f32x4.pmax(v128.load(BLOCK, HALF_LEAST), f32x4.mul(t, v128.load(BLOCK, HALF))));
  const greatest = i32x4.ge_s(size, v128.load(BLOCK, HALF_GREATEST));
  const ones = v128.and(greatest, v128.load(BLOCK, ONES));
  return v128.or(v128.or(value, ones), v128.and(words, v128.load(BLOCK, SIGN)));
}

/** 16 where a bit is set: of bytes whose places are given, which each of eight neighbours has its own bit of. */
// @ts-ignore: decorator
@inline
export function fifthBits(bits: v128, at: v128): v128 {
  const spread = ASC_FEATURE_RELAXED_SIMD ? i8x16.relaxed_swizzle(bits, at) : i8x16.swizzle(bits, at);
  const own = v128.load(BLOCK, OWN);
  return v128.and(i8x16.eq(v128.and(spread, own), own), v128.load(BLOCK, SIXTEEN));
}

/** Eight bytes as whole numbers of 16 bits. */
// @ts-ignore: decorator
@inline
function eight(first: u32, second: u32): v128 {
  return i16x8.extend_low_i8x16_u(i64x2.splat(<i64>(<u64>first | (<u64>second << 32))));
}

/** Scales of a block's eight groups, six bits each: in four bytes, and in halves of four others and what was left of those. */
// @ts-ignore: decorator
@inline
export function groupScales(at: usize): v128 {
  const first = load<u32>(at, 4);
  return eight(first & 0x3f3f3f3f, (load<u32>(at, 12) & 0x0f0f0f0f) | ((first >> 2) & 0x30303030));
}

/** Their minima. */
// @ts-ignore: decorator
@inline
export function groupMinima(at: usize): v128 {
  const second = load<u32>(at, 8);
  return eight(second & 0x3f3f3f3f, ((load<u32>(at, 12) >> 4) & 0x0f0f0f0f) | ((second >> 2) & 0x30303030));
}

/**
 * x[4 l + b] of sixteen numbers in lane l of the b-th vector, times a factor each; returns the lanes' sums. Nested, for words of
 * which ever more bytes are read as one number: less the next vector, of which the number has all but its last byte; the sums
 * are then of the first three.
 */
// @ts-ignore: decorator
@inline
function turned(x: usize, out: usize, f0: f32, f1: f32, f2: f32, f3: f32, isNested: bool): v128 {
  const r0 = v128.load(x);
  const r1 = v128.load(x, 16);
  const r2 = v128.load(x, 32);
  const r3 = v128.load(x, 48);
  const p0 = v128.shuffle<f32>(r0, r1, 0, 4, 1, 5);
  const p1 = v128.shuffle<f32>(r2, r3, 0, 4, 1, 5);
  const p2 = v128.shuffle<f32>(r0, r1, 2, 6, 3, 7);
  const p3 = v128.shuffle<f32>(r2, r3, 2, 6, 3, 7);
  const c0 = v128.shuffle<f64>(p0, p1, 0, 2);
  const c1 = v128.shuffle<f64>(p0, p1, 1, 3);
  const c2 = v128.shuffle<f64>(p2, p3, 0, 2);
  const c3 = v128.shuffle<f64>(p2, p3, 1, 3);
  const t0 = f32x4.mul(c0, f32x4.splat(f0));
  const t1 = f32x4.mul(c1, f32x4.splat(f1));
  const t2 = f32x4.mul(c2, f32x4.splat(f2));
  const t3 = f32x4.mul(c3, f32x4.splat(f3));
  v128.store(out, isNested ? f32x4.sub(t0, t1) : t0);
  v128.store(out, isNested ? f32x4.sub(t1, t2) : t1, 16);
  v128.store(out, isNested ? f32x4.sub(t2, t3) : t2, 32);
  v128.store(out, t3, 48);
  const three = f32x4.add(f32x4.add(c0, c1), c2);
  return isNested ? three : f32x4.add(f32x4.add(c0, c1), f32x4.add(c2, c3));
}

/** By where a number of four bits or a byte lies in a word of 32: powers of two. */
function turnedLow(x: usize, out: usize): v128 {
  return turned(x, out, 1, 0.00390625, 0.0000152587890625, 5.9604644775390625e-8, false);
}

/** Numbers in the upper halves of bytes, the last one moved to a word's beginning. */
function turnedHigh(x: usize, out: usize): v128 {
  return turned(x, out, 0.0625, 0.000244140625, 9.5367431640625e-7, 1, false);
}

/** Bytes, the last one moved. */
function turnedBytes(x: usize, out: usize): v128 {
  return turned(x, out, 1, 0.00390625, 0.0000152587890625, 1, false);
}

/** 32 numbers, and their lanes' sums times what all numbers of the form have too much; 1 where there are minima. */
// @ts-ignore: decorator
@inline
function prepareSmall(x: usize, out: usize, isNibble: bool, factor: f32): usize {
  const first = isNibble ? turnedLow(x, out) : turnedBytes(x, out);
  const second = isNibble ? turnedHigh(x + 64, out + 64) : turnedBytes(x + 64, out + 64);
  v128.store(out, f32x4.mul(f32x4.add(first, second), f32x4.splat(factor)), 128);
  return out + 144;
}

/** 32 numbers for bytes with sign, of which the first three of a word are read with 128 more. */
// @ts-ignore: decorator
@inline
function prepareBytes(x: usize, out: usize): usize {
  const first = turned(x, out, 1, 0.00390625, 0.0000152587890625, 5.9604644775390625e-8, true);
  const second = turned(x + 64, out + 64, 1, 0.00390625, 0.0000152587890625, 5.9604644775390625e-8, true);
  v128.store(out, f32x4.mul(f32x4.add(first, second), f32x4.splat(-128)), 128);
  return out + 144;
}

/** A row of x for `multiplyBlocks`; returns the end of what it made. */
export function prepareRow(form: Form, x: usize, end: usize, out: usize): usize {
  const each: usize = form == Form.Q4_K || form == Form.Q5_K || form == Form.Q6_K ? 1024 : 128;
  for (; x < end; x += each) {
    switch (form) {
      case Form.Q4_0:
        out = prepareSmall(x, out, true, -8);
        break;
      case Form.Q4_1:
        out = prepareSmall(x, out, true, 1);
        break;
      case Form.Q5_0:
        out = prepareSmall(x, out, false, -16);
        break;
      case Form.Q5_1:
        out = prepareSmall(x, out, false, 1);
        break;
      case Form.Q8_0:
        out = prepareBytes(x, out);
        break;
      case Form.Q6_K:
        for (let from = x; from < x + 1024; from += 64) {
          v128.store(out, f32x4.mul(turnedBytes(from, out), f32x4.splat(-32)), 64);
          out += 80;
        }
        break;
      default:
        for (let group: usize = 0; group < 8; group++) {
          const from = x + 128 * group;
          const to = out + 128 * group;
          let sum: v128;
          if (form == Form.Q5_K) sum = f32x4.add(turnedBytes(from, to), turnedBytes(from + 64, to + 64));
          else if (group & 1) sum = f32x4.add(turnedHigh(from, to), turnedHigh(from + 64, to + 64));
          else sum = f32x4.add(turnedLow(from, to), turnedLow(from + 64, to + 64));
          f32.store(out + 1024 + 4 * group, sumLanes(sum));
        }
        out += 1056;
    }
  }
  return out;
}
