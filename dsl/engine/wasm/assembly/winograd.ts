// Convolutions of NHWC images with 3 x 3 kernels that move by one pixel, by Winograd's F(2 x 2, 3 x 3): of 2 x 2 output
// pixels and the 4 x 4 that they see, d, with a filter g, the output is A^T (G g G^T * B^T d B) A, 16 products a channel
// instead of 36 (Lavin and Gray 2016). The products of all channels are 16 matrix products, one for each of the 4 x 4 places.

import { block, COLUMNS, DEPTH, loadPart, ROWS, storePart } from "./layout";
import { multiplyNarrow, multiplyPanels } from "./micro_kernel";
import { copy } from "./move";
import { placeRows } from "./pack";

/** Places of a tile. */
const PLACES: usize = 16;

/** Floats that the tiles in work may take: with a filter's 16 matrices, a second-level cache holds them. */
const ROOM: usize = 57344;

/** Most tiles in work at a time. */
const MOST: usize = 96;

// @ts-ignore: decorator
@inline
function roundUp(n: usize, multiple: usize): usize {
  return ((n + multiple - 1) / multiple) * multiple;
}

/** Four numbers of a filter's row, zeros where it ends. */
// @ts-ignore: decorator
@inline
function loadEnd(from: usize, count: isize): v128 {
  if (count >= 4) return v128.load(from);
  return count > 0 ? loadPart(from, count) : f32x4.splat(0);
}

/**
 * G g G^T of channels `begin` to `end` of a filter [3, 3, channels, columns], as `convolveTiles` reads it: for each of 16
 * places, panels of 8 columns, cut every 64 channels.
 */
export function turnFilter(
  filter: usize,
  out: usize,
  begin: usize,
  end: usize,
  channels: usize,
  columns: usize,
): void {
  const padded = roundUp(columns, COLUMNS);
  const all = roundUp(channels, 4);
  const step = all * padded * 4;
  const place = channels * columns * 4;
  const half = f32x4.splat(0.5);
  // Channels that a vector has beyond the last are zeros.
  const last = end == channels ? all : end;
  for (let c = begin; c < last; c++) {
    const first = c & ~(DEPTH - 1);
    const part = min<usize>(DEPTH, all - first);
    for (let j: usize = 0; j < padded; j += 4) {
      let to = out + (first * padded + (j & ~(COLUMNS - 1)) * part + (c - first) * COLUMNS + (j & 4)) * 4;
      const count: isize = c < channels ? <isize>columns - <isize>j : 0;
      // Rows of G g, one column of the filter after the other.
      for (let u: usize = 0; u < 4; u++) {
        let g0: v128, g1: v128, g2: v128;
        const from = filter + (c * columns + j) * 4;
        if (u == 0 || u == 3) {
          const row = from + u * place * 2;
          g0 = loadEnd(row, count);
          g1 = loadEnd(row + place, count);
          g2 = loadEnd(row + 2 * place, count);
        } else {
          g0 = between(from, place * 3, count, u == 2);
          g1 = between(from + place, place * 3, count, u == 2);
          g2 = between(from + 2 * place, place * 3, count, u == 2);
        }
        const ends = f32x4.add(g0, g2);
        v128.store(to, g0);
        v128.store(to + step, f32x4.mul(half, f32x4.add(ends, g1)));
        v128.store(to + 2 * step, f32x4.mul(half, f32x4.sub(ends, g1)));
        v128.store(to + 3 * step, g2);
        to += 4 * step;
      }
    }
  }
}

/** Half the sum of three rows of a filter, the middle one with a minus where `isLess`. */
function between(from: usize, stride: usize, count: isize, isLess: bool): v128 {
  const ends = f32x4.add(loadEnd(from, count), loadEnd(from + 2 * stride, count));
  const middle = loadEnd(from + stride, count);
  return f32x4.mul(f32x4.splat(0.5), isLess ? f32x4.sub(ends, middle) : f32x4.add(ends, middle));
}

