// Whole formulas of the project, in one pass each.

import { BLOCK, fma, loadPart, storePart } from "./layout";
import { CUBIC, DENSITY, expOfSize, gaussian, LINEAR, normal, ONE, sigmoid, SLOPE } from "./maths";

// @ts-ignore: decorator
@inline
function geluOf(x: v128): v128 {
  return f32x4.mul(x, normal(x, gaussian(x)));
}

/** Φ(x) + x φ(x). */
// @ts-ignore: decorator
@inline
function geluSlope(x: v128): v128 {
  const g = gaussian(x);
  return fma(f32x4.mul(x, v128.load(BLOCK + DENSITY)), g, normal(x, g));
}

/** x s, s = sigmoid(x (LINEAR + CUBIC x^2)). */
// @ts-ignore: decorator
@inline
function geluTanhOf(x: v128): v128 {
  const inner = fma(f32x4.mul(x, x), v128.load(BLOCK + CUBIC), v128.load(BLOCK + LINEAR));
  return f32x4.mul(x, sigmoid(f32x4.mul(x, inner)));
}

/** s + x s (1 - s) (LINEAR + 3 CUBIC x^2); s (1 - s) = e / (1 + e)^2 keeps its digits where s is near 1. */
// @ts-ignore: decorator
@inline
function geluTanhSlope(x: v128): v128 {
  const one = v128.load(BLOCK + ONE);
  const square = f32x4.mul(x, x);
  const inner = f32x4.mul(x, fma(square, v128.load(BLOCK + CUBIC), v128.load(BLOCK + LINEAR)));
  const e = expOfSize(inner);
  const above = f32x4.div(one, f32x4.add(one, e));
  const below = f32x4.mul(e, above);
  const s = v128.bitselect(below, above, i32x4.shr_s(inner, 31));
  const steepness = f32x4.mul(x, fma(square, v128.load(BLOCK + SLOPE), v128.load(BLOCK + LINEAR)));
  return fma(steepness, f32x4.mul(below, above), s);
}

/** out = GELU(x), exact. */
export function gelu(x: usize, out: usize, size: usize): void {
  const end = x + (size & ~3) * 4;
  while (x < end) {
    v128.store(out, geluOf(v128.load(x)));
    x += 16;
    out += 16;
  }
  if (size & 3) storePart(out, geluOf(loadPart(x, size & 3)), size & 3);
}

/** dx = dy GELU'(x), exact. */
export function geluGradient(dy: usize, x: usize, dx: usize, size: usize): void {
  const end = x + (size & ~3) * 4;
  while (x < end) {
    v128.store(dx, f32x4.mul(v128.load(dy), geluSlope(v128.load(x))));
    x += 16;
    dy += 16;
    dx += 16;
  }
  if (size & 3) storePart(dx, f32x4.mul(loadPart(dy, size & 3), geluSlope(loadPart(x, size & 3))), size & 3);
}

/** out = GELU(x) by tanh's approximation. */
export function geluTanh(x: usize, out: usize, size: usize): void {
  const end = x + (size & ~3) * 4;
  while (x < end) {
    v128.store(out, geluTanhOf(v128.load(x)));
    x += 16;
    out += 16;
  }
  if (size & 3) storePart(out, geluTanhOf(loadPart(x, size & 3)), size & 3);
}

/** dx = dy GELU'(x) by tanh's approximation. */
export function geluTanhGradient(dy: usize, x: usize, dx: usize, size: usize): void {
  const end = x + (size & ~3) * 4;
  while (x < end) {
    v128.store(dx, f32x4.mul(v128.load(dy), geluTanhSlope(v128.load(x))));
    x += 16;
    dy += 16;
    dx += 16;
  }
  if (size & 3) storePart(dx, f32x4.mul(loadPart(dy, size & 3), geluTanhSlope(loadPart(x, size & 3))), size & 3);
}

/**
 * m' = m + (g - m) fresh; v' = v beta2 + g^2 (1 - beta2); p' = p shrink - step m' / (√v' + floor). `step`, `floor`,
 * `shrink` and `fresh` are addresses of one float each.
 */
