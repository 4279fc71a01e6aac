// exp, tanh, erf and sigmoid of four floats at a time, to a few units in the last place.
// The coefficients come from scripts/tools/reference/polynomials.py.

import { BLOCK, block, CONSTANTS, fma, fnma } from "./layout";
import { initialiseBlocks } from "./blocks";
import { initialiseForms } from "./forms";

// A constant in the code costs V8 three instructions at every use, one at a constant address costs one. So they are
// written into the block once, each four times; these are their places.
// @ts-ignore: decorator
@inline
const LOWEST: usize = CONSTANTS;
// @ts-ignore: decorator
@inline
const HIGHEST: usize = CONSTANTS + 16;
// @ts-ignore: decorator
@inline
const LOG2E: usize = CONSTANTS + 32;
// @ts-ignore: decorator
@inline
const ROUNDER: usize = CONSTANTS + 48;
// @ts-ignore: decorator
@inline
const LN2_HIGH: usize = CONSTANTS + 64;
// @ts-ignore: decorator
@inline
const LN2_LOW: usize = CONSTANTS + 80;
// @ts-ignore: decorator
@inline
const EXPONENT: usize = CONSTANTS + 96;
// @ts-ignore: decorator
@inline
const SIGN: usize = CONSTANTS + 112;
// @ts-ignore: decorator
@inline
const HALF: usize = CONSTANTS + 128;
// @ts-ignore: decorator
@inline
export const ONE: usize = CONSTANTS + 144;
// @ts-ignore: decorator
@inline
const TWO: usize = CONSTANTS + 160;
// @ts-ignore: decorator
@inline
const TEN: usize = CONSTANTS + 176;
/** 5 coefficients of (e^r - 1 - r) / r^2 for |r| <= ln(2) / 2; the first is HALF. */
// @ts-ignore: decorator
@inline
const EXP: usize = CONSTANTS + 192;
/** 5 coefficients of erf(x) / x - 1 in x^2 for |x| < 1/2. */
// @ts-ignore: decorator
@inline
const ERF: usize = CONSTANTS + 272;
/** 5 coefficients of the numerator of e^(x^2) erfc(x) for 0 <= x < 10; the first is 1. */
// @ts-ignore: decorator
@inline
const ABOVE: usize = CONSTANTS + 352;
/** 6 coefficients of its denominator; the first is 1. */
// @ts-ignore: decorator
@inline
const BELOW: usize = CONSTANTS + 432;
// @ts-ignore: decorator
@inline
const ROOT_HALF: usize = CONSTANTS + 528;
// @ts-ignore: decorator
@inline
const POWER_ROUNDER: usize = CONSTANTS + 544;
// @ts-ignore: decorator
@inline
const VANISHING: usize = CONSTANTS + 560;
/** 1 / √(2π). */
// @ts-ignore: decorator
@inline
export const DENSITY: usize = CONSTANTS + 576;
/** 2 √(2/π), that times 0.044715, and that times three. */
// @ts-ignore: decorator
@inline
export const LINEAR: usize = CONSTANTS + 592;
// @ts-ignore: decorator
@inline
export const CUBIC: usize = CONSTANTS + 608;
// @ts-ignore: decorator
@inline
export const SLOPE: usize = CONSTANTS + 624;

function put(place: usize, value: f32): void {
  v128.store(block + place, f32x4.splat(value));
}

