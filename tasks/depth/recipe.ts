/**
 * Default settings of monocular depth by model: Depth Anything's for metric models, which the paper uses, and one for the
 * built-in example.
 *
 * @module
 */
import type { RunRecipe } from "../trainer/run_settings.ts";
import type { DepthSettings } from "./settings.ts";

/** Depth Anything's metric training: the rate stays for 70 % of the steps while momentum falls, then goes to almost 0. */
const published: RunRecipe<DepthSettings> = {
  epochs: 5,
  batchSize: 16,
  lr: 1.61e-4,
  weightDecay: 0.01,
  schedule: "one-cycle-flat",
  warmup: 0.7,
  clip: 0.1,
  lrFactor: "backbone.**=0.02",
  own: { augment: true, flip: true },
};

const RECIPES: Readonly<Record<string, RunRecipe<DepthSettings>>> = {
  "dpt-micro": {
    steps: 500,
    batchSize: 16,
    lr: 5e-2,
    weightDecay: 0.01,
    schedule: "one-cycle",
    warmup: 0.3,
    clip: 1,
    own: { augment: true },
  },
};

/**
 * The default settings for a model.
 *
 * @param model Preset name or folder
 */
export function depthRecipe(model: string): RunRecipe<DepthSettings> {
  return RECIPES[model] ?? published;
}
