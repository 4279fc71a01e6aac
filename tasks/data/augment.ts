/**
 * From stored bytes to what a model reads: random crops and mirroring for training, resizing, normalisation.
 *
 * @module
 */

import { OneloraError } from "../../dsl/error.ts";
import { fold, type Key, uniform } from "../../dsl/random.ts";
import type { ImageExample } from "./dataset.ts";
import { withOrigin } from "./origin.ts";
import { type Box, crop, flipHorizontally, resize } from "./resize.ts";
import { roundHalfEven } from "./round.ts";

/** A function from a stored image to a model's input. */
export interface ImageTransform {
  /** [channels, height, width] of every result. */
  readonly shape: readonly [number, number, number];
  /** The input of one image, an array of its own; its random choices are a pure function of the key. */
  apply(example: ImageExample, key: Key): Float32Array;
  /** Whether it makes random choices. */
  readonly random?: boolean;
}

/** How bytes become the numbers that a model expects: (byte / 255 - mean) / std for each channel. */
export interface Normalisation {
  /** Channels of the model: 1 or 3. */
  readonly channels: number;
  /** Mean of each channel, on the scale 0 to 1. */
  readonly mean: readonly number[];
  /** Standard deviation of each channel, on the scale 0 to 1. */
  readonly std: readonly number[];
}

/** The ranges that a random crop is drawn from. */
export interface CropRanges {
  /** Smallest and largest share of the image's area. */
  readonly scale: readonly [number, number];
  /** Smallest and largest width / height. */
  readonly ratio: readonly [number, number];
}

/** The ranges that torchvision uses unless told otherwise. */
export const standardCrop: CropRanges = { scale: [0.08, 1], ratio: [3 / 4, 4 / 3] };

const TRIES = 10;
const DRAWS = 4 * TRIES;

/** A draw from U[0, 1) moved to U[low, high), in the 32-bit arithmetic of torch. */
function between(draw: number, low: number, high: number): number {
  const span = Math.fround(Math.fround(high) - Math.fround(low));
  return Math.fround(Math.fround(draw * span) + Math.fround(low));
}

/**
 * The box of a random resized crop, as torchvision's `RandomResizedCrop.get_params` samples it: an area uniform in
 * `scale` and a ratio log-uniform in `ratio`, up to ten times until the box fits, then the largest central box whose ratio
 * is within range.
 *
 * @param height Rows of the image
 * @param width Columns of the image
 * @param ranges Scale and ratio
 * @param draws 40 numbers in [0, 1): area, ratio, top and left of each try
 */
export function cropBox(height: number, width: number, ranges: CropRanges, draws: Float32Array): Box {
  const [low, high] = ranges.ratio;
  const logRatio = [Math.log(Math.fround(low)), Math.log(Math.fround(high))] as const;
  for (let draw = 0; draw < DRAWS; draw += 4) {
    const area = height * width * between(draws[draw], ...ranges.scale);
    const ratio = Math.fround(Math.exp(between(draws[draw + 1], ...logRatio)));
    const w = roundHalfEven(Math.sqrt(area * ratio));
    const h = roundHalfEven(Math.sqrt(area / ratio));
    if (w > 0 && w <= width && h > 0 && h <= height) {
      const top = Math.floor(draws[draw + 2] * (height - h + 1));
      const left = Math.floor(draws[draw + 3] * (width - w + 1));
      return { top, left, height: h, width: w };
    }
  }
  const h = width / height < low ? roundHalfEven(width / low) : height;
  const w = width / height > high ? roundHalfEven(height * high) : width;
  return { top: Math.floor((height - h) / 2), left: Math.floor((width - w) / 2), height: h, width: w };
}