/** Writes the constants; to be called once. */
export function initialise(): void {
  initialiseForms();
  initialiseBlocks();
  put(LOWEST, -104); // exp is 0 below
  put(HIGHEST, 89); // exp is infinite above
  put(LOG2E, 1.44269504);
  put(ROUNDER, 12582912); // 1.5 * 2^23: adding it rounds to an integer and leaves that in the low bits
  put(POWER_ROUNDER, 12583039); // the same plus 127: leaves a float's exponent in the low bits
  put(VANISHING, -88.3); // rounds to -127 ln(2), whose power of 2 is 0
  put(LN2_HIGH, 0.69317627); // few enough bits that small multiples are exact
  put(LN2_LOW, -2.90889711e-05);
  put(EXPONENT, reinterpret<f32>(127)); // a float's exponent is stored plus this
  put(SIGN, reinterpret<f32>(0x80000000));
  put(HALF, 0.5);
  put(ONE, 1);
  put(TWO, 2);
  put(TEN, 10); // tanh and erf are 1 from here on
  put(ROOT_HALF, 0.70710678);
  put(DENSITY, 0.39894228);
  put(LINEAR, 1.59576912);
  put(CUBIC, 0.0713548163);
  put(SLOPE, 0.214064449);

  put(EXP, 0.5);
  put(EXP + 16, 0.16666545);
  put(EXP + 32, 0.0416664034);
  put(EXP + 48, 0.00836639572);
  put(EXP + 64, 0.0013940658);

  put(ERF, 0.128379166);
  put(ERF + 16, -0.376126111);
  put(ERF + 32, 0.112828508);
  put(ERF + 48, -0.0267582592);
  put(ERF + 64, 0.00471916003);

  put(ABOVE, 1);
  put(ABOVE + 16, 1.2322644);
  put(ABOVE + 32, 0.725182593);
  put(ABOVE + 48, 0.226163521);
  put(ABOVE + 64, 0.0321571231);

  put(BELOW, 1);
  put(BELOW + 16, 2.3606441);
  put(BELOW + 32, 2.38887596);
  put(BELOW + 48, 1.31338298);
  put(BELOW + 64, 0.400893956);
  put(BELOW + 80, 0.056996204);
}

/** -x. */
// @ts-ignore: decorator
@inline
function negative(x: v128): v128 {
  return v128.xor(x, v128.load(BLOCK + SIGN));
}

/** |x|. */
// @ts-ignore: decorator
@inline
function absolute(x: v128): v128 {
  return v128.andnot(x, v128.load(BLOCK + SIGN));
}

/** |size| with the sign of x, for size >= 0. */
// @ts-ignore: decorator
@inline
function withSign(size: v128, x: v128): v128 {
  return v128.or(size, v128.and(x, v128.load(BLOCK + SIGN)));
}

/** e^r - 1 for |r| <= ln(2) / 2. */
// @ts-ignore: decorator
@inline
function expm1Near0(r: v128): v128 {
  let q = fma(v128.load(BLOCK + EXP + 64), r, v128.load(BLOCK + EXP + 48));
  q = fma(q, r, v128.load(BLOCK + EXP + 32));
  q = fma(q, r, v128.load(BLOCK + EXP + 16));
  q = fma(q, r, v128.load(BLOCK + EXP));
  return fma(f32x4.mul(r, r), q, r);
}

/** r = x - n ln(2). */
// @ts-ignore: decorator
@inline
function lessLn2(x: v128, n: v128): v128 {
  return fnma(n, v128.load(BLOCK + LN2_LOW), fnma(n, v128.load(BLOCK + LN2_HIGH), x));
}

/** 2^n of integers -126 to 127. */
// @ts-ignore: decorator
@inline
function powerOf2(n: v128): v128 {
  return i32x4.shl(i32x4.add(n, v128.load(BLOCK + EXPONENT)), 23);
}

/** e^x = 2^n e^r. The power is split so that neither infinite nor tiny results come too early. */
// @ts-ignore: decorator
@inline
export function exp(x: v128): v128 {
  const inside = f32x4.pmin(f32x4.pmax(x, v128.load(BLOCK + LOWEST)), v128.load(BLOCK + HIGHEST));
  const rounded = fma(inside, v128.load(BLOCK + LOG2E), v128.load(BLOCK + ROUNDER));
  const r = lessLn2(inside, f32x4.sub(rounded, v128.load(BLOCK + ROUNDER)));
  const y = f32x4.add(expm1Near0(r), v128.load(BLOCK + ONE));
  const n = i32x4.sub(rounded, v128.load(BLOCK + ROUNDER));
  const half = i32x4.shr_s(n, 1);
  return f32x4.mul(f32x4.mul(y, powerOf2(half)), powerOf2(i32x4.sub(n, half)));
}

/** e^x for x <= 0 only, in two thirds of the time; 0 where it would be below 2^-126.5. */
// @ts-ignore: decorator
@inline
export function expOfNegative(x: v128): v128 {
  const inside = f32x4.pmax(x, v128.load(BLOCK + VANISHING));
  const rounded = fma(inside, v128.load(BLOCK + LOG2E), v128.load(BLOCK + POWER_ROUNDER));
  const r = lessLn2(inside, f32x4.sub(rounded, v128.load(BLOCK + POWER_ROUNDER)));
  const power = i32x4.shl(rounded, 23);
  return fma(power, expm1Near0(r), power);
}

