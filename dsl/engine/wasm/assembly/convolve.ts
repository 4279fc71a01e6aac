// Convolutions of NHWC images as matrix products: a row of the left factor is what one output pixel sees, gathered from the
// image when the product asks for it.

import { block, DEPTH, loadPart, ROWS, storePart } from "./layout";
import { copy } from "./move";

// How the kernel slides over the image, for `placePatches`; each thread has its own.
let image: usize = 0;
let first: usize = 0;
let imageHeight: isize = 0;
let imageWidth: isize = 0;
let channels: usize = 0;
let kernelWidth: isize = 0;
let outPixels: usize = 0;
let outWidth: usize = 0;
let stride: isize = 0;
let top: isize = 0;
let left: isize = 0;

/** Says what `placePatches` gathers from. Sizes are in pixels; `first` is the output pixel that row 0 stands for. */
export function slideOver(
  x: usize,
  firstPixel: usize,
  height: usize,
  width: usize,
  depth: usize,
  kernel: usize,
  pixels: usize,
  columns: usize,
  step: usize,
  above: usize,
  before: usize,
): void {
  image = x;
  first = firstPixel;
  imageHeight = height;
  imageWidth = width;
  channels = depth;
  kernelWidth = kernel;
  outPixels = pixels;
  outWidth = columns;
  stride = step;
  top = above;
  left = before;
}

/** Stores `size` zeros. */
// @ts-ignore: decorator
@inline
function clear(to: usize, size: usize): void {
  const zero = f32x4.splat(0);
  const end = to + (size & ~3) * 4;
  for (; to < end; to += 16) v128.store(to, zero);
  if (size & 3) storePart(to, zero, size & 3);
}

/**
 * Columns `begin` to `begin + depth` of rows `row` to `row + height` of the image's patches, in the order [kernel row,
 * kernel column, channel], at the constant address, ending in its last column; zeros around them and outside the image.
 */
export function placePatches(row: usize, begin: usize, depth: usize, height: usize, padded: usize): void {
  const line = <usize>kernelWidth * channels;
  let out: usize = block + (DEPTH - padded) * 4;
  // Divisions are slow: what follows from one pixel to the next is counted instead.
  const u0 = <isize>(begin / line);
  const at0 = begin - <usize>u0 * line;
  let n = (first + row) / outPixels;
  let inside = first + row - n * outPixels;
  const y = inside / outWidth;
  let column = inside - y * outWidth;
  let y0 = <isize>y * stride - top;
  let x0 = <isize>column * stride - left;
  for (let i: usize = 0; i < height; i++) {
    // Elements of a kernel's row that lie in the image.
    const valid = <usize>max<isize>(0, -x0) * channels;
    const end = <usize>max<isize>(0, min<isize>(kernelWidth, imageWidth - x0)) * channels;
    let u = u0;
    let at = at0;
    let remaining = depth;
    let to = out;
    while (remaining > 0) {
      const count = min<usize>(remaining, line - at);
      const y = y0 + u;
      if (y < 0 || y >= imageHeight) {
        clear(to, count);
      } else {
        const from = max<usize>(at, valid);
        const until = min<usize>(at + count, end);
        if (from >= until) {
          clear(to, count);
        } else {
          const source = image + ((<usize>((<isize>n * imageHeight + y) * imageWidth + x0)) * channels + from) * 4;
          if (from > at) clear(to, from - at);
          copy(source, to + (from - at) * 4, until - from);
          if (until < at + count) clear(to + (until - at) * 4, at + count - until);
        }
      }
      to += count * 4;
      remaining -= count;
      at = 0;
      u++;
    }
    if (depth < padded) clear(to, padded - depth);
    out += DEPTH * 4;
    inside++;
    if (++column == outWidth) {
      column = 0;
      x0 = -left;
      y0 += stride;
      if (inside == outPixels) {
        inside = 0;
        y0 = -top;
        n++;
      }
    } else {
      x0 += stride;
    }
  }
  for (let i = height; i < ROWS; i++) {
    clear(out, padded);
    out += DEPTH * 4;
  }
}

/**
 * The gradient of a convolution with respect to its image, from what each output pixel gives to all that it saw:
 * x[n, y, x] = sum over kernel positions (u, v), in order, of patches[n, (y + top - u) / stride, (x + left - v) / stride, u, v].
 * Image rows `begin` to `begin + rows`, counted over all images; `out` is the first of them.
 */
export function collect(
  patches: usize,
  out: usize,
  begin: usize,
  rows: usize,
  height: usize,
  width: usize,
  depth: usize,
  kernelHeight: usize,
  kernel: usize,
  outHeight: usize,
  columns: usize,
  step: usize,
  above: usize,
  before: usize,
): void {
  const patch = kernelHeight * kernel * depth;
  const whole = depth & ~3;
  const rest = depth & 3;
  for (let row = begin; row < begin + rows; row++) {
    const n = row / height;
    const y = row % height;
    for (let x: usize = 0; x < width; x++) {
      clear(out, depth);
      for (let u: usize = 0; u < kernelHeight; u++) {
        const below = <isize>(y + above) - <isize>u;
        if (below < 0 || <usize>below % step != 0 || <usize>below / step >= outHeight) continue;
        for (let v: usize = 0; v < kernel; v++) {
          const beside = <isize>(x + before) - <isize>v;
          if (beside < 0 || <usize>beside % step != 0 || <usize>beside / step >= columns) continue;
          const pixel = (n * outHeight + <usize>below / step) * columns + <usize>beside / step;
          const from = patches + (pixel * patch + (u * kernel + v) * depth) * 4;
          for (let p: usize = 0; p < whole; p += 4) {
            v128.store(out + p * 4, f32x4.add(v128.load(out + p * 4), v128.load(from + p * 4)));
          }
          if (rest) {
            const at = out + whole * 4;
            storePart(at, f32x4.add(loadPart(at, rest), loadPart(from + whole * 4, rest)), rest);
          }
        }
      }
      out += depth * 4;
    }
  }
}
