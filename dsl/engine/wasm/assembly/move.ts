// Floats moved about: transposing, gathering, repeating. Works on any four-byte type.

import { loadPart, storePart } from "./layout";

/** Copies `size` floats. */
// @ts-ignore: decorator
@inline
export function copy(from: usize, to: usize, size: usize): void {
  const end = from + (size & ~3) * 4;
  for (; from < end; from += 16) {
    v128.store(to, v128.load(from));
    to += 16;
  }
  if (size & 3) storePart(to, loadPart(from, size & 3), size & 3);
}

/** Copies `count` rows of `size` floats that lie `stride` bytes apart to places `step` bytes apart. */
export function copyRows(from: usize, stride: usize, to: usize, step: usize, count: usize, size: usize): void {
  for (let i: usize = 0; i < count; i++) {
    copy(from, to, size);
    from += stride;
    to += step;
  }
}

/** Transposes a 4 x 4 block whose rows are `stride` bytes apart into rows `step` bytes apart. */
// @ts-ignore: decorator
@inline
export function transpose4(from: usize, stride: usize, to: usize, step: usize): void {
  const r0 = v128.load(from);
  const r1 = v128.load(from + stride);
  const r2 = v128.load(from + 2 * stride);
  const r3 = v128.load(from + 3 * stride);
  const p0 = v128.shuffle<f32>(r0, r1, 0, 4, 1, 5);
  const p1 = v128.shuffle<f32>(r2, r3, 0, 4, 1, 5);
  const p2 = v128.shuffle<f32>(r0, r1, 2, 6, 3, 7);
  const p3 = v128.shuffle<f32>(r2, r3, 2, 6, 3, 7);
  v128.store(to, v128.shuffle<f64>(p0, p1, 0, 2));
  v128.store(to + step, v128.shuffle<f64>(p0, p1, 1, 3));
  v128.store(to + 2 * step, v128.shuffle<f64>(p2, p3, 0, 2));
  v128.store(to + 3 * step, v128.shuffle<f64>(p2, p3, 1, 3));
}

/** Rows of x as columns of out, in blocks of 32 x 16: whole cache lines on both sides. */
function transposeRows(x: usize, stride: usize, out: usize, step: usize, rows: usize, columns: usize): void {
  const wholeRows = rows & ~3;
  const wholeColumns = columns & ~3;
  for (let top: usize = 0; top < wholeRows; top += 32) {
    const bottom = min<usize>(top + 32, wholeRows);
    for (let left: usize = 0; left < wholeColumns; left += 16) {
      const right = min<usize>(left + 16, wholeColumns);
      for (let j = left; j < right; j += 4) {
        for (let i = top; i < bottom; i += 4) {
          transpose4(x + i * stride + j * 4, stride, out + j * step + i * 4, step);
        }
      }
    }
  }
  for (let j = wholeColumns; j < columns; j++) {
    for (let i: usize = 0; i < wholeRows; i++) f32.store(out + j * step + i * 4, f32.load(x + i * stride + j * 4));
  }
  for (let i = wholeRows; i < rows; i++) {
    for (let j: usize = 0; j < columns; j++) f32.store(out + j * step + i * 4, f32.load(x + i * stride + j * 4));
  }
}

/** out[n, j, i] = x[n, i, j]. */
export function transpose(x: usize, out: usize, batch: usize, rows: usize, columns: usize): void {
  for (let n: usize = 0; n < batch; n++) {
    transposeRows(x, columns * 4, out, rows * 4, rows, columns);
    x += rows * columns * 4;
    out += rows * columns * 4;
  }
}

/**
 * Four nested loops around a transposition of `rows` x `columns`: steps in x (`s`) and in out (`t`), `stride` and `step`
 * of the rows of x and out, in bytes.
 */
export function permute(
  x: usize,
  out: usize,
  n0: usize,
  n1: usize,
  n2: usize,
  n3: usize,
  s0: usize,
  s1: usize,
  s2: usize,
  s3: usize,
  t0: usize,
  t1: usize,
  t2: usize,
  t3: usize,
  rows: usize,
  columns: usize,
  stride: usize,
  step: usize,
): void {
  for (let i0: usize = 0; i0 < n0; i0++) {
    for (let i1: usize = 0; i1 < n1; i1++) {
      for (let i2: usize = 0; i2 < n2; i2++) {
        let from = x + i0 * s0 + i1 * s1 + i2 * s2;
        let to = out + i0 * t0 + i1 * t1 + i2 * t2;
        for (let i3: usize = 0; i3 < n3; i3++) {
          transposeRows(from, stride, to, step, rows, columns);
          from += s3;
          to += t3;
        }
      }
    }
  }
}

/** The same around copies of `size` floats. Steps may be negative. */
export function copyBlocks(
  x: usize,
  out: usize,
  n0: usize,
  n1: usize,
  n2: usize,
  n3: usize,
  s0: usize,
  s1: usize,
  s2: usize,
  s3: usize,
  t0: usize,
  t1: usize,
  t2: usize,
  t3: usize,
  size: usize,
): void {
  for (let i0: usize = 0; i0 < n0; i0++) {
    for (let i1: usize = 0; i1 < n1; i1++) {
      for (let i2: usize = 0; i2 < n2; i2++) {
        let from = x + i0 * s0 + i1 * s1 + i2 * s2;
        let to = out + i0 * t0 + i1 * t1 + i2 * t2;
        for (let i3: usize = 0; i3 < n3; i3++) {
          copy(from, to, size);
          from += s3;
          to += t3;
        }
      }
    }
  }
}

/** out[n, j, i] = x[n, i, j] where every element is `size` floats. */
export function transposeBlocks(x: usize, out: usize, batch: usize, rows: usize, columns: usize, size: usize): void {
  for (let n: usize = 0; n < batch; n++) {
    for (let j: usize = 0; j < columns; j++) {
      let from = x + j * size * 4;
      for (let i: usize = 0; i < rows; i++) {
        copy(from, out, size);
        from += columns * size * 4;
        out += size * 4;
      }
    }
    x += rows * columns * size * 4;
  }
}

/** out[n, i] = x[n, indices[i]] where every element is `size` floats and x has `rows` of them. */
export function gather(
  x: usize,
  indices: usize,
  out: usize,
  batch: usize,
  rows: usize,
  count: usize,
  size: usize,
): void {
  for (let n: usize = 0; n < batch; n++) {
    for (let i: usize = 0; i < count; i++) {
      copy(x + <usize>i32.load(indices + i * 4) * size * 4, out, size);
      out += size * 4;
    }
    x += rows * size * 4;
  }
}

/** out[n, i] = x[n] for i below `count`, where every element is `size` floats. */
export function repeat(x: usize, out: usize, batch: usize, count: usize, size: usize): void {
  for (let n: usize = 0; n < batch; n++) {
    if (size == 1) {
      const value = v128.load_splat<f32>(x);
      const end = out + (count & ~3) * 4;
      for (; out < end; out += 16) v128.store(out, value);
      if (count & 3) storePart(out, value, count & 3);
      out += (count & 3) * 4;
    } else {
      for (let i: usize = 0; i < count; i++) {
        copy(x, out, size);
        out += size * 4;
      }
    }
    x += size * 4;
  }
}
