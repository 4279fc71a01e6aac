/**
 * Settings of image classification alone.
 *
 * @module
 */
import type { Augmentation } from "../data/augment.ts";
import { boolean, fromRecipe, type SettingsOf } from "../trainer/setting.ts";

/** Settings of image classification alone. */
export interface ClassificationSettings {
  /** The standard augmentation, none, or another. */
  readonly augment: boolean | Augmentation;
}

/** Their declarations. */
export const classificationSettings: SettingsOf<ClassificationSettings> = {
  augment: fromRecipe(boolean({ help: "crops and mirroring of images (default: true except for digits and letters)" })),
};
