/**
 * Bytes as the numbers that a model expects.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import type { ImageExample } from "./dataset.ts";

/** A picture, whatever it is of. */
type Picture = Pick<ImageExample, "pixels" | "channels" | "height" | "width">;

/** How bytes become the numbers that a model expects: (byte rescale - mean) / std for each channel. */
export interface Normalisation {
  /** Channels of the model: 1 or 3. */
  readonly channels: number;
  /** Mean of each channel, on the scale 0 to 1. */
  readonly mean: readonly number[];
  /** Standard deviation of each channel, on the scale 0 to 1. */
  readonly std: readonly number[];
  /** Factor of bytes, 1 / 255 by default. */
  readonly rescale?: number;
  /** Whether red and blue change places. */
  readonly reversed?: boolean;
}

/**
 * Bytes as a model reads them, out[c, y, x] = (in[y, x, c] rescale - mean[c]) / std[c], shape [channels, height, width].
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
  const area = image.height * image.width;
  const out = new Float32Array(how.channels * area);
  const tables = byteTables(how);
  channelBytes(image, how, (channel, source, stride, from) => {
    const table = tables.subarray(256 * channel, 256 * (channel + 1));
    for (let i = 0; i < area; i++) out[channel * area + i] = table[source[i * stride + from]];
  });
  return out;
}

/**
 * The numbers that bytes become: 256 for each channel, in order, exactly those that {@linkcode normalise} gives.
 *
 * @param how Channels, mean and standard deviation
 */
export function byteTables({ channels, mean, std, rescale }: Normalisation): Float32Array {
  // By division where it is the usual one: bytes / 255 and bytes times 1 / 255 differ in the last bit.
  const scaled = (byte: number) => rescale === undefined || rescale === 1 / 255 ? byte / 255 : byte * rescale;
  return Float32Array.from({ length: 256 * channels }, (_, i) => {
    const channel = i >> 8;
    return (scaled(i & 255) - mean[channel]) / std[channel];
  });
}

/**
 * A picture's bytes before they become numbers, four to a word: [channels, height, width / 4]. Their bits alone count; the
 * array is one of float32, as those of numbers are.
 *
 * @param image Image of 1 or 3 channels, whose width is a multiple of 4
 * @param how Channels and their order
 */
export function packBytes(image: Picture, how: Normalisation): Float32Array {
  const area = image.height * image.width;
  const out = new Uint8Array(how.channels * area);
  channelBytes(image, how, (channel, source, stride, from) => {
    for (let i = 0; i < area; i++) out[channel * area + i] = source[i * stride + from];
  });
  return new Float32Array(out.buffer);
}

/** The bytes of each of the model's channels: every so many of an array, from a place on. */
function channelBytes(
  { pixels, channels, height, width }: Picture,
  how: Normalisation,
  take: (channel: number, source: Uint8Array | Uint8ClampedArray, stride: number, from: number) => void,
): void {
  if (![1, 3].includes(channels)) {
    throw new OneloraError({
      attempted: "normalising an image",
      found: `${channels} channels`,
      allowed: "1 (grey) or 3 (colour)",
    });
  }
  const source = channels === 3 && how.channels === 1 ? luminance(pixels) : pixels;
  const stride = source.length / (height * width);
  for (let channel = 0; channel < how.channels; channel++) {
    take(channel, source, stride, stride === 1 ? 0 : how.reversed ? stride - 1 - channel : channel);
  }
}

function luminance(pixels: Uint8Array): Uint8Array {
  return Uint8Array.from(
    { length: pixels.length / 3 },
    (_, i) => (19595 * pixels[3 * i] + 38470 * pixels[3 * i + 1] + 7471 * pixels[3 * i + 2] + 32768) >> 16,
  );
}
