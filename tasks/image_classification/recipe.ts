/**
 * Default settings of image classification by model: the paper's recipe for ViT-Base, and one for the built-in example.
 *
 * @module
 */

/** Settings that a recipe gives. */
export interface Recipe {
  /** Passes over the training data, unless `steps` is given. */
  readonly epochs?: number;
  /** Steps. */
  readonly steps?: number;
  /** Examples a step. */
  readonly batchSize: number;
  /** Peak learning rate. */
  readonly lr: number;
  /** AdamW's decoupled weight decay. */
  readonly weightDecay: number;
  /** Shape of the learning rate over the run. */
  readonly schedule: string;
}

/** Paper, section 4.4: AdamW, rate 2e-5, weight decay 0.01, batch 10; epochs and decay are not stated there. */
const paper: Recipe = { epochs: 3, batchSize: 10, lr: 2e-5, weightDecay: 0.01, schedule: "linear" };

const RECIPES: Readonly<Record<string, Recipe>> = {
  "vit-micro": { steps: 500, batchSize: 64, lr: 8e-3, weightDecay: 0.01, schedule: "linear" },
};

/**
 * The default settings for a model.
 *
 * @param model Preset name or folder
 */
export function recipeFor(model: string): Recipe {
  return RECIPES[model] ?? paper;
}

/**
 * Whether training images are cropped and mirrored by default: digits are not.
 *
 * @param data The data set's specification
 */
export function augmentsByDefault(data: string): boolean {
  return !data.endsWith("mnist");
}
