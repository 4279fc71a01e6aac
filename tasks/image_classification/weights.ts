/**
 * Weights of classes in the loss: so that a class with few pictures counts as much as one with many.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import { guarded } from "../../dsl/files/file.ts";
import { isObject, parseSettings } from "../../dsl/files/json.ts";
import { readText, SETTINGS_BYTES } from "../../dsl/files/read.ts";
import type { ImageDataset } from "../data/dataset.ts";
import type { LabelFit } from "./labels.ts";

/** The word for weights that follow from the data. */
const BALANCED = "balanced";

/** How many pictures of a data set each of its classes has, by what is known without reading them. */
function countsOf({ name, size, classes, labelOf, labelsOf, multiLabel }: ImageDataset): readonly number[] {
  const labels = labelsOf ?? (multiLabel || labelOf === undefined ? undefined : (index: number) => [labelOf(index)]);
  if (labels === undefined) {
    throw new OneloraError({
      attempted: `balancing the classes of ${name}`,
      found: "data whose labels are known only as its pictures are read",
      allowed: "a file of weights, or folders or lists of pictures",
    }, { exitCode: 2 });
  }
  const counts = classes.map(() => 0);
  for (let index = 0; index < size; index++) for (const label of labels(index)) if (label >= 0) counts[label]++;
  return counts;
}

/** By class of the data: n / (classes n_c), or of several labels (n - n_c) / n_c; 1 where there is no picture. */
function balanced(train: ImageDataset, several: boolean): readonly number[] {
  const counts = countsOf(train);
  const weight = (count: number) => several ? (train.size - count) / count : train.size / (counts.length * count);
  // A label that every picture has, or none, teaches nothing, whatever its weight.
  return counts.map((count) => count === 0 || (several && count === train.size) ? 1 : weight(count));
}

/** Weights in a file, by class of the data. */
async function weightsIn(path: string, classes: readonly string[]): Promise<readonly number[]> {
  const attempted = `reading the class weights of ${path}`;
  const json = await guarded(
    attempted,
    "a JSON object",
    async () => parseSettings(await readText(path, SETTINGS_BYTES)),
  );
  const fail = (found: string, allowed: string) => new OneloraError({ attempted, found, allowed });
  if (!isObject(json)) throw fail("no JSON object", "a number for each class, by name");
  const given = json as Readonly<Record<string, unknown>>;
  const strange = Object.keys(given).find((name) => !classes.includes(name));
  const known = classes.slice(0, 20).join(", ");
  if (strange !== undefined) throw fail(`"${strange}"`, `the classes of the data: ${known}`);
  return classes.map((name) => {
    const value = Object.hasOwn(given, name) ? given[name] : undefined;
    if (value === undefined) throw fail(`no weight of "${name}"`, `one for each of ${known}`);
    if (typeof value === "number" && Number.isFinite(value) && value > 0) return value;
    throw fail(`"${name}": ${JSON.stringify(value)}`, "positive numbers");
  });
}

/**
 * The weight of each of a model's classes: of a picture of the class, or, where there may be several labels, of a label that a
 * picture has (PyTorch's `weight` and `pos_weight`).
 *
 * @param setting `balanced`, or a JSON file of positive numbers by class
 * @param train The training data
 * @param fit How its classes go with the model's
 * @throws OneloraError for data whose labels are not known, and a file that does not weigh each of its classes
 */
export async function classWeightsOf(setting: string, train: ImageDataset, fit: LabelFit): Promise<readonly number[]> {
  const own = setting === BALANCED ? balanced(train, fit.several) : await weightsIn(setting, train.classes);
  const weights = fit.classes.map(() => 1);
  own.forEach((weight, i) => weights[fit.relabel[i]] = weight);
  return weights;
}
