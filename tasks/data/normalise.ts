/**
 * Bytes as the numbers that a model expects.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import type { ImageExample } from "./dataset.ts";

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
  // By division where it is the usual one: bytes / 255 and bytes times 1 / 255 differ in the last bit.
  const scaled = (byte: number) =>
    how.rescale === undefined || how.rescale === 1 / 255 ? byte / 255 : byte * how.rescale;
  for (let channel = 0; channel < how.channels; channel++) {
    const table = Float32Array.from(
      { length: 256 },
      (_, byte) => (scaled(byte) - how.mean[channel]) / how.std[channel],
    );
    const from = stride === 1 ? 0 : how.reversed ? stride - 1 - channel : channel;
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
