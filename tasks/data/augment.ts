/**
 * From stored bytes to what a model reads: random crops and mirroring for training, resizing, normalisation.
 *
 * @module
 */

import { OneloraError } from "../../dsl/error.ts";
import { fold, type Key, uniform } from "../../dsl/random.ts";
import type { ImagePreparation, Size } from "../../models/image_input.ts";
import type { ImageExample } from "./dataset.ts";
import { type Normalisation, packBytes } from "./normalise.ts";
import { withOrigin } from "./origin.ts";
import { finishImage, fitImage, type PreparationInput } from "./prepare.ts";
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
  /** Height and width of the model's input, in pixels: one number for a square. */
  readonly size: number | readonly [height: number, width: number];
  /** How pictures come to it; by default stretched, bilinear. */
  readonly preparation?: ImagePreparation;
  /** Leave pictures as bytes, four to a word, for a model that looks their numbers up itself (default false). */
  readonly packed?: boolean;
}

/**
 * Whether pictures can be left as bytes: nothing but bytes is among a model's numbers, and rows are whole words.
 *
 * @param options The model's input
 */
export function canPack({ size, preparation }: TransformOptions): boolean {
  const width = typeof size === "number" ? size : size[1];
  return width % 4 === 0 && preparation?.pad === undefined && preparation?.padMultiple === undefined;
}

/** [channels, height, width] of what a transform gives. */
function shapeOf({ packed }: TransformOptions, channels: number, { height, width }: Size): ImageTransform["shape"] {
  return [channels, height, packed ? width / 4 : width];
}

/** What the options come to. */
interface Completed extends Size {
  readonly input: PreparationInput;
  /** The values of a picture that has its size. */
  readonly finish: (fitted: ImageExample) => Float32Array;
}

/** Both sides, and the preparation. */
function completed(options: TransformOptions): Completed {
  const { size, rescale = 1 / 255, reversed, preparation } = options;
  const [height, width] = typeof size === "number" ? [size, size] : size;
  const plain: ImagePreparation = {
    resize: { kind: "exact", height, width },
    resample: "bilinear",
    rescale,
    reversed,
  };
  const input = { ...options, preparation: preparation ?? plain };
  const finish = (fitted: ImageExample) => {
    if (options.packed && fitted.height === height && fitted.width === width) {
      return packBytes(fitted, { ...input, ...input.preparation });
    }
    const prepared = finishImage(fitted, input);
    if (prepared.height === height && prepared.width === width) return prepared.values;
    throw new OneloraError({
      attempted: "preparing an image",
      found: `pixels that come to ${prepared.height}x${prepared.width} after what the model's files do to pictures`,
      allowed: `${height}x${width}, the model's input`,
    });
  };
  return { height, width, input, finish };
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
  const { height, width, input, finish } = completed(options);
  return {
    shape: shapeOf(options, input.channels, { height, width }),
    apply: withOrigin((example: ImageExample) => finish(fitImage(example, input.preparation)), {
      module: import.meta.url,
      name: "evaluationTransform",
      arguments: [options],
      reads: [],
    }),
  };
}

/**
 * The transform for training (paper, section 4.4): a random resized crop, mirrored half of the time, then normalised. The
 * crop takes the place of what the model's files do to a picture's size; the filter, the factor, mean and std are theirs.
 *
 * @param options The model's input and what to vary
 */
export function trainingTransform(options: TrainingTransformOptions): ImageTransform {
  checkNormalisation(options);
  const { crop: ranges = standardCrop, flip = 0.5 } = options;
  const { height, width, input, finish } = completed(options);
  const { preparation } = input;
  return {
    shape: shapeOf(options, input.channels, { height, width }),
    random: true,
    apply: withOrigin((example: ImageExample, key: Key) => {
      const seen = ranges === false ? fitImage(example, preparation) : resize(
        crop(example, cropBox(example.height, example.width, ranges, uniform(fold(key, "crop"), DRAWS))),
        height,
        width,
        preparation.resample,
      );
      return finish(uniform(fold(key, "flip"), 1)[0] < flip ? flipHorizontally(seen) : seen);
    }, { module: import.meta.url, name: "trainingTransform", arguments: [options], reads: [] }),
  };
}
