/**
 * From a stored example to what a model reads and what it is compared with: Depth Anything's augmentation, stretching,
 * normalisation.
 *
 * @module
 */

import { OneloraError } from "../../dsl/error.ts";
import { fold, type Key, uniform } from "../../dsl/random.ts";
import { packBytes } from "../data/normalise.ts";
import { withOrigin } from "../data/origin.ts";
import { flipHorizontally } from "../data/resize.ts";
import type { DepthExample } from "./dataset.ts";
import { mirroredMap, resampleMap } from "./resample.ts";

/** An example ready for a step. */
export interface DepthSample {
  /**
   * The model's input, [3, height, width] of the transform; or, where a table is given, the picture's bytes at its own size, four
   * to a number, of which the bits alone count: [3, height, width / 4].
   */
  readonly pixels: Float32Array;
  /** What the bytes of each channel stand for, [3, 256]: the model's input, but for its size. */
  readonly table?: Float32Array;
  /** The truth in metres at its own size, [height, width]; 0 where nothing was measured. */
  readonly depth: Float32Array;
  /** Rows of the truth. */
  readonly height: number;
  /** Columns of the truth. */
  readonly width: number;
}

/** A function from a stored example to a sample. */
export interface DepthTransform {
  /** [3, height, width] of every input. */
  readonly shape: readonly [3, number, number];
  /** The sample of one example; its random choices are a pure function of the key. */
  apply(example: DepthExample, key: Key): DepthSample;
}

/** What the model reads. */
export interface DepthTransformOptions {
  /** Rows of the input; 392 in Depth Anything's training. */
  readonly height: number;
  /** Columns of the input; 518 in Depth Anything's training. */
  readonly width: number;
  /** Mean of each channel, on the scale 0 to 1. */
  readonly mean: readonly number[];
  /** Standard deviation of each channel, on the scale 0 to 1. */
  readonly std: readonly number[];
  /** Factor of bytes before mean and standard deviation, 1 / 255 by default. */
  readonly rescale?: number;
  /** Leave pictures as bytes, where that is less to send, for a model that looks their numbers up itself (default false). */
  readonly packed?: boolean;
}

/** What a training transform varies. */
export interface DepthAugmentation {
  /** Largest rotation either way in degrees; 1 by default. */
  readonly rotate?: number;
  /** Probability of mirroring left to right; 0.5 by default. */
  readonly flip?: number;
  /** Probability of changing gamma, brightness and colours; 0.5 by default. */
  readonly jitter?: number;
  /** Exponents to draw from; 0.9 to 1.1 by default. */
  readonly gamma?: readonly [number, number];
  /** Factors to draw from, the data set's; 0.75 to 1.25 by default. */
  readonly brightness?: readonly [number, number];
  /** Factors to draw one from for each channel; 0.9 to 1.1 by default. */
  readonly colour?: readonly [number, number];
}

/**
 * The example turned counter-clockwise about its centre at the same size; what comes into view is black and without depth.
 * Pixels are interpolated, bilinear; depths are not mixed but taken from the nearest pixel. As Pillow's `Image.rotate`.
 *
 * @param example What to turn
 * @param degrees By how much
 */
export function rotateDepth(example: DepthExample, degrees: number): DepthExample {
  if (degrees === 0) return example;
  const { height, width } = example;
  const [cosine, sine] = [Math.cos(degrees * Math.PI / 180), Math.sin(degrees * Math.PI / 180)];
  const pixels = new Uint8Array(example.pixels.length);
  const depth = new Float32Array(example.depth.length);
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at++) {
      const [across, down] = [x + 0.5 - width / 2, y + 0.5 - height / 2];
      const sourceX = cosine * across - sine * down + width / 2;
      const sourceY = sine * across + cosine * down + height / 2;
      if (sourceX < 0 || sourceX >= width || sourceY < 0 || sourceY >= height) continue;
      depth[at] = example.depth[Math.floor(sourceY) * width + Math.floor(sourceX)];
      const [left, top] = [Math.floor(sourceX - 0.5), Math.floor(sourceY - 0.5)];
      const [along, below] = [sourceX - 0.5 - left, sourceY - 0.5 - top];
      const [x0, x1] = [Math.max(left, 0), Math.min(left + 1, width - 1)];
      const [y0, y1] = [Math.max(top, 0), Math.min(top + 1, height - 1)];
      for (let c = 0; c < 3; c++) {
        const value = (row: number, column: number) => example.pixels[(row * width + column) * 3 + c];
        const upper = value(y0, x0) + (value(y0, x1) - value(y0, x0)) * along;
        const lower = value(y1, x0) + (value(y1, x1) - value(y1, x0)) * along;
        pixels[at * 3 + c] = Math.trunc(upper + (lower - upper) * below);
      }
    }
  }
  return { ...example, pixels, depth };
}

/** The example mirrored left to right. */
function mirrored(example: DepthExample): DepthExample {
  const { pixels } = flipHorizontally({ ...example, channels: 3 as const });
  return { ...example, pixels, depth: mirroredMap(example.depth, example.width) };
}

/** How a byte of each channel is changed: clip((byte / 255)^gamma brightness colour). */
type Tables = readonly [Float32Array, Float32Array, Float32Array];

