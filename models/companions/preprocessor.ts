/**
 * `preprocessor_config.json`: how pictures become a model's input, as transformers' image processors do it.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import { isObject } from "../../dsl/files/json.ts";
import { readJsonIfThere } from "../../dsl/files/python_json.ts";
import type { Json } from "../config.ts";
import type { ImageInput, ImagePreparation, Resampling, ResizeRule, Size } from "../image_input.ts";
import { wrongSetting } from "./read.ts";
import { DEFAULTS, preprocessorSettings, type Processor, PROCESSORS } from "./processor_classes.ts";
import { checkSettings } from "./settings.ts";

/** Pillow's numbers. */
const RESAMPLING: readonly Resampling[] = ["nearest", "lanczos", "bilinear", "bicubic", "box", "hamming"];

/** One processor's settings, with its class's defaults where the file has none; null is off, as to transformers. */
interface Reading {
  readonly file: string;
  readonly json: Json;
  readonly processor: Processor;
}

function valueOf({ json, processor }: Reading, name: string): unknown {
  return Object.hasOwn(json, name) ? json[name] : processor.defaults[name];
}

function flag(reading: Reading, name: string): boolean {
  const value = valueOf(reading, name) ?? false;
  if (typeof value !== "boolean") throw wrongSetting(reading.file, name, value, "true or false");
  return value;
}

function positive(reading: Reading, name: string): number {
  const value = valueOf(reading, name);
  if (typeof value === "number" && Number.isFinite(value) && value > 0) return value;
  throw wrongSetting(reading.file, name, value, "a positive number");
}

function isSide(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) > 0;
}

/** A size of a file: a number, [height, width], or an object. */
function sizeOf(reading: Reading, name: string, square: boolean): Readonly<Record<string, number>> {
  const value = valueOf(reading, name);
  const object = isSide(value)
    ? square ? { height: value, width: value } : { shortest_edge: value }
    : Array.isArray(value) && value.length === 2
    ? { height: value[0], width: value[1] }
    : value;
  const sides = isObject(object) ? Object.entries(object).filter(([, side]) => side !== null) : [];
  if (sides.length > 0 && sides.every(([, side]) => isSide(side))) {
    return Object.fromEntries(sides) as Readonly<Record<string, number>>;
  }
  throw wrongSetting(reading.file, name, value, "a positive whole number, or an object of such");
}

function exactSize(reading: Reading, name: string): Size {
  const { height, width, ...others } = sizeOf(reading, name, true);
  if (height !== undefined && width !== undefined && Object.keys(others).length === 0) return { height, width };
  throw wrongSetting(reading.file, name, valueOf(reading, name), "a number, or height and width");
}

/** The rule of a size, and the crop that comes with it. */
function ruleOf(reading: Reading, type: string): { readonly resize: ResizeRule; readonly crop?: Size } {
  const square = (reading.json.default_to_square ?? undefined) === undefined
    ? reading.processor.square
    : flag(reading, "default_to_square");
  const size = sizeOf(reading, "size", square);
  const names = Object.keys(size).sort().join(" ");
  const { height, width, shortest_edge: shortest, longest_edge: longest, max_height, max_width } = size;
  const wrong = (allowed: string) => wrongSetting(reading.file, "size", valueOf(reading, "size"), allowed);
  if (type === "DPTImageProcessor") {
    if (names !== "height width") throw wrong("a number, or height and width");
    const multipleOf = positive(reading, "ensure_multiple_of");
    if (!isSide(multipleOf)) {
      throw wrongSetting(reading.file, "ensure_multiple_of", multipleOf, "a positive whole number");
    }
    return {
      resize: { kind: flag(reading, "keep_aspect_ratio") ? "proportional" : "multiple", height, width, multipleOf },
    };
  }
  if (type === "ConvNextImageProcessor") {
    if (names !== "shortest_edge") throw wrong("a number, or shortest_edge");
    const exact = { height: shortest, width: shortest };
    if (shortest >= 384) return { resize: { kind: "exact", ...exact } };
    const side = Math.trunc(shortest / positive(reading, "crop_pct"));
    return { resize: { kind: "shortest", side }, crop: exact };
  }
  switch (names) {
    case "height width":
      return { resize: { kind: "exact", height, width } };
    case "shortest_edge":
      return { resize: { kind: "shortest", side: shortest } };
    case "longest_edge shortest_edge":
      return { resize: { kind: "shortest", side: shortest, longest } };
    case "max_height max_width":
      return { resize: { kind: "within", height: max_height, width: max_width } };
    default:
      throw wrong("height and width, shortest_edge, shortest_edge and longest_edge, or max_height and max_width");
  }
}

