// Parts of the factors of a matrix product, laid out for the micro kernel.

import { block, COLUMNS, DEPTH, loadPart, ROWS, storePart } from "./layout";
import { transpose4 } from "./move";

/** Transposes a 4 x 2 block into two rows. */
// @ts-ignore: decorator
@inline
function transpose2(from: usize, stride: usize, to: usize, step: usize): void {
  const r0 = v128.load64_zero(from);
  const r1 = v128.load64_zero(from + stride);
  const r2 = v128.load64_zero(from + 2 * stride);
  const r3 = v128.load64_zero(from + 3 * stride);
  const p0 = v128.shuffle<f32>(r0, r1, 0, 4, 1, 5);
  const p1 = v128.shuffle<f32>(r2, r3, 0, 4, 1, 5);
  v128.store(to, v128.shuffle<f64>(p0, p1, 0, 2));
  v128.store(to + step, v128.shuffle<f64>(p0, p1, 1, 3));
}

/**
 * Packs `depth` rows and `width` columns of B, row stride `stride` bytes, into panels of 8 columns and `padded` rows, with
 * zeros where B ends. Row by row: columns of B would be far apart in memory.
 */
export function packRows(from: usize, stride: usize, depth: usize, width: usize, padded: usize, to: usize): void {
  const panel = padded * COLUMNS * 4;
  const rest = width & (COLUMNS - 1);
  const zero = f32x4.splat(0);
  for (let p: usize = 0; p < padded; p++) {
    let at = from;
    let out = to;
    if (p < depth) {
      const end = from + (width - rest) * 4;
      for (; at < end; at += COLUMNS * 4) {
        v128.store(out, v128.load(at));
        v128.store(out, v128.load(at, 16), 16);
        out += panel;
      }
      if (rest) {
        const first = rest < 4 ? loadPart(at, rest) : v128.load(at);
        v128.store(out, first);
        v128.store(out, rest > 4 ? loadPart(at + 16, rest - 4) : zero, 16);
      }
    } else {
      for (let j: usize = 0; j < width; j += COLUMNS) {
        v128.store(out, zero);
        v128.store(out, zero, 16);
        out += panel;
      }
    }
    from += stride;
    to += COLUMNS * 4;
  }
}

/** Packs one panel of up to 8 columns from a transposed B, whose rows are the columns. */
export function packColumns(from: usize, stride: usize, depth: usize, width: usize, padded: usize, to: usize): void {
  const whole = depth & ~3;
  if (width < COLUMNS || whole < padded) memory.fill(to, 0, padded * COLUMNS * 4);
  let column: usize = 0;
  for (; column + 4 <= width; column += 4) {
    const source = from + column * stride;
    const target = to + column * 4;
    for (let p: usize = 0; p < whole; p += 4) {
      transpose4(source + p * 4, stride, target + p * COLUMNS * 4, COLUMNS * 4);
    }
    for (let p = whole; p < depth; p++) {
      for (let j: usize = 0; j < 4; j++) {
        f32.store(target + (p * COLUMNS + j) * 4, f32.load(source + j * stride + p * 4));
      }
    }
  }
  for (; column < width; column++) {
    for (let p: usize = 0; p < depth; p++) {
      f32.store(to + (p * COLUMNS + column) * 4, f32.load(from + column * stride + p * 4));
    }
  }
}

/** Copies `height` (1 to 6) rows of A to the constant address, ending in its last column; zeros around them. */
export function placeRows(from: usize, stride: usize, depth: usize, height: usize, padded: usize): void {
  const whole = depth & ~3;
  const rest = depth & 3;
  const start: usize = block + (DEPTH - padded) * 4;
  let row = from;
  let out = start;
  for (let i: usize = 0; i < height; i++) {
    let p: usize = 0;
    for (; p + 8 <= whole; p += 8) {
      v128.store(out + p * 4, v128.load(row + p * 4));
      v128.store(out + p * 4, v128.load(row + p * 4, 16), 16);
    }
    if (p < whole) v128.store(out + p * 4, v128.load(row + p * 4));
    if (rest) v128.store(out + whole * 4, loadPart(row + whole * 4, rest));
    row += stride;
    out += DEPTH * 4;
  }
  for (let i = height; i < ROWS; i++) {
    for (let p: usize = 0; p < padded; p += 4) v128.store(out + p * 4, f32x4.splat(0));
    out += DEPTH * 4;
  }
}

/** The same from a transposed A, whose columns are the rows. Lines of the block without one keep what they hold: nobody reads their sums. */
export function placeColumns(from: usize, stride: usize, depth: usize, height: usize, padded: usize): void {
  const start: usize = block + (DEPTH - padded) * 4;
  const whole = depth & ~3;
  if (whole < padded) {
    for (let i: usize = 0; i < ROWS; i++) memory.fill(start + i * DEPTH * 4, 0, padded * 4);
  }
  let i: usize = 0;
  if (height >= 4) {
    for (let p: usize = 0; p < whole; p += 4) transpose4(from + p * stride, stride, start + p * 4, DEPTH * 4);
    i = 4;
  }
  if (height - i >= 2) {
    const source = from + i * 4;
    const target = start + i * DEPTH * 4;
    for (let p: usize = 0; p < whole; p += 4) transpose2(source + p * stride, stride, target + p * 4, DEPTH * 4);
    i += 2;
  }
  for (let p = whole; p < depth; p++) {
    for (let j: usize = 0; j < i; j++) f32.store(start + (j * DEPTH + p) * 4, f32.load(from + p * stride + j * 4));
  }
  for (; i < height; i++) {
    let source = from + i * 4;
    const target = start + i * DEPTH * 4;
    for (let p: usize = 0; p < depth; p++) {
      f32.store(target + p * 4, f32.load(source));
      source += stride;
    }
  }
}
