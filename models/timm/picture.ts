/**
 * What a ViT of timm expects of pictures: `pretrained_cfg` of its `config.json`, as timm's transform for evaluation does it.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import { choiceField, numberField, wrongField } from "../config.ts";
import type { ImageInput, Resampling } from "../image_input.ts";
import { inputSize, pretrainedOf, type TimmConfig } from "./config.ts";

const RESAMPLING: readonly Resampling[] = ["nearest", "bilinear", "bicubic", "box", "hamming", "lanczos"];
const IMAGENET = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };

/** A number for each channel. */
function perChannel({ json, channels }: TimmConfig, name: "mean" | "std"): readonly number[] {
  const given = pretrainedOf(json)[name] ?? undefined;
  const value = given === undefined || Array.isArray(given) && given.length === 0 ? IMAGENET[name] : given;
  const valid = Array.isArray(value) && value.length === channels &&
    value.every((each) => Number.isFinite(each) && (name === "mean" || each > 0));
  if (valid) return value;
  throw wrongField(name, value, `${channels} ${name === "std" ? "positive numbers" : "numbers"}, one for each channel`);
}

function read(config: TimmConfig): ImageInput {
  const { json, image: [height, width], channels } = config;
  const pretrained = pretrainedOf(json);
  const [, ...sides] = inputSize(json);
  if (sides[0] !== height || sides[1] !== width) {
    throw wrongField("input_size", sides, `${height}x${width}, which the positions are for`);
  }
  const share = numberField(pretrained, "crop_pct", 0.875);
  if (share > 1) throw wrongField("crop_pct", share, "a number above 0 and up to 1");
  const mode = choiceField(pretrained, "crop_mode", ["center", "squash"], "center");
  const [rows, columns] = [Math.floor(height / share), Math.floor(width / share)];
  if (mode === "center" && rows !== columns) {
    throw wrongField("crop_mode", mode, '"squash" for pictures that are no squares');
  }
  return {
    height,
    width,
    channels,
    mean: perChannel(config, "mean"),
    std: perChannel(config, "std"),
    preparation: {
      resize: mode === "center" ? { kind: "shortest", side: rows } : { kind: "exact", height: rows, width: columns },
      resample: choiceField(pretrained, "interpolation", RESAMPLING, "bicubic"),
      crop: { height, width },
      cropStart: "even",
      rescale: 1 / 255,
    },
  };
}

/**
 * What a model expects of pictures; a refusal is kept for those who want to prepare some.
 *
 * @param config The model's sizes
 */
export function timmPicture(config: TimmConfig): ImageInput {
  try {
    return read(config);
  } catch (error) {
    if (!(error instanceof OneloraError)) throw error;
    const { image: [height, width], channels } = config;
    return { height, width, channels, mean: [], std: [], refused: error };
  }
}