/** tanh(x) = t / (t + 2), t = e^(2|x|) - 1, with the sign of x. */
// @ts-ignore: decorator
@inline
export function tanh(x: v128): v128 {
  const size = f32x4.pmin(absolute(x), v128.load(BLOCK + TEN));
  const twice = f32x4.add(size, size);
  const rounded = fma(twice, v128.load(BLOCK + LOG2E), v128.load(BLOCK + POWER_ROUNDER));
  const r = lessLn2(twice, f32x4.sub(rounded, v128.load(BLOCK + POWER_ROUNDER)));
  const power = i32x4.shl(rounded, 23);
  const t = fma(power, expm1Near0(r), f32x4.sub(power, v128.load(BLOCK + ONE)));
  return withSign(f32x4.div(t, f32x4.add(t, v128.load(BLOCK + TWO))), x);
}

/** e^-|x|. */
// @ts-ignore: decorator
@inline
export function expOfSize(x: v128): v128 {
  return expOfNegative(v128.or(x, v128.load(BLOCK + SIGN)));
}

/** 1 / (1 + e^-x), from e^-|x| so that nothing overflows. */
// @ts-ignore: decorator
@inline
export function sigmoid(x: v128): v128 {
  const one = v128.load(BLOCK + ONE);
  const e = expOfSize(x);
  return f32x4.div(v128.bitselect(e, one, i32x4.shr_s(x, 31)), f32x4.add(one, e));
}

/** erfc(x) e^(x^2) for 0 <= x <= 10. */
// @ts-ignore: decorator
@inline
function scaledErfc(x: v128): v128 {
  let above = fma(v128.load(BLOCK + ABOVE + 64), x, v128.load(BLOCK + ABOVE + 48));
  let below = fma(v128.load(BLOCK + BELOW + 80), x, v128.load(BLOCK + BELOW + 64));
  below = fma(below, x, v128.load(BLOCK + BELOW + 48));
  above = fma(above, x, v128.load(BLOCK + ABOVE + 32));
  below = fma(below, x, v128.load(BLOCK + BELOW + 32));
  above = fma(above, x, v128.load(BLOCK + ABOVE + 16));
  below = fma(below, x, v128.load(BLOCK + BELOW + 16));
  above = fma(above, x, v128.load(BLOCK + ONE));
  below = fma(below, x, v128.load(BLOCK + ONE));
  return f32x4.div(above, below);
}

/** erf(x): a polynomial below 1/2, 1 - erfc(x) above. */
// @ts-ignore: decorator
@inline
export function erf(x: v128): v128 {
  const size = f32x4.pmin(absolute(x), v128.load(BLOCK + TEN));
  const square = f32x4.mul(size, size);
  let p = fma(v128.load(BLOCK + ERF + 64), square, v128.load(BLOCK + ERF + 48));
  p = fma(p, square, v128.load(BLOCK + ERF + 32));
  p = fma(p, square, v128.load(BLOCK + ERF + 16));
  p = fma(p, square, v128.load(BLOCK + ERF));
  const near = fma(p, size, size);
  const far = fnma(expOfNegative(negative(square)), scaledErfc(size), v128.load(BLOCK + ONE));
  return withSign(v128.bitselect(near, far, f32x4.lt(size, v128.load(BLOCK + HALF))), x);
}

/** e^(-x^2 / 2). */
// @ts-ignore: decorator
@inline
export function gaussian(x: v128): v128 {
  return expOfNegative(f32x4.mul(f32x4.mul(x, x), negative(v128.load(BLOCK + HALF))));
}

/** The normal distribution Φ(x), given e^(-x^2 / 2): erfc(|x| / √2) / 2 below 0, 1 minus that above. */
// @ts-ignore: decorator
@inline
export function normal(x: v128, gaussian: v128): v128 {
  const size = f32x4.pmin(f32x4.mul(absolute(x), v128.load(BLOCK + ROOT_HALF)), v128.load(BLOCK + TEN));
  const tail = f32x4.mul(f32x4.mul(gaussian, v128.load(BLOCK + HALF)), scaledErfc(size));
  return v128.bitselect(tail, f32x4.sub(v128.load(BLOCK + ONE), tail), i32x4.shr_s(x, 31));
}
