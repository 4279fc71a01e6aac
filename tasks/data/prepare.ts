/**
 * From a picture to a model's input, as the model's files ask for it: the one way for training, evaluation and prediction.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import type { ImageInput, ImagePreparation, ResizeRule, Size } from "../../models/image_input.ts";
import type { ImageExample } from "./dataset.ts";
import { normalise } from "./normalise.ts";
import { crop, resize } from "./resize.ts";
import { roundHalfEven } from "./round.ts";

/** What of a model's input decides how a picture is prepared. */
export interface PreparationInput extends Pick<ImageInput, "channels" | "mean" | "std"> {
  /** How it comes to its size. */
  readonly preparation: ImagePreparation;
}

/** A picture ready for a model. */
export interface ImageValues extends Size {
  /** [channels, height, width]. */
  readonly values: Float32Array;
}

/** The sides of which the shorter gets a length, the longer following in proportion, whole pixels counted down. */
function byShortest(side: number, height: number, width: number, longest?: number): readonly [number, number] {
  if (longest === undefined) {
    const other = Math.trunc(side * Math.max(height, width) / Math.min(height, width));
    return width <= height ? [other, side] : [side, other];
  }
  // Here the reference rounds twice: the shorter side, and from its unrounded length the longer.
  const [short, long] = [Math.min(height, width), Math.max(height, width)];
  const passes = long / short * side > longest;
  const exact = passes ? longest * short / long : side;
  const shorter = roundHalfEven(exact);
  if (short === shorter) return [height, width];
  const other = Math.trunc(exact * long / short);
  return width < height ? [other, shorter] : [shorter, other];
}

/**
 * The size that a rule gives a picture.
 *
 * @param rule The rule
 * @param height Rows of the picture
 * @param width Columns of the picture
 * @throws OneloraError for a picture so narrow that nothing of it would be left
 */
export function fittedSize(rule: ResizeRule, height: number, width: number): readonly [height: number, width: number] {
  const size = (): readonly [number, number] => {
    switch (rule.kind) {
      case "exact":
        return [rule.height, rule.width];
      case "shortest":
        return byShortest(rule.side, height, width, rule.longest);
      case "within": {
        const scale = Math.min(rule.height / height, rule.width / width);
        return [Math.trunc(height * scale), Math.trunc(width * scale)];
      }
      case "multiple":
      case "proportional": {
        const [down, across] = [rule.height / height, rule.width / width];
        const fits = rule.kind === "multiple";
        const scale = Math.abs(1 - across) < Math.abs(1 - down) ? across : down;
        const side = (by: number, length: number) => roundHalfEven(by * length / rule.multipleOf) * rule.multipleOf;
        return [side(fits ? down : scale, height), side(fits ? across : scale, width)];
      }
    }
  };
  const found = size();
  if (Math.min(...found) > 0) return found;
  throw new OneloraError({
    attempted: "preparing a picture for a model",
    found: `${height}x${width} pixels`,
    allowed: "multipleOf" in rule
      ? `a picture whose shorter side keeps ${rule.multipleOf} pixels at the model's size`
      : "a picture whose shorter side keeps a pixel at the model's size",
  });
}

/** The middle of a picture, with black where it is smaller: odd rows and columns are the reference's. */
function centreCropped(
  image: ImageExample,
  { height, width }: Size,
  start: ImagePreparation["cropStart"],
): ImageExample {
  const half = start === "even" ? (rest: number) => roundHalfEven(rest / 2) : (rest: number) => Math.floor(rest / 2);
  const [top, left] = [half(image.height - height), half(image.width - width)];
  if (top >= 0 && left >= 0) return crop(image, { top, left, height, width });
  const { channels } = image;
  const pixels = new Uint8Array(height * width * channels);
  const [rows, columns] = [Math.min(height, image.height), Math.min(width, image.width)];
  // Where the picture is smaller, half of what is missing, rounded up, goes before it.
  const [fromRow, toRow] = top >= 0 ? [top, 0] : [0, -top];
  const [fromColumn, toColumn] = left >= 0 ? [left, 0] : [0, -left];
  for (let row = 0; row < rows; row++) {
    const from = ((fromRow + row) * image.width + fromColumn) * channels;
    pixels.set(image.pixels.subarray(from, from + columns * channels), ((toRow + row) * width + toColumn) * channels);
  }
  return { ...image, pixels, height, width };
}

/**
 * The bytes of a picture at a model's size: resized and cut, as its files ask for it.
 *
 * @param image The picture
 * @param preparation See {@linkcode ImagePreparation}
 */
export function fitImage(
  image: ImageExample,
  preparation: Pick<ImagePreparation, "resize" | "resample" | "crop" | "cropStart">,
): ImageExample {
  const { resize: rule, resample, crop: window, cropStart } = preparation;
  const sized = rule === undefined ? image : resize(image, ...fittedSize(rule, image.height, image.width), resample);
  return window === undefined ? sized : centreCropped(sized, window, cropStart);
}

/** Values with zeros around them. */
function padded(
  { values, height, width }: ImageValues,
  channels: number,
  into: Size,
  at: readonly [number, number],
): ImageValues {
  if (height === into.height && width === into.width) return { values, height, width };
  if (height > into.height || width > into.width) {
    throw new OneloraError({
      attempted: "padding a picture",
      found: `${height}x${width} pixels`,
      allowed: `at most ${into.height}x${into.width}, the pad_size of preprocessor_config.json`,
    });
  }
  const out = new Float32Array(channels * into.height * into.width);
  for (let channel = 0; channel < channels; channel++) {
    for (let row = 0; row < height; row++) {
      const from = (channel * height + row) * width;
      out.set(values.subarray(from, from + width), (channel * into.height + at[0] + row) * into.width + at[1]);
    }
  }
  return { values: out, ...into };
}

/**
 * A picture as a model reads it: resized, cut, (byte rescale - mean) / std, padded, in this order.
 *
 * @param image The picture, 1 or 3 channels
 * @param input What the model expects
 * @throws OneloraError for a picture that does not come to a size that the files ask for
 */
export function prepareImage(image: ImageExample, input: PreparationInput): ImageValues {
  return finishImage(fitImage(image, input.preparation), input);
}

/**
 * What follows once a picture has its size: (byte rescale - mean) / std, padded.
 *
 * @param fitted The picture, from {@linkcode fitImage}
 * @param input What the model expects
 * @throws OneloraError for a picture larger than what it is to be padded to
 */
export function finishImage(fitted: ImageExample, input: PreparationInput): ImageValues {
  const { preparation, channels } = input;
  const { height, width } = fitted;
  const plain: ImageValues = { values: normalise(fitted, { ...input, ...preparation }), height, width };
  const { pad, padMultiple: multiple } = preparation;
  if (pad !== undefined) return padded(plain, channels, pad, [0, 0]);
  if (multiple === undefined) return plain;
  const into = { height: Math.ceil(height / multiple) * multiple, width: Math.ceil(width / multiple) * multiple };
  const at = [Math.floor((into.height - height) / 2), Math.floor((into.width - width) / 2)] as const;
  return padded(plain, channels, into, at);
}
