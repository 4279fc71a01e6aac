/**
 * Default settings of image generation by model: DiT's own recipe, and one for the built-in example.
 *
 * @module
 */
import { isHanded } from "../data/open.ts";
import type { RunRecipe } from "../trainer/run_settings.ts";
import type { GenerationSettings } from "./settings.ts";

/**
 * Peebles and Xie 2022, section 4, and DiffFit's fine-tuning: AdamW at a constant rate without decay, an average of the
 * parameters, classifier-free guidance at 1.5, 250 steps. 1e-4 is DiT's rate for all parameters; adapters take ten times it.
 */
const published: Omit<RunRecipe, "own"> = {
  epochs: 10,
  batchSize: 32,
  lr: 1e-3,
  weightDecay: 0,
  schedule: "constant",
  ema: 0.9999,
};

/** How pictures are sampled. */
const sampling: Omit<GenerationSettings, "augment"> = { guidance: 1.5, samplingSteps: 250, samples: 1000 };

const RECIPES: Readonly<Record<string, Partial<RunRecipe<GenerationSettings>>>> = {
  // An average over some hundred steps, since there are no more.
  "dit-micro": {
    epochs: undefined,
    steps: 1200,
    batchSize: 64,
    lr: 8e-3,
    schedule: "linear",
    ema: 0.98,
    own: { samplingSteps: 25, samples: 500, guidance: 5 },
  },
};

/**
 * The default settings for a model and data. Digits and letters are not mirrored.
 *
 * @param model Preset name or folder
 * @param data The data set's specification
 */
export function generationRecipeFor(
  model: string,
  data: string,
): RunRecipe<GenerationSettings> & { readonly own: GenerationSettings } {
  const { own, ...recipe } = RECIPES[model] ?? {};
  return { ...published, ...recipe, own: { ...sampling, ...own, augment: !isHanded(data) } };
}
