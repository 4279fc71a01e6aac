/**
 * What an image model expects of its pixels, and how pictures come to it, as data.
 *
 * @module
 */
import type { OneloraError } from "../dsl/error.ts";

/** What an image model expects of its pixels. */
export interface ImageInput {
  /** Pixels. */
  readonly height: number;
  /** Pixels. */
  readonly width: number;
  /** 1 grey, 3 RGB. */
  readonly channels: number;
  /** Of values in 0..1, per channel. */
  readonly mean: readonly number[];
  /** Of values in 0..1, per channel. */
  readonly std: readonly number[];
  /** What height and width of images of other sizes must be multiples of, if it takes any. */
  readonly multipleOf?: number;
  /** How pictures come to it; see {@linkcode preparationOf}. */
  readonly preparation?: ImagePreparation;
  /** Why pictures cannot be prepared for it, where its files ask for what is not known here. */
  readonly refused?: OneloraError;
}

/** Which neighbours a resized pixel mixes; under Pillow's numbers in the file. */
export type Resampling = "nearest" | "lanczos" | "bilinear" | "bicubic" | "box" | "hamming";

/** What size a picture is resized to. */
export type ResizeRule =
  /** This size, whatever its proportions were. */
  | { readonly kind: "exact"; readonly height: number; readonly width: number }
  /** The shorter side gets this length and the longer follows, but for one that would pass `longest`. */
  | { readonly kind: "shortest"; readonly side: number; readonly longest?: number }
  /** As large as fits into this size in proportion. */
  | { readonly kind: "within"; readonly height: number; readonly width: number }
  /** The side that changes less gets its length here and the other follows in proportion, both rounded to multiples. */
  | { readonly kind: "proportional"; readonly height: number; readonly width: number; readonly multipleOf: number }
  /** Both sides get this length, rounded to multiples. */
  | { readonly kind: "multiple"; readonly height: number; readonly width: number; readonly multipleOf: number };

/** Height and width in pixels. */
export interface Size {
  /** Rows. */
  readonly height: number;
  /** Columns. */
  readonly width: number;
}

/** How a picture becomes a model's input, in this order. */
export interface ImagePreparation {
  /** How it is resized, if it is. */
  readonly resize?: ResizeRule;
  /** Which neighbours a resized pixel mixes. */
  readonly resample: Resampling;
  /** What is cut out of its middle, with zeros where it is smaller. */
  readonly crop?: Size;
  /** Where an odd rest leaves the cut between two pixels: at the one before (default), as in transformers, or the even one, as in torchvision. */
  readonly cropStart?: "before" | "even";
  /** Whether red and blue change places. */
  readonly reversed?: boolean;
  /** Factor of bytes before mean and standard deviation. */
  readonly rescale: number;
  /** What it is filled up to with zeros, at the right and the bottom. */
  readonly pad?: Size;
  /** What its sides are filled up to multiples of with zeros, all around. */
  readonly padMultiple?: number;
}

/**
 * How pictures come to a model's input: without more, stretched to its size by bilinear resizing, bytes / 255.
 *
 * @param image Its input
 */
export function preparationOf({ height, width, preparation }: ImageInput): ImagePreparation {
  return preparation ?? { resize: { kind: "exact", height, width }, resample: "bilinear", rescale: 1 / 255 };
}

/**
 * What a model expects of pictures.
 *
 * @param image Its input
 * @throws OneloraError where its files ask for what is not known here
 */
export function usableImages(image: ImageInput): ImageInput {
  if (image.refused !== undefined) throw image.refused;
  return image;
}