function tables(gamma: number, factors: readonly number[]): Tables {
  const [red, green, blue] = factors.map((factor) =>
    Float32Array.from({ length: 256 }, (_, byte) => Math.min(Math.max((byte / 255) ** gamma * factor, 0), 1))
  );
  return [red, green, blue];
}

const PLAIN = tables(1, [1, 1, 1]);

/** Whether a picture's bytes are no more than the numbers that it becomes, and whole words. */
function canPack({ height, width }: DepthExample, to: DepthTransformOptions): boolean {
  return to.packed === true && width % 4 === 0 && height * width <= 4 * to.height * to.width;
}

/** Values of one channel from 0 to 1 as the model reads them. */
function normalised(options: DepthTransformOptions, channel: number): (value: number) => number {
  // What is varied is on the scale 0 to 1, whatever the model's own is.
  const scale = options.rescale === undefined ? 1 : options.rescale * 255;
  return (value) => (value * scale - options.mean[channel]) / options.std[channel];
}

/** The numbers that a picture's bytes stand for, and the bytes. */
function packedInput(example: DepthExample, by: Tables, options: DepthTransformOptions) {
  const table = new Float32Array(3 * 256);
  by.forEach((values, c) => table.set(values.map(normalised(options, c)), 256 * c));
  return { pixels: packBytes({ ...example, channels: 3 }, { ...options, channels: 3 }), table };
}

/** Bytes -> [3, height, width]: changed by the tables, stretched, normalised. */
function inputOf({ pixels, height, width }: DepthExample, by: Tables, options: DepthTransformOptions): Float32Array {
  const area = options.height * options.width;
  const values = Float32Array.from(pixels, (byte, i) => by[i % 3][byte]);
  const stretched = resampleMap(values, { height, width, channels: 3 }, [options.height, options.width]);
  const out = new Float32Array(3 * area);
  for (let c = 0; c < 3; c++) {
    const finish = normalised(options, c);
    for (let i = 0; i < area; i++) out[c * area + i] = finish(stretched[3 * i + c]);
  }
  return out;
}

/** An example whose bytes become numbers by tables. */
function sampleOf(example: DepthExample, by: Tables, options: DepthTransformOptions): DepthSample {
  const { depth, height, width } = example;
  const input = canPack(example, options)
    ? packedInput(example, by, options)
    : { pixels: inputOf(example, by, options) };
  return { ...input, depth, height, width };
}

function checkOptions({ height, width, mean, std }: DepthTransformOptions): void {
  const valid = [height, width].every((size) => Number.isInteger(size) && size > 0) && mean.length === 3 &&
    std.length === 3 && std.every((each) => each > 0);
  if (valid) return;
  throw new OneloraError({
    attempted: "preparing pictures for a depth model",
    found: `${height}x${width} pixels, mean [${mean.join(", ")}], std [${std.join(", ")}]`,
    allowed: "positive whole sizes, three means and three positive standard deviations",
  });
}

/**
 * The transform for evaluation: the picture stretched to the model's size and normalised; the truth as it is.
 *
 * @param options The model's input
 */
export function depthEvaluationTransform(options: DepthTransformOptions): DepthTransform {
  checkOptions(options);
  return {
    shape: [3, options.height, options.width],
    apply: withOrigin((example: DepthExample) => sampleOf(example, PLAIN, options), {
      module: import.meta.url,
      name: "depthEvaluationTransform",
      arguments: [options],
      reads: [],
    }),
  };
}

/**
 * The transform for training: turned by up to a degree, mirrored half of the time, half of the time with another gamma,
 * brightness and colour, stretched to the model's size and normalised; the truth is turned and mirrored likewise.
 *
 * @param options The model's input
 * @param augmentation What to vary, and how much
 *
 * @example
 * ```ts
 * import { key } from "@onelora/onelora/dsl";
 * import { depthTrainingTransform } from "@onelora/onelora/tasks";
 * import { assertEquals } from "@std/assert";
 * const transform = depthTrainingTransform({ height: 1, width: 2, mean: [0, 0, 0], std: [1, 1, 1] }, { rotate: 0, flip: 1 });
 * const example = { pixels: new Uint8Array(6), depth: Float32Array.of(3, 5), height: 1, width: 2 };
 * assertEquals([...transform.apply(example, key(0)).depth], [5, 3]);
 * ```
 */
export function depthTrainingTransform(
  options: DepthTransformOptions,
  augmentation: DepthAugmentation = {},
): DepthTransform {
  checkOptions(options);
  const { rotate = 1, flip = 0.5, jitter = 0.5 } = augmentation;
  const { gamma = [0.9, 1.1], brightness = [0.75, 1.25], colour = [0.9, 1.1] } = augmentation;
  return {
    shape: [3, options.height, options.width],
    apply: withOrigin((example: DepthExample, key: Key) => {
      const [angle, flipped, jittered, exponent, bright, ...colours] = uniform(fold(key, "depth"), 8);
      const between = ([low, high]: readonly [number, number], draw: number) => low + (high - low) * draw;
      const turned = rotateDepth(example, between([-rotate, rotate], angle));
      const changed = flipped < flip ? mirrored(turned) : turned;
      const factors = colours.map((draw) => between(brightness, bright) * between(colour, draw));
      const by = jittered < jitter ? tables(between(gamma, exponent), factors) : PLAIN;
      return sampleOf(changed, by, options);
    }, { module: import.meta.url, name: "depthTrainingTransform", arguments: [options, augmentation], reads: [] }),
  };
}
