/**
 * Which columns of a Hugging Face data set are images and labels, and what the labels are called.
 *
 * @module
 */

import { OneloraError } from "../../dsl/error.ts";
import type { ParquetFile } from "./parquet.ts";
import { type Fields, fields, namesInCard, texts } from "./parquet_card.ts";

/** The two columns. */
export interface ImageColumns {
  /** Pictures as encoded bytes: `{ bytes, path }`, or bytes alone. */
  readonly image: string;
  /** Whole numbers, or lists of them. */
  readonly label: string;
  /** Whether they are lists, where the data set says it. */
  readonly several?: boolean;
  /** Names of the labels, where the data set says them. */
  readonly names?: readonly string[];
}

/** Features that a Parquet file's writer noted: `{info: {features: {NAME: {_type, names}}}}`. */
function notedFeatures({ notes }: ParquetFile): ReadonlyMap<string, Fields> {
  try {
    const { features } = fields(fields(JSON.parse(notes.get("huggingface") ?? "{}")).info);
    return new Map(Object.entries(fields(features)).map(([name, feature]) => [name, fields(feature)]));
  } catch {
    return new Map();
  }
}

/** The classes that a feature is of, itself or as a list. */
function classFeature(
  feature: Fields | undefined,
): { readonly classes: Fields; readonly several: boolean } | undefined {
  if (feature?._type === "ClassLabel") return { classes: feature, several: false };
  // `datasets` writes a list as an array of its one feature, as Sequence or as List.
  const inner = fields(feature?.feature ?? feature?.[0]);
  return inner._type === "ClassLabel" ? { classes: inner, several: true } : undefined;
}

/**
 * The columns of images and labels: as the writer noted them in the footer (`Image`, `ClassLabel`), else by the names that
 * data sets use. Of several labels, the one called `label`, `labels` or `fine_label`, else the first.
 *
 * @param file Any of the data set's files
 * @param card What its README.md says, if there is one
 * @throws OneloraError if there are none such
 */
export function imageColumns(file: ParquetFile, card?: unknown): ImageColumns {
  const features = notedFeatures(file);
  const among = (names: readonly string[], columns: readonly string[]) => names.find((name) => columns.includes(name));
  const images = file.columns.filter((name) => features.get(name)?._type === "Image");
  const labels = file.columns.filter((name) => classFeature(features.get(name)) !== undefined);
  const image = among(["image", "img"], images) ?? images[0] ?? among(["image", "img"], file.columns);
  const usual = ["label", "labels", "fine_label"];
  const label = among(usual, labels) ?? labels[0] ?? among(usual, file.columns);
  if (image === undefined || label === undefined) {
    throw new OneloraError({
      attempted: `reading images from ${file.path}`,
      found: file.columns.length === 0 ? "no column" : `columns ${file.columns.join(", ")}`,
      allowed: `a column of images (image, img) and one of labels (${usual.join(", ")})`,
    });
  }
  const feature = classFeature(features.get(label));
  const noted = texts(feature?.classes.names);
  const names = noted ?? namesInCard(card, label);
  return { image, label, names, several: feature?.several };
}
