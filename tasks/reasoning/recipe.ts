/**
 * Default settings of mathematical reasoning by model: MoRA's recipe, which the paper takes over, and one for the built-in
 * example.
 *
 * @module
 */
import type { RunRecipe } from "../trainer/run_settings.ts";
import type { ReasoningSettings } from "./settings.ts";

/** Jiang et al. 2024, as in section 4.2 of the paper. */
const paper: RunRecipe<ReasoningSettings> = {
  epochs: 3,
  batchSize: 128,
  lr: 3e-4,
  weightDecay: 0,
  schedule: "cosine",
  warmup: 0.03,
  clip: 1,
  accumulate: 32,
  precision: "bf16",
  own: { length: 512, samples: 64 },
};

const RECIPES: Readonly<Record<string, RunRecipe<ReasoningSettings>>> = {
  "llama-micro": {
    steps: 600,
    batchSize: 64,
    lr: 1e-2,
    weightDecay: 0,
    schedule: "cosine",
    warmup: 0.03,
    own: { length: 64, answerTokens: 64, samples: 200 },
  },
};

/**
 * The default settings for a model.
 *
 * @param model Preset name or folder
 */
export function recipeFor(model: string): RunRecipe<ReasoningSettings> {
  return RECIPES[model] ?? paper;
}
