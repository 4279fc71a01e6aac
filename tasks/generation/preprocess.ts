/**
 * Images as diffusion models see them: DiT's centre crop, values from -1 to 1, and back to bytes.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import { fold, type Key, uniform } from "../../dsl/random.ts";
import type { ImageTransform } from "../data/augment.ts";
import { byteTables, type Normalisation, normalise, packBytes } from "../data/normalise.ts";
import type { ImageExample } from "../data/dataset.ts";
import { withOrigin } from "../data/origin.ts";
import { crop, flipHorizontally, resize } from "../data/resize.ts";
import { roundHalfEven } from "../data/round.ts";

/**
 * The central square of an image: halved by the box filter while both sides are at least twice the size, the shorter side
 * then resized by the bicubic filter, and the middle cut out, as DiT prepares ImageNet.
 *
 * @param image Image to crop
 * @param size Side of the square, in pixels
 *
 * @example
 * ```ts
 * import { centreCrop } from "./preprocess.ts";
 * import { assertEquals } from "@std/assert";
 * const image = { pixels: Uint8Array.of(9, 9, 1, 3, 5, 7, 9, 9), height: 2, width: 4, channels: 1, label: 0 };
 * assertEquals([...centreCrop(image, 2).pixels], [9, 1, 7, 9]);
 * ```
 */
export function centreCrop(image: ImageExample, size: number): ImageExample {
  if (!Number.isInteger(size) || size < 1) {
    throw new OneloraError({ attempted: "cropping an image", found: `size ${size}`, allowed: "a positive whole size" });
  }
  let picture = image;
  while (Math.min(picture.height, picture.width) >= 2 * size) {
    picture = resize(picture, Math.floor(picture.height / 2), Math.floor(picture.width / 2), "box");
  }
  const scale = size / Math.min(picture.height, picture.width);
  const { height, width } = picture;
  picture = resize(picture, roundHalfEven(height * scale), roundHalfEven(width * scale), "bicubic");
  const top = Math.floor((picture.height - size) / 2);
  const left = Math.floor((picture.width - size) / 2);
  return crop(picture, { top, left, height: size, width: size });
}

/** What images a diffusion model or its autoencoder takes. */
export interface GenerationTransformOptions {
  /** Height and width in pixels. */
  readonly size: number;
  /** 1 or 3. */
  readonly channels: number;
  /** Probability of mirroring left to right; DiT's, 0.5, by default. */
  readonly flip?: number;
  /** Leave pictures as bytes, four to a number, for a model that looks their numbers up itself (default false). */
  readonly packed?: boolean;
}

/** How bytes become numbers from -1 to 1. */
function normalisation(channels: number): Normalisation {
  const halves = new Array<number>(channels).fill(0.5);
  return { channels, mean: halves, std: halves };
}

/**
 * What bytes stand for, [channels, 256].
 *
 * @param channels 1 or 3
 */
export function generationTables(channels: number): Float32Array {
  return byteTables(normalisation(channels));
}

/**
 * The transform for training: centre crop, mirrored with a probability, byte / 127.5 - 1. Packed, its size is a multiple of 4.
 *
 * @param options What images the model takes
 */
export function generationTransform(
  { size, channels, flip = 0.5, packed = false }: GenerationTransformOptions,
): ImageTransform {
  const how = normalisation(channels);
  return {
    shape: [channels, size, packed ? size / 4 : size],
    random: flip > 0 && flip < 1,
    apply: withOrigin((example: ImageExample, key: Key) => {
      const cropped = centreCrop(example, size);
      const seen = uniform(fold(key, "flip"), 1)[0] < flip ? flipHorizontally(cropped) : cropped;
      return packed ? packBytes(seen, how) : normalise(seen, how);
    }, {
      module: import.meta.url,
      name: "generationTransform",
      arguments: [{ size, channels, flip, packed }],
      reads: [],
    }),
  };
}

/**
 * Values from -1 to 1 as bytes: trunc(clamp(127.5 x + 128, 0, 255)), in 32-bit arithmetic as in DiT's code.
 *
 * @param values Any number of values, finite
 */
export function toBytes(values: Float32Array): Uint8Array {
  return Uint8Array.from(values, (x) => Math.max(0, Math.min(255, Math.fround(Math.fround(127.5 * x) + 128))));
}
