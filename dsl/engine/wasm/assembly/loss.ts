// Losses' gradients.

import { loadPart, storePart } from "./layout";

/**
 * dx = (p - shared) scaled, row by row, less scaled own at the label: the gradient of cross-entropy from the softmax p.
 * Row r, counted from `first`, has its label at `at` - r size; a label that is not in its row counts for nothing.
 */
export function crossEntropyGradient(
  p: usize,
  at: usize,
  scaled: usize,
  dx: usize,
  rows: usize,
  size: usize,
  first: usize,
  shared: f32,
  own: f32,
): void {
  const whole = (size & ~3) * 4;
  const rest = size & 3;
  const less = f32x4.splat(shared);
  for (let row = first; row < first + rows; row++) {
    const factor = v128.load_splat<f32>(scaled);
    let j: usize = 0;
    for (; j < whole; j += 16) v128.store(dx + j, f32x4.mul(f32x4.sub(v128.load(p + j), less), factor));
    if (rest) storePart(dx + j, f32x4.mul(f32x4.sub(loadPart(p + j, rest), less), factor), rest);
    const label = <usize>i32.load(at) - row * size;
    if (label < size) f32.store(dx + label * 4, f32.load(dx + label * 4) - f32.load(scaled) * own);
    p += size * 4;
    dx += size * 4;
    at += 4;
    scaled += 4;
  }
}