export function adamw(
  p: usize,
  g: usize,
  m: usize,
  v: usize,
  nextP: usize,
  nextM: usize,
  nextV: usize,
  size: usize,
  step: usize,
  floor: usize,
  shrink: usize,
  fresh: usize,
  beta2: f32,
  rest2: f32,
): void {
  const steps = v128.load_splat<f32>(step);
  const floors = v128.load_splat<f32>(floor);
  const shrinks = v128.load_splat<f32>(shrink);
  const freshes = v128.load_splat<f32>(fresh);
  const decay = f32x4.splat(beta2);
  const decayRest = f32x4.splat(rest2);
  for (let i: usize = 0; i < size; i += 4) {
    const count = min<usize>(4, size - i);
    const at = i * 4;
    const part = count < 4;
    const gradient = part ? loadPart(g + at, count) : v128.load(g + at);
    const oldMean = part ? loadPart(m + at, count) : v128.load(m + at);
    const oldSquare = part ? loadPart(v + at, count) : v128.load(v + at);
    const parameter = part ? loadPart(p + at, count) : v128.load(p + at);
    const mean = f32x4.add(oldMean, f32x4.mul(f32x4.sub(gradient, oldMean), freshes));
    const square = f32x4.add(f32x4.mul(oldSquare, decay), f32x4.mul(f32x4.mul(gradient, gradient), decayRest));
    const change = f32x4.mul(f32x4.div(mean, f32x4.add(f32x4.sqrt(square), floors)), steps);
    const next = f32x4.sub(f32x4.mul(parameter, shrinks), change);
    if (part) {
      storePart(nextP + at, next, count);
      storePart(nextM + at, mean, count);
      storePart(nextV + at, square, count);
    } else {
      v128.store(nextP + at, next);
      v128.store(nextM + at, mean);
      v128.store(nextV + at, square);
    }
  }
}

/** x[j] cos[j] + x[k] sin[j], or the difference, as two products and a sum of them. */
// @ts-ignore: decorator
@inline
function turned(x: v128, other: v128, cos: v128, sin: v128, back: bool): v128 {
  const own = f32x4.mul(x, cos);
  const crossed = f32x4.mul(other, sin);
  return back ? f32x4.sub(own, crossed) : f32x4.add(own, crossed);
}

/** One row: x cos + swap(x) sin, or x cos - swap(x) sin on the way back, where swap exchanges the halves of a row. */
// @ts-ignore: decorator
@inline
function rotateRow(x: usize, c: usize, s: usize, out: usize, half: usize, back: bool): void {
  const whole = half & ~15;
  const rest = (half / 4) & 3;
  let j: usize = 0;
  for (; j < whole; j += 16) {
    const left = v128.load(x + j);
    const right = v128.load(x + half + j);
    v128.store(out + j, turned(left, right, v128.load(c + j), v128.load(s + j), back));
    v128.store(out + half + j, turned(right, left, v128.load(c + half + j), v128.load(s + half + j), back));
  }
  if (rest) {
    const left = loadPart(x + j, rest);
    const right = loadPart(x + half + j, rest);
    storePart(out + j, turned(left, right, loadPart(c + j, rest), loadPart(s + j, rest), back), rest);
    const at = half + j;
    storePart(out + at, turned(right, left, loadPart(c + at, rest), loadPart(s + at, rest), back), rest);
  }
}

/** Rotates rows. Row r, counted from `first`, is at position r % positions of cos and sin. */
export function rotate(
  x: usize,
  cos: usize,
  sin: usize,
  out: usize,
  rows: usize,
  size: usize,
  first: usize,
  positions: usize,
  back: bool,
): void {
  const half = (size / 2) * 4;
  for (let row = first; row < first + rows; row++) {
    const at = (row % positions) * size * 4;
    rotateRow(x, cos + at, sin + at, out, half, back);
    x += size * 4;
    out += size * 4;
  }
}

/**
 * The same of x [batch, inner, outer, size], whose rows are written as [batch, outer, inner, size]; the positions are the outer
 * axis of what is written if `byOuter`, else the inner one. `rows` of them from `first` on, `out` being the first.
 */
export function rotateMoved(
  x: usize,
  cos: usize,
  sin: usize,
  out: usize,
  rows: usize,
  size: usize,
  first: usize,
  outer: usize,
  inner: usize,
  byOuter: bool,
  back: bool,
): void {
  const half = (size / 2) * 4;
  const matrix = outer * inner;
  for (let row = first; row < first + rows; row++) {
    const rest = row % matrix;
    const o = rest / inner;
    const i = rest % inner;
    const at = (byOuter ? o : i) * size * 4;
    rotateRow(x + (row - rest + i * outer + o) * size * 4, cos + at, sin + at, out, half, back);
    out += size * 4;
  }
}
