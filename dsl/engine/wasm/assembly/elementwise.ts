// out = f(x) and out = f(a, b), float by float.

import { loadPart, storePart } from "./layout";
import { erf, exp, sigmoid, tanh } from "./maths";

/** What `map` and `combine` apply; as constants they cost nothing once a loop is compiled. */
const enum Op {
  Exp,
  Tanh,
  Erf,
  Sigmoid,
  Sqrt,
  Rsqrt,
  Reciprocal,
  Maximum,
  Minimum,
  SquaredDifference,
  Add,
  Multiply,
  Subtract,
  SubtractFrom,
  Divide,
  DivideBy,
}

// @ts-ignore: decorator
@inline
function unary(op: Op, x: v128): v128 {
  if (op == Op.Exp) return exp(x);
  if (op == Op.Tanh) return tanh(x);
  if (op == Op.Erf) return erf(x);
  if (op == Op.Sigmoid) return sigmoid(x);
  if (op == Op.Sqrt) return f32x4.sqrt(x);
  if (op == Op.Rsqrt) return f32x4.div(f32x4.splat(1), f32x4.sqrt(x));
  return f32x4.div(f32x4.splat(1), x);
}

// @ts-ignore: decorator
@inline
function map(op: Op, x: usize, out: usize, size: usize): void {
  const end = x + (size & ~3) * 4;
  while (x < end) {
    v128.store(out, unary(op, v128.load(x)));
    x += 16;
    out += 16;
  }
  if (size & 3) storePart(out, unary(op, loadPart(x, size & 3)), size & 3);
}

/** out[i] = e^x[i] for `size` floats, and so on. */
export function exponential(x: usize, out: usize, size: usize): void {
  map(Op.Exp, x, out, size);
}
export function hyperbolicTangent(x: usize, out: usize, size: usize): void {
  map(Op.Tanh, x, out, size);
}
export function errorFunction(x: usize, out: usize, size: usize): void {
  map(Op.Erf, x, out, size);
}
export function logistic(x: usize, out: usize, size: usize): void {
  map(Op.Sigmoid, x, out, size);
}
export function squareRoot(x: usize, out: usize, size: usize): void {
  map(Op.Sqrt, x, out, size);
}
export function inverseSquareRoot(x: usize, out: usize, size: usize): void {
  map(Op.Rsqrt, x, out, size);
}
export function inverse(x: usize, out: usize, size: usize): void {
  map(Op.Reciprocal, x, out, size);
}

// @ts-ignore: decorator
@inline
function binary(op: Op, a: v128, b: v128): v128 {
  if (op == Op.Maximum) return f32x4.max(a, b);
  if (op == Op.Minimum) return f32x4.min(a, b);
  if (op == Op.Add) return f32x4.add(a, b);
  if (op == Op.Multiply) return f32x4.mul(a, b);
  if (op == Op.Subtract) return f32x4.sub(a, b);
  if (op == Op.SubtractFrom) return f32x4.sub(b, a);
  if (op == Op.Divide) return f32x4.div(a, b);
  if (op == Op.DivideBy) return f32x4.div(b, a);
  const difference = f32x4.sub(a, b);
  return f32x4.mul(difference, difference);
}

/** Rows of `size` floats; b is as large as a, or has one row (`stepB` 0), or one float per row (`each`). */
// @ts-ignore: decorator
@inline
function combine(op: Op, a: usize, b: usize, out: usize, rows: usize, size: usize, stepB: usize, each: bool): void {
  const whole = (size & ~3) * 4;
  const rest = size & 3;
  for (let row: usize = 0; row < rows; row++) {
    const end = a + whole;
    if (each) {
      const value = v128.load_splat<f32>(b);
      for (; a < end; a += 16) {
        v128.store(out, binary(op, v128.load(a), value));
        out += 16;
      }
      if (rest) storePart(out, binary(op, loadPart(a, rest), value), rest);
    } else {
      let at = b;
      for (; a < end; a += 16) {
        v128.store(out, binary(op, v128.load(a), v128.load(at)));
        at += 16;
        out += 16;
      }
      if (rest) storePart(out, binary(op, loadPart(a, rest), loadPart(at, rest)), rest);
    }
    a += rest * 4;
    out += rest * 4;
    b += stepB;
  }
}

/** out = max(a, b) and so on; NaN wins. */
export function maximum(a: usize, b: usize, out: usize, rows: usize, size: usize, stepB: usize, each: bool): void {
  combine(Op.Maximum, a, b, out, rows, size, stepB, each);
}
export function minimum(a: usize, b: usize, out: usize, rows: usize, size: usize, stepB: usize, each: bool): void {
  combine(Op.Minimum, a, b, out, rows, size, stepB, each);
}
export function squaredDifference(
  a: usize,
  b: usize,
  out: usize,
  rows: usize,
  size: usize,
  stepB: usize,
  each: bool,
): void {
  combine(Op.SquaredDifference, a, b, out, rows, size, stepB, each);
}

/** out = a + b and so on; `subtractFrom` is b - a, `divideBy` b / a. */
export function add(a: usize, b: usize, out: usize, rows: usize, size: usize, stepB: usize, each: bool): void {
  combine(Op.Add, a, b, out, rows, size, stepB, each);
}
export function multiply(a: usize, b: usize, out: usize, rows: usize, size: usize, stepB: usize, each: bool): void {
  combine(Op.Multiply, a, b, out, rows, size, stepB, each);
}
export function subtract(a: usize, b: usize, out: usize, rows: usize, size: usize, stepB: usize, each: bool): void {
  combine(Op.Subtract, a, b, out, rows, size, stepB, each);
}
export function subtractFrom(a: usize, b: usize, out: usize, rows: usize, size: usize, stepB: usize, each: bool): void {
  combine(Op.SubtractFrom, a, b, out, rows, size, stepB, each);
}
export function divide(a: usize, b: usize, out: usize, rows: usize, size: usize, stepB: usize, each: bool): void {
  combine(Op.Divide, a, b, out, rows, size, stepB, each);
}
export function divideBy(a: usize, b: usize, out: usize, rows: usize, size: usize, stepB: usize, each: bool): void {
  combine(Op.DivideBy, a, b, out, rows, size, stepB, each);
}
