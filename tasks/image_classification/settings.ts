/**
 * Settings of image classification alone.
 *
 * @module
 */
import type { Augmentation } from "../data/augment.ts";
import { boolean, fromRecipe, integer, type SettingsOf, text } from "../trainer/setting.ts";

/** Settings of image classification alone. */
export interface ClassificationSettings {
  /** The standard augmentation, none, or another. */
  readonly augment: boolean | Augmentation;
  /** Weights of classes in the loss: `balanced`, or a file of weights by name. */
  readonly classWeights?: string;
  /** Names of a list's columns, `file=photo,label=breed`. */
  readonly columns?: string;
  /** Pictures classified after training, for the report to show what is mistaken for what. */
  readonly samples?: number;
}

/** Their declarations. */
export const classificationSettings: SettingsOf<ClassificationSettings> = {
  classWeights: text({
    training: true,
    help: "weights of classes in the loss: balanced (rare classes count more), or a JSON file of numbers by class",
    value: "balanced|FILE",
  }),
  columns: text({
    help: "columns of a list with other names, such as file=photo,label=breed (or labels=tags, split=fold)",
    value: "NAME=COLUMN,...",
  }),
  samples: integer({
    aside: true,
    training: true,
    help: "pictures held out that are classified after training, to show mistakes; 0 for none (default 200)",
    min: 0,
  }),
  augment: fromRecipe(
    boolean({ training: true, help: "crops and mirroring of images (default: true except for digits and letters)" }),
  ),
};
