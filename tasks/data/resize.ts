/**
 * Cropping, mirroring and resizing of byte images.
 *
 * @module
 */

import { OneloraError } from "../../dsl/error.ts";
import type { Resampling } from "../../models/image_input.ts";
import type { ImageExample } from "./dataset.ts";

/** A rectangle of an image, in pixels. */
export interface Box {
  /** First row. */
  readonly top: number;
  /** First column. */
  readonly left: number;
  /** Rows. */
  readonly height: number;
  /** Columns. */
  readonly width: number;
}

/**
 * The pixels within a box.
 *
 * @param image Image to cut from
 * @param box Rectangle inside it
 */
export function crop(image: ImageExample, box: Box): ImageExample {
  const { pixels, width, channels } = image;
  if (box.height === image.height && box.width === width) return image;
  const out = new Uint8Array(box.height * box.width * channels);
  for (let row = 0; row < box.height; row++) {
    const start = ((box.top + row) * width + box.left) * channels;
    out.set(pixels.subarray(start, start + box.width * channels), row * box.width * channels);
  }
  return { ...image, pixels: out, height: box.height, width: box.width };
}

/**
 * The image mirrored left to right.
 *
 * @param image Image to mirror
 */
export function flipHorizontally<Image extends Omit<ImageExample, "label">>(image: Image): Image {
  const { pixels, height, width, channels } = image;
  const out = new Uint8Array(pixels.length);
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      const from = (row * width + column) * channels;
      const to = (row * width + width - 1 - column) * channels;
      for (let channel = 0; channel < channels; channel++) out[to + channel] = pixels[from + channel];
    }
  }
  return { ...image, pixels: out };
}

/** Which inputs an output reads: `weights[i]` belongs to input `first + i`. */
interface Reach {
  readonly first: number;
  readonly weights: Int32Array;
}

// Weights are integers in units of 2^-22, the resolution that Pillow uses for bytes: 255 * 2^22 still fits 32 bits.
const PRECISION = 22;

/** How far an output looks, in units of the larger pixel of both images, and how much it takes at each distance. */
interface Filter {
  readonly support: number;
  readonly weight: (distance: number) => number;
}

/**
 * Which neighbours a resized pixel mixes: the mean of those within it, a triangle, Keys' cubic with a = -1/2, a sine's first
 * lobe under Hamming's window, or three lobes under a wider one. All widen with the scale when shrinking. "nearest" takes the
 * one pixel in which the middle lies.
 */
export type ResizeFilter = Resampling;