/**
 * Bytes as a model reads them, out[c, y, x] = (in[y, x, c] / 255 - mean[c]) / std[c], shape [channels, height, width].
 *
 * Grey images are repeated for a model of three channels. For a model of one channel, colours become the luminance
 * (19595 R + 38470 G + 7471 B + 32768) >> 16 of ITU-R 601-2, as in Pillow's mode L.
 *
 * @param image Image of 1 or 3 channels
 * @param how Channels, mean and standard deviation
 *
 * @example
 * ```ts
 * import { normalise } from "@onelora/onelora/tasks";
 * import { assertEquals } from "@std/assert";
 * const grey = { pixels: Uint8Array.of(255), height: 1, width: 1, channels: 1, label: 0 };
 * assertEquals([...normalise(grey, { channels: 3, mean: [0, 0.5, 0], std: [1, 1, 0.5] })], [1, 0.5, 2]);
 * ```
 */
export function normalise(image: ImageExample, how: Normalisation): Float32Array {
  const { pixels, channels } = image;
  if (![1, 3].includes(channels)) {
    throw new OneloraError({
      attempted: "normalising an image",
      found: `${channels} channels`,
      allowed: "1 (grey) or 3 (colour)",
    });
  }
  const area = image.height * image.width;
  const source = channels === 3 && how.channels === 1 ? luminance(pixels) : pixels;
  const stride = source.length / area;
  const out = new Float32Array(how.channels * area);
  for (let channel = 0; channel < how.channels; channel++) {
    const table = Float32Array.from({ length: 256 }, (_, byte) => (byte / 255 - how.mean[channel]) / how.std[channel]);
    const from = stride === 1 ? 0 : channel;
    for (let i = 0; i < area; i++) out[channel * area + i] = table[source[i * stride + from]];
  }
  return out;
}

function luminance(pixels: Uint8Array): Uint8Array {
  return Uint8Array.from(
    { length: pixels.length / 3 },
    (_, i) => (19595 * pixels[3 * i] + 38470 * pixels[3 * i + 1] + 7471 * pixels[3 * i + 2] + 32768) >> 16,
  );
}

function checkNormalisation({ channels, mean, std }: Normalisation): void {
  if ([1, 3].includes(channels) && mean.length === channels && std.length === channels && std.every((s) => s > 0)) {
    return;
  }
  throw new OneloraError({
    attempted: "preparing images",
    found: `${channels} channels, mean [${mean.join(", ")}], std [${std.join(", ")}]`,
    allowed: "1 or 3 channels, a mean and a positive std for each",
  });
}

/** What every transform needs to know of the model. */
export interface TransformOptions extends Normalisation {
  /** Height and width of the model's input, in pixels. */
  readonly size: number;
}

/** What a training transform may vary. */
export interface Augmentation {
  /** Ranges of the random crop, {@linkcode standardCrop} by default; `false` takes the whole image. */
  readonly crop?: CropRanges | false;
  /** Probability of mirroring left to right, 0.5 by default. */
  readonly flip?: number;
}

/** The model's input and what to vary. */
export interface TrainingTransformOptions extends TransformOptions, Augmentation {}

/**
 * The transform for evaluation: the whole image resized to the model's size, then normalised.
 *
 * @param options The model's input
 */
export function evaluationTransform(options: TransformOptions): ImageTransform {
  checkNormalisation(options);
  const { size, channels } = options;
  return {
    shape: [channels, size, size],
    apply: withOrigin((example: ImageExample) => normalise(resize(example, size, size), options), {
      module: import.meta.url,
      name: "evaluationTransform",
      arguments: [options],
    }),
  };
}

/**
 * The transform for training (paper, section 4.4): a random resized crop, mirrored half of the time, then normalised.
 *
 * @param options The model's input and what to vary
 */
export function trainingTransform(options: TrainingTransformOptions): ImageTransform {
  checkNormalisation(options);
  const { size, channels, crop: ranges = standardCrop, flip = 0.5 } = options;
  return {
    shape: [channels, size, size],
    random: true,
    apply: withOrigin((example: ImageExample, key: Key) => {
      const box = ranges === false
        ? { top: 0, left: 0, height: example.height, width: example.width }
        : cropBox(example.height, example.width, ranges, uniform(fold(key, "crop"), DRAWS));
      const resized = resize(crop(example, box), size, size);
      return normalise(uniform(fold(key, "flip"), 1)[0] < flip ? flipHorizontally(resized) : resized, options);
    }, { module: import.meta.url, name: "trainingTransform", arguments: [options] }),
  };
}
