/**
 * Default settings of image classification by model: the paper's recipe for ViT-Base, and one for the built-in example.
 *
 * @module
 */
import { isHanded } from "../data/open.ts";
import type { RunRecipe } from "../trainer/run_settings.ts";
import type { ClassificationSettings } from "./settings.ts";

/** A recipe without what depends on the data. */
type ModelRecipe = Omit<RunRecipe, "own">;

/** Paper, section 4.4: AdamW, rate 2e-5, weight decay 0.01, batch 10; epochs and decay are not stated there. */
const paper: ModelRecipe = { epochs: 3, batchSize: 10, lr: 2e-5, weightDecay: 0.01, schedule: "linear" };

const RECIPES: Readonly<Record<string, ModelRecipe>> = {
  "vit-micro": { steps: 500, batchSize: 64, lr: 8e-3, weightDecay: 0.01, schedule: "linear" },
};

/**
 * The default settings for a model and data. Digits and letters are not cropped and mirrored.
 *
 * @param model Preset name or folder
 * @param data The data set's specification
 */
export function recipeFor(model: string, data: string): RunRecipe<ClassificationSettings> {
  return { ...RECIPES[model] ?? paper, own: { augment: !isHanded(data) } };
}