/** B^T d B of 4 x 4 pixels of `size` channels (a multiple of 4), `line` bytes from row to row, to 16 places `step` bytes apart. */
function turnTile(from: usize, line: usize, size: usize, to: usize, step: usize): void {
  const pixel = size * 4;
  for (let p: usize = 0; p < pixel; p += 16) {
    let at = from + p;
    let d0 = v128.load(at);
    let d1 = v128.load(at + line);
    let d2 = v128.load(at + 2 * line);
    let d3 = v128.load(at + 3 * line);
    const a0 = f32x4.sub(d0, d2);
    const a1 = f32x4.add(d1, d2);
    const a2 = f32x4.sub(d2, d1);
    const a3 = f32x4.sub(d1, d3);
    at += pixel;
    d0 = v128.load(at);
    d1 = v128.load(at + line);
    d2 = v128.load(at + 2 * line);
    d3 = v128.load(at + 3 * line);
    const b0 = f32x4.sub(d0, d2);
    const b1 = f32x4.add(d1, d2);
    const b2 = f32x4.sub(d2, d1);
    const b3 = f32x4.sub(d1, d3);
    at += pixel;
    d0 = v128.load(at);
    d1 = v128.load(at + line);
    d2 = v128.load(at + 2 * line);
    d3 = v128.load(at + 3 * line);
    const c0 = f32x4.sub(d0, d2);
    const c1 = f32x4.add(d1, d2);
    const c2 = f32x4.sub(d2, d1);
    const c3 = f32x4.sub(d1, d3);
    at += pixel;
    d0 = v128.load(at);
    d1 = v128.load(at + line);
    d2 = v128.load(at + 2 * line);
    d3 = v128.load(at + 3 * line);
    let out = to + p;
    storeRow(out, step, a0, b0, c0, f32x4.sub(d0, d2));
    out += 4 * step;
    storeRow(out, step, a1, b1, c1, f32x4.add(d1, d2));
    out += 4 * step;
    storeRow(out, step, a2, b2, c2, f32x4.sub(d2, d1));
    out += 4 * step;
    storeRow(out, step, a3, b3, c3, f32x4.sub(d1, d3));
  }
}

/** A row of B^T d times B. */
// @ts-ignore: decorator
@inline
function storeRow(to: usize, step: usize, t0: v128, t1: v128, t2: v128, t3: v128): void {
  v128.store(to, f32x4.sub(t0, t2));
  v128.store(to + step, f32x4.add(t1, t2));
  v128.store(to + 2 * step, f32x4.sub(t2, t1));
  v128.store(to + 3 * step, f32x4.sub(t1, t3));
}

/** Copies 4 x 4 pixels from (y0, x0) on of an image to `to`, whose pixels have `size` channels; zeros outside and beyond the channels. */
function gatherTile(
  image: usize,
  height: isize,
  width: isize,
  channels: usize,
  y0: isize,
  x0: isize,
  to: usize,
  size: usize,
): void {
  memory.fill(to, 0, 16 * size * 4);
  const from = max<isize>(0, -x0);
  const until = min<isize>(4, width - x0);
  if (until <= from) return;
  for (let u = max<isize>(0, -y0); u < 4 && y0 + u < height; u++) {
    let source = image + <usize>((y0 + u) * width + x0 + from) * channels * 4;
    let out = to + (<usize>(u * 4 + from)) * size * 4;
    if (size == channels) copy(source, out, <usize>(until - from) * channels);
    else {
      for (let v = from; v < until; v++) {
        copy(source, out, channels);
        source += channels * 4;
        out += size * 4;
      }
    }
  }
}

/** Stores the first `count` of four numbers, all where there are more. */
// @ts-ignore: decorator
@inline
function storeEnd(to: usize, value: v128, count: usize): void {
  if (count >= 4) v128.store(to, value);
  else storePart(to, value, count);
}

/** A^T m A of 16 places `step` bytes apart to 2 x 2 pixels, or to those of them that there are. */
function writeTile(
  from: usize,
  step: usize,
  columns: usize,
  to: usize,
  line: usize,
  hasBelow: bool,
  hasBeside: bool,
): void {
  for (let j: usize = 0; j < columns; j += 4) {
    let at = from + j * 4;
    let m0 = v128.load(at);
    let m1 = v128.load(at + step);
    let m2 = v128.load(at + 2 * step);
    let m3 = v128.load(at + 3 * step);
    const a0 = f32x4.add(f32x4.add(m0, m1), m2);
    const a1 = f32x4.sub(f32x4.sub(m1, m2), m3);
    at += 4 * step;
    m0 = v128.load(at);
    m1 = v128.load(at + step);
    m2 = v128.load(at + 2 * step);
    m3 = v128.load(at + 3 * step);
    const b0 = f32x4.add(f32x4.add(m0, m1), m2);
    const b1 = f32x4.sub(f32x4.sub(m1, m2), m3);
    at += 4 * step;
    m0 = v128.load(at);
    m1 = v128.load(at + step);
    m2 = v128.load(at + 2 * step);
    m3 = v128.load(at + 3 * step);
    const c0 = f32x4.add(f32x4.add(m0, m1), m2);
    const c1 = f32x4.sub(f32x4.sub(m1, m2), m3);
    at += 4 * step;
    m0 = v128.load(at);
    m1 = v128.load(at + step);
    m2 = v128.load(at + 2 * step);
    m3 = v128.load(at + 3 * step);
    const d0 = f32x4.add(f32x4.add(m0, m1), m2);
    const d1 = f32x4.sub(f32x4.sub(m1, m2), m3);
    const out = to + j * 4;
    const count = columns - j;
    const beside = out + columns * 4;
    storeEnd(out, f32x4.add(f32x4.add(a0, b0), c0), count);
    if (hasBeside) storeEnd(beside, f32x4.add(f32x4.add(a1, b1), c1), count);
    if (!hasBelow) continue;
    storeEnd(out + line, f32x4.sub(f32x4.sub(b0, c0), d0), count);
    if (hasBeside) storeEnd(beside + line, f32x4.sub(f32x4.sub(b1, c1), d1), count);
  }
}

