/**
 * How many samples a Fréchet distance needs, and when it may be called FID.
 *
 * @module
 */
import { type DitPreset, ditPresets } from "../../models/mod.ts";
import type { Asked, Unfit } from "../trainer/task.ts";
import { featuresFor } from "./judge.ts";
import { generationRecipeFor } from "./recipe.ts";
import type { GenerationSettings } from "./settings.ts";

/** Features of models that a Fréchet distance is measured in, by how their names begin. */
const FEATURES: readonly (readonly [prefix: string, count: number])[] = [
  ["inception-v3-fid", 2048],
  ["vit-base", 768],
  ["vit-large", 1024],
];

/** Pictures from which on a Fréchet distance in Inception's features is called FID. */
const FID_SAMPLES = 10_000;

type Settings = Asked<GenerationSettings>;

/** How many pictures a run samples. */
function samplesOf({ model, data, own }: Settings): number {
  return own.samples ?? generationRecipeFor(model, data).own.samples;
}

/** A distance wants features, and fewer samples than features do not determine a covariance. */
export function unfitGeneration(asked: Settings): Unfit | undefined {
  // A model that is no preset says its channels when it is opened.
  const preset = Object.hasOwn(ditPresets, asked.model) ? ditPresets[asked.model as DitPreset] : undefined;
  if (preset !== undefined && (asked.own.samples ?? 0) > 0 && featuresFor(asked, preset.channels) === undefined) {
    return {
      found: `a Fréchet distance of ${asked.own.samples} samples of ${asked.model} without features`,
      allowed: "`features` of a model that tells pictures apart, or `samples` of 0",
    };
  }
  const [name, count] = FEATURES.find(([prefix]) => asked.own.features?.startsWith(prefix)) ?? [];
  const samples = samplesOf(asked);
  if (count === undefined || samples === 0 || samples >= count) return undefined;
  return {
    found:
      `a Fréchet distance of ${samples} samples in the ${count} features of ${name}, whose covariance they do not determine`,
    allowed: `\`samples\` of ${count} or more; ${FID_SAMPLES} for FID`,
  };
}

/** What the distance may be called: FID with Inception's features and enough samples. */
export function distanceTitle(asked: Settings): string | undefined {
  if (samplesOf(asked) === 0) return undefined;
  const isInception = asked.own.features?.startsWith("inception-v3-fid") ?? false;
  return isInception && samplesOf(asked) >= FID_SAMPLES ? "FID" : "Fréchet distance";
}
