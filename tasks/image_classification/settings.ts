/**
 * Settings of image classification alone.
 *
 * @module
 */
import type { Augmentation } from "../data/augment.ts";
import { boolean, fromRecipe, type SettingsOf, text } from "../trainer/setting.ts";

/** Settings of image classification alone. */
export interface ClassificationSettings {
  /** The standard augmentation, none, or another. */
  readonly augment: boolean | Augmentation;
  /** Weights of classes in the loss: `balanced`, or a file of weights by name. */
  readonly classWeights?: string;
  /** Names of a list's columns, `file=photo,label=breed`. */
  readonly columns?: string;
}

/** Their declarations. */
export const classificationSettings: SettingsOf<ClassificationSettings> = {
  classWeights: text({
    help: "weights of classes in the loss: balanced (rare classes count more), or a JSON file of numbers by class",
    value: "balanced|FILE",
  }),
  columns: text({
    help: "columns of a list with other names, such as file=photo,label=breed (or labels=tags, split=fold)",
    value: "NAME=COLUMN,...",
  }),
  augment: fromRecipe(boolean({ help: "crops and mirroring of images (default: true except for digits and letters)" })),
};