/** What `tiles` x `depth` numbers behind `from` (a multiple of 4) give with a place's panels, to `tiles` x `padded` behind `to`. */
function multiplyPlace(from: usize, tiles: usize, depth: usize, panels: usize, columns: usize, to: usize): void {
  const padded = roundUp(columns, COLUMNS);
  const isNarrow = padded - columns >= 4;
  const whole = isNarrow ? padded - COLUMNS : padded;
  for (let top: usize = 0; top < tiles; top += ROWS) {
    const height = min<usize>(ROWS, tiles - top);
    const target = to + top * padded * 4;
    let panel = panels;
    for (let p: usize = 0; p < depth; p += DEPTH) {
      const part = min<usize>(DEPTH, depth - p);
      placeRows(from + (top * depth + p) * 4, depth * 4, part, height, part);
      for (let j: usize = 0; j < whole; j += COLUMNS) {
        multiplyPanels(part, panel, target + j * 4, padded * 4, p > 0);
        panel += part * COLUMNS * 4;
      }
      if (isNarrow) {
        multiplyNarrow(part, panel, target + whole * 4, padded * 4, p > 0);
        panel += part * COLUMNS * 4;
      }
    }
  }
}

/**
 * The convolution of images [n, height, width, channels] with a filter that `turnFilter` made, `above` rows and `before`
 * columns of zeros around them: `tiles` tiles of 2 x 2 output pixels from `first` on, counted over all images. `out` is the
 * first image's.
 */
export function convolveTiles(
  x: usize,
  filter: usize,
  out: usize,
  first: usize,
  tiles: usize,
  columns: usize,
  height: usize,
  width: usize,
  channels: usize,
  outHeight: usize,
  outWidth: usize,
  above: usize,
  before: usize,
  work: usize,
): void {
  const size = roundUp(channels, 4);
  const padded = roundUp(columns, COLUMNS);
  const most = max<usize>(ROWS, min<usize>(MOST, (ROOM / (PLACES * (size + padded)) / ROWS) * ROWS));
  const gathered = work;
  const turned = gathered + PLACES * size * 4;
  const across = (outWidth + 1) / 2;
  const down = (outHeight + 1) / 2;
  const line = width * channels * 4;
  const outLine = outWidth * columns * 4;
  const end = first + tiles;
  for (let begin = first; begin < end; begin += most) {
    const count = min<usize>(most, end - begin);
    const step = count * size * 4;
    const products = turned + PLACES * step;
    const stepOut = roundUp(count, ROWS) * padded * 4;
    let n = begin / (across * down);
    let row = (begin - n * across * down) / across;
    let column = begin - (n * down + row) * across;
    for (let i: usize = 0; i < count; i++) {
      const y0 = <isize>(row * 2) - <isize>above;
      const x0 = <isize>(column * 2) - <isize>before;
      const image = x + n * height * line;
      const to = turned + i * size * 4;
      if (size == channels && y0 >= 0 && x0 >= 0 && y0 + 4 <= <isize>height && x0 + 4 <= <isize>width) {
        turnTile(image + <usize>y0 * line + <usize>x0 * channels * 4, line, size, to, step);
      } else {
        gatherTile(image, height, width, channels, y0, x0, gathered, size);
        turnTile(gathered, 4 * size * 4, size, to, step);
      }
      if (++column == across) {
        column = 0;
        if (++row == down) {
          row = 0;
          n++;
        }
      }
    }
    for (let place: usize = 0; place < PLACES; place++) {
      multiplyPlace(
        turned + place * step,
        count,
        size,
        filter + place * size * padded * 4,
        columns,
        products + place * stepOut,
      );
    }
    n = begin / (across * down);
    row = (begin - n * across * down) / across;
    column = begin - (n * down + row) * across;
    for (let i: usize = 0; i < count; i++) {
      const to = out + ((n * outHeight + row * 2) * outWidth + column * 2) * columns * 4;
      const hasBelow = row * 2 + 1 < outHeight;
      const hasBeside = column * 2 + 1 < outWidth;
      writeTile(products + i * padded * 4, stepOut, columns, to, outLine, hasBelow, hasBeside);
      if (++column == across) {
        column = 0;
        if (++row == down) {
          row = 0;
          n++;
        }
      }
    }
  }
}
