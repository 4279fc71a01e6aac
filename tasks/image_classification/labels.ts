/**
 * The labels of a classifier and of its data: which of one are which of the other, and how many a picture may have.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import type { Model } from "../../models/model.ts";
import { matchClasses, sameClasses, someNames } from "../data/classes.ts";
import type { ImageDataset } from "../data/dataset.ts";

/** The value of `problem_type` for pictures of any number of labels. */
export const SEVERAL = "multi_label_classification";

/** The values for pictures of one. */
const ONE: readonly unknown[] = [undefined, null, "single_label_classification"];

/**
 * Whether a picture may have several of a classifier's labels, each with a probability of its own: `problem_type` of its
 * configuration.
 *
 * @param model The classifier
 * @throws OneloraError for a model that is no classifier, by its configuration
 */
export function takesSeveral({ name, config }: Pick<Model, "name" | "config">): boolean {
  const problem = config.problem_type;
  if (problem === SEVERAL) return true;
  if (ONE.includes(problem)) return false;
  throw new OneloraError({
    attempted: `classifying images with ${name}`,
    found: `"problem_type": ${JSON.stringify(problem)?.slice(0, 80)} in its configuration`,
    allowed: `single_label_classification, ${SEVERAL}, or none`,
  });
}

/** How a data set's labels go with a model's. */
export interface LabelFit {
  /** Names of the model's classes. */
  readonly classes: readonly string[];
  /** The model's number for each class of the data. */
  readonly relabel: Int32Array;
  /** Whether a picture may have several labels. */
  readonly several: boolean;
}

/** A data set's labels. */
export type DataLabels = Pick<ImageDataset, "classes" | "multiLabel">;

/** How labels go with a model's that are the same. */
export function sameLabels({ classes, multiLabel = false }: DataLabels): LabelFit {
  return { classes, relabel: Int32Array.from(classes, (_, i) => i), several: multiLabel };
}

/**
 * Finds each class of a data set among a model's, to evaluate the one on the other.
 *
 * @param model The model
 * @param data What the data set is called
 * @param labels The data set's
 * @returns How they go together, and what a person should know of it
 * @throws OneloraError naming the classes that the model does not have
 */
export function fitForEvaluation(
  model: Model,
  data: string,
  { classes, multiLabel = false }: DataLabels,
): LabelFit & { readonly notes: readonly string[] } {
  const { labels = [], name } = model;
  const fail = (found: string, allowed: string): never => {
    throw new OneloraError({ attempted: `evaluating ${name} on ${data}`, found, allowed });
  };
  const several = takesSeveral(model);
  if (multiLabel && !several) {
    fail("several labels a picture", `pictures of one: a model with "problem_type": "${SEVERAL}"`);
  }
  const { indices, note } = matchClasses(labels, classes);
  const strange = classes.filter((_, i) => indices[i] < 0);
  if (strange.length > 0) {
    const unknown = `no class of the model's by the name of ${someNames(strange)}`;
    if (labels.length === classes.length) fail(unknown, `its own, by name: ${someNames(labels)}`);
    const allowed = `one of the data's ${classes.length}: ${someNames(classes)}; ${unknown}, but ${someNames(labels)}`;
    fail(`a model of ${labels.length} classes`, allowed);
  }
  const fewer = classes.length < labels.length
    ? [`the data has ${classes.length} of the model's ${labels.length} classes`]
    : [];
  return { classes: labels, relabel: indices, several, notes: [...note === undefined ? [] : [note], ...fewer] };
}

/**
 * The model for a data set's classes. A head that is for the same classes by name is kept, in its own order; any other starts
 * anew.
 *
 * @param published The model
 * @param labels The data set's
 * @returns The model, how the labels go together, and what is not kept
 * @throws OneloraError for pictures of one class alone, unless they may have several labels
 */
export function fitForTraining(
  published: Model,
  { classes, multiLabel = false }: DataLabels,
): { readonly model: Model; readonly fit: LabelFit; readonly notes: readonly string[] } {
  const { labels = [], folder, name, freshClasses } = published;
  const same = sameClasses(labels, classes);
  const before = takesSeveral(published);
  const several = before || multiLabel;
  // One class is right whatever is learned: 100 % from the first step on.
  if (!several && classes.length < 2) {
    const found = `one class (${someNames(classes)})`;
    const allowed = "two or more: a folder a class, or several labels a picture";
    throw new OneloraError({ attempted: `training ${name} to tell classes apart`, found, allowed });
  }
  const notes: string[] = [];
  const nameless = labels.every((label, i) => label === `LABEL_${i}`);
  if (same === undefined && folder !== undefined && !nameless && !freshClasses) {
    const count = (names: readonly string[]) => `${names.length} ${names.length === 1 ? "class" : "classes"}`;
    notes.push(
      `the head of ${name} for ${count(labels)} (${someNames(labels, 5)}) is not kept: the data has ` +
        `${count(classes)} (${someNames(classes, 5)}); a new head replaces it`,
    );
  }
  if (several && !before) notes.push(`pictures have several labels: each gets a probability of its own (${SEVERAL})`);
  const sized = same !== undefined ? published : published.with({ labels: classes });
  const model = several === before ? sized : sized.with({ problem: SEVERAL });
  return {
    model,
    fit: { classes: model.labels!, relabel: same ?? sameLabels({ classes }).relabel, several },
    notes,
  };
}
