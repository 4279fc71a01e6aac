/**
 * Classes of transformers' image processors: their defaults, and which settings of `preprocessor_config.json` they have.
 *
 * @module
 */
import type { Json } from "../config.ts";
import { honoured, noEffect, refused, type Settings } from "./settings.ts";

/** A class of transformers' image processors: its defaults, and which steps it knows. */
export interface Processor {
  readonly defaults: Json;
  /** Whether a single number is both sides where the file does not say; else it is the shorter. */
  readonly square: boolean;
}

const HALVES = [0.5, 0.5, 0.5];
const BASE: Json = {
  do_resize: true,
  do_rescale: true,
  do_normalize: true,
  rescale_factor: 1 / 255,
  resample: 3,
  image_mean: HALVES,
  image_std: HALVES,
};
const CLIP: Processor = {
  square: false,
  defaults: {
    ...BASE,
    image_mean: [0.48145466, 0.4578275, 0.40821073],
    image_std: [0.26862954, 0.26130258, 0.27577711],
    size: { shortest_edge: 224 },
    do_center_crop: true,
    crop_size: { height: 224, width: 224 },
  },
};
const SQUARE_224 = { height: 224, width: 224 };

/** The classes whose steps are known here, with transformers' defaults. */
export const PROCESSORS: Readonly<Record<string, Processor>> = {
  ViTImageProcessor: { square: true, defaults: { ...BASE, resample: 2, size: SQUARE_224 } },
  DeiTImageProcessor: {
    square: true,
    defaults: { ...BASE, size: { height: 256, width: 256 }, do_center_crop: true, crop_size: SQUARE_224 },
  },
  BeitImageProcessor: { square: true, defaults: { ...BASE, size: SQUARE_224, crop_size: SQUARE_224 } },
  SiglipImageProcessor: { square: false, defaults: { ...BASE, size: SQUARE_224 } },
  CLIPImageProcessor: CLIP,
  BitImageProcessor: CLIP,
  ConvNextImageProcessor: { square: false, defaults: { ...BASE, size: { shortest_edge: 384 }, crop_pct: 224 / 256 } },
  DPTImageProcessor: {
    square: true,
    defaults: { ...BASE, size: { height: 384, width: 384 }, ensure_multiple_of: 1, keep_aspect_ratio: false },
  },
};

/** Settings of every class. */
const EVERY: Settings = {
  ...honoured(
    "image_processor_type",
    "feature_extractor_type",
    "do_resize",
    "size",
    "default_to_square",
    "resample",
    "do_rescale",
    "rescale_factor",
    "do_normalize",
    "image_mean",
    "image_std",
  ),
  ...noEffect("pictures are read as colours, and grey ones as the model needs them", "do_convert_rgb"),
  ...noEffect(
    "is about how transformers is called",
    "data_format",
    "input_data_format",
    "return_tensors",
    "device",
    "disable_grouping",
    "image_seq_length",
    "_valid_processor_keys",
    "_valid_kwargs_names",
    "model_input_names",
  ),
  ...noEffect(
    "says where the file comes from",
    "processor_class",
    "_processor_class",
    "auto_map",
    "_commit_hash",
    "name_or_path",
    "model_type",
    "transformers_version",
  ),
  ...noEffect("is for segmentation's label maps", "do_reduce_labels", "reduce_labels", "do_reduce_label"),
  ...refused(
    "changes pixels in a way that this class of transformers does not",
    [false],
    "do_flip_channel_order",
    "do_thumbnail",
    "do_align_long_axis",
    "do_crop_margin",
    "do_split_image",
    "do_crop",
    "do_color_quantize",
    "apply_ocr",
    "rescale_offset",
    "include_top",
    "do_adaptive_gray_to_rgb",
  ),
};

const CROP: Settings = honoured("do_center_crop", "crop_size");
const PAD: Settings = honoured("do_pad", "pad_size");
const NO_CROP: Settings = refused("this class of transformers does not crop", [false], "do_center_crop");
const NO_PAD: Settings = refused("this class of transformers does not pad", [false], "do_pad");

/** Settings by class of transformers' image processors. */
export const preprocessorSettings: Readonly<Record<string, Settings>> = Object.fromEntries(
  Object.keys(PROCESSORS).map((name): readonly [string, Settings] => {
    switch (name) {
      case "DPTImageProcessor":
        return [name, {
          ...EVERY,
          ...honoured("keep_aspect_ratio", "ensure_multiple_of", "do_pad", "size_divisor"),
          ...NO_CROP,
          ...noEffect("this class of transformers does not crop, and pads by size_divisor", "crop_size", "pad_size"),
        }];
      case "ConvNextImageProcessor":
        return [name, {
          ...EVERY,
          ...refused("crops by crop_pct already", [false], "do_center_crop"),
          ...noEffect("crops by crop_pct alone", "crop_size"),
          ...honoured("crop_pct"),
          ...NO_PAD,
          ...noEffect("this class of transformers does not pad", "pad_size"),
        }];
      default:
        return [name, { ...EVERY, ...CROP, ...PAD }];
    }
  }),
);

/** The class that transformers takes for a family whose file names none, where it is not ViT's. */
export const DEFAULTS: Readonly<Record<string, string>> = {
  depth_anything: "DPTImageProcessor",
  deit: "DeiTImageProcessor",
  dinov2: "BitImageProcessor",
  dinov2_with_registers: "BitImageProcessor",
  clip: "CLIPImageProcessor",
};