function perChannel(reading: Reading, name: string, channels: number): readonly number[] {
  const value = valueOf(reading, name);
  const list = typeof value === "number" ? Array<number>(channels).fill(value) : value;
  const valid = Array.isArray(list) && list.length === channels &&
    list.every((each) => typeof each === "number" && Number.isFinite(each) && (name !== "image_std" || each > 0));
  if (valid) return list;
  const what = name === "image_std" ? "positive numbers" : "numbers";
  throw wrongSetting(reading.file, name, value, `${channels} ${what}, one for each channel, or one number`);
}

/** The processor's class: the file's, or the one that transformers takes for the family. */
function classOf(json: Json, file: string, family: string): string {
  const written = json.image_processor_type ?? json.feature_extractor_type;
  if (written === undefined || written === null) {
    return DEFAULTS[family] ?? "ViTImageProcessor";
  }
  const name = `${written}`.replace(/FeatureExtractor$/, "ImageProcessor").replace(/(ImageProcessor)(Fast|Pil)$/, "$1");
  if (Object.hasOwn(PROCESSORS, name)) return name;
  throw wrongSetting(file, "image_processor_type", written, Object.keys(PROCESSORS).join(", "));
}

/** The size that pictures of every size come to, where there is one. */
function lastSize({ resize, crop, pad }: ImagePreparation): Size | undefined {
  if (pad !== undefined) return pad;
  if (crop !== undefined) return crop;
  return resize?.kind === "exact" ? { height: resize.height, width: resize.width } : undefined;
}

/**
 * What a model expects of pictures, by its file.
 *
 * @param json `preprocessor_config.json`
 * @param image What the family expects where there is no such file
 * @param family The family
 * @param file The file's name
 * @returns The input, and notes of what is not acted on and might be meant
 * @throws OneloraError for a setting that is refused or out of range
 */
export function readPreprocessor(
  json: Json,
  image: ImageInput,
  family: string,
  file: string,
): { readonly image: ImageInput; readonly notes: readonly string[] } {
  const type = classOf(json, file, family);
  const notes = checkSettings(json, preprocessorSettings[type], file, `a ${type}`);
  const reading: Reading = { file, json, processor: PROCESSORS[type] };
  const resampling = valueOf(reading, "resample");
  const resample = typeof resampling === "number" ? RESAMPLING[resampling] : undefined;
  if (resample === undefined) {
    throw wrongSetting(file, "resample", resampling, RESAMPLING.map((name, i) => `${i} (${name})`).join(", "));
  }
  const { resize, crop: own } = flag(reading, "do_resize") ? ruleOf(reading, type) : { resize: undefined };
  const isDepth = type === "DPTImageProcessor";
  const pads = flag(reading, "do_pad");
  const preparation: ImagePreparation = {
    resize,
    resample,
    crop: !isDepth && flag(reading, "do_center_crop") ? exactSize(reading, "crop_size") : own,
    rescale: flag(reading, "do_rescale") ? positive(reading, "rescale_factor") : 1,
    pad: !isDepth && pads && (valueOf(reading, "pad_size") ?? undefined) !== undefined
      ? exactSize(reading, "pad_size")
      : undefined,
    padMultiple: isDepth && pads && (valueOf(reading, "size_divisor") ?? undefined) !== undefined
      ? positive(reading, "size_divisor")
      : undefined,
  };
  const { channels } = image;
  const normalises = flag(reading, "do_normalize");
  // A model of any size takes what the file gives; the others take their own, and pictures must come to it.
  const last = lastSize(preparation);
  const free = image.multipleOf === undefined ? undefined : last ?? (resize && "height" in resize ? resize : undefined);
  if (image.multipleOf === undefined && last !== undefined) {
    const { height, width } = last;
    if (height !== image.height || width !== image.width) {
      throw new OneloraError({
        attempted: `reading ${file}`,
        found: `pictures that come to ${height}x${width}`,
        allowed: `${image.height}x${image.width}, the image_size of config.json`,
      });
    }
  }
  return {
    notes,
    image: {
      ...image,
      ...(free ? { height: free.height, width: free.width } : {}),
      mean: normalises ? perChannel(reading, "image_mean", channels) : Array<number>(channels).fill(0),
      std: normalises ? perChannel(reading, "image_std", channels) : Array<number>(channels).fill(1),
      preparation,
    },
  };
}

/**
 * What a model expects of pictures, by the file in its folder, if there is one: `preprocessor_config.json`, or the image
 * processor within `processor_config.json`.
 *
 * @param folder The folder
 * @param image What the family expects without one
 * @param family The family
 */
export async function openPreprocessor(
  folder: string,
  image: ImageInput,
  family: string,
): Promise<{ readonly image: ImageInput; readonly notes: readonly string[] }> {
  const [name, whole] = ["preprocessor_config.json", "processor_config.json"];
  const found = await readJsonIfThere(`${folder}/${name}`);
  if (found !== undefined) return readPreprocessor(found.json, image, family, name);
  const within = (await readJsonIfThere(`${folder}/${whole}`))?.json.image_processor;
  return isObject(within) ? readPreprocessor(within, image, family, whole) : { image, notes: [] };
}