/** sin(pi x) / (pi x). */
function sinc(x: number): number {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

const filters: Readonly<Record<Exclude<ResizeFilter, "nearest">, Filter>> = {
  box: { support: 0.5, weight: (x) => x > -0.5 && x <= 0.5 ? 1 : 0 },
  hamming: {
    support: 1,
    weight: (x) => Math.abs(x) >= 1 ? 0 : sinc(x) * (0.54 + 0.46 * Math.cos(Math.PI * x)),
  },
  lanczos: { support: 3, weight: (x) => x < -3 || x >= 3 ? 0 : sinc(x) * sinc(x / 3) },
  bilinear: { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
  bicubic: {
    support: 2,
    weight: (signed) => {
      const x = Math.abs(signed);
      if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
      return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
    },
  },
};

/** The filter sampled at each output's inputs. */
function reaches(from: number, to: number, filter: Filter): readonly Reach[] {
  const scale = from / to;
  const widening = Math.max(scale, 1);
  const support = filter.support * widening;
  const narrowing = 1 / widening;
  return Array.from({ length: to }, (_, i) => {
    const centre = (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - support + 0.5));
    const end = Math.min(from, Math.trunc(centre + support + 0.5));
    const heights = Array.from(
      { length: end - first },
      (_, j) => filter.weight((first + j + 0.5 - centre) * narrowing),
    );
    const sum = heights.reduce((total, height) => total + height, 0);
    const rounded = (height: number) => Math.trunc(height / sum * 2 ** PRECISION + (height < 0 ? -0.5 : 0.5));
    return { first, weights: Int32Array.from(heights, rounded) };
  });
}

/** Resamples the middle axis of [outer, from, inner] bytes. */
function resample(
  bytes: Uint8Array,
  [outer, from, inner]: readonly [number, number, number],
  to: number,
  filter: Filter,
): Uint8Array {
  if (from === to) return bytes;
  const out = new Uint8Array(outer * to * inner);
  const plan = reaches(from, to, filter);
  for (let block = 0; block < outer; block++) {
    for (let i = 0; i < to; i++) {
      const { first, weights } = plan[i];
      const source = (block * from + first) * inner;
      const target = (block * to + i) * inner;
      for (let k = 0; k < inner; k++) {
        let sum = 1 << (PRECISION - 1);
        for (let j = 0, at = source + k; j < weights.length; j++, at += inner) sum += bytes[at] * weights[j];
        out[target + k] = Math.max(0, Math.min(255, sum >> PRECISION));
      }
    }
  }
  return out;
}

/** The pixels in which the middles of the new ones lie. */
function nearest(image: ImageExample, height: number, width: number): ImageExample {
  const { pixels, channels } = image;
  // Summed, not multiplied, as Pillow does: where a sum comes to a pixel's edge, its last bit decides.
  const places = (from: number, to: number) => {
    let place = from / to * 0.5;
    return Int32Array.from({ length: to }, () => {
      const at = Math.min(Math.floor(place), from - 1);
      place += from / to;
      return at;
    });
  };
  const [rows, columns] = [places(image.height, height), places(image.width, width)];
  const out = new Uint8Array(height * width * channels);
  for (let row = 0, to = 0; row < height; row++) {
    for (let column = 0; column < width; column++, to += channels) {
      const from = (rows[row] * image.width + columns[column]) * channels;
      for (let channel = 0; channel < channels; channel++) out[to + channel] = pixels[from + channel];
    }
  }
  return { ...image, pixels: out, height, width };
}

/**
 * Resizing with antialiasing: rows and columns by the filter, rounded to bytes in between. Equal, byte for byte, to
 * Pillow 13's `Image.resize` with the filter of that name, and so to torchvision's resize of Pillow images. (Pillow 12 and
 * earlier always start with rows, which can differ by 1 where the height shrinks far more than the width.)
 *
 * @param image Image to resize
 * @param height Rows of the result
 * @param width Columns of the result
 * @param filter Which neighbours a pixel mixes
 *
 * @example
 * ```ts
 * import { resize } from "@onelora/onelora/tasks";
 * import { assertEquals } from "@std/assert";
 * const image = { pixels: Uint8Array.of(0, 100, 100, 200), height: 2, width: 2, channels: 1, label: 0 };
 * assertEquals([...resize(image, 1, 1).pixels], [100]);
 * ```
 */
export function resize(
  image: ImageExample,
  height: number,
  width: number,
  filter: ResizeFilter = "bilinear",
): ImageExample {
  if (![height, width].every((size) => Number.isInteger(size) && size > 0) || image.pixels.length === 0) {
    throw new OneloraError({
      attempted: "resizing an image",
      found: `${image.height}x${image.width} to ${height}x${width}`,
      allowed: "positive whole sizes",
    });
  }
  if (filter === "nearest") return nearest(image, height, width);
  const { channels } = image;
  const across = (bytes: Uint8Array, rows: number) =>
    resample(bytes, [rows, image.width, channels], width, filters[filter]);
  const down = (bytes: Uint8Array, columns: number) =>
    resample(bytes, [1, image.height, columns * channels], height, filters[filter]);
  // The order shows in the rounding, and this is Pillow's choice: columns first where rows are by far the most to lose.
  const lost = image.height - height;
  const pixels = lost > 0 && lost > 2 * (image.width - width)
    ? across(down(image.pixels, image.width), height)
    : down(across(image.pixels, image.height), width);
  return { ...image, pixels, height, width };
}
