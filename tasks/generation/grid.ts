/**
 * Samples of classes as one picture.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import { requirePlace, writeWhole } from "../../dsl/files/write.ts";
import type { Model } from "../../models/mod.ts";
import { integer, number, text } from "../trainer/setting.ts";
import type { Making } from "../trainer/prediction.ts";
import { encodePng } from "../data/png.ts";
import { autoencoderOf } from "./autoencoder.ts";
import { samplingNeeds } from "./needs.ts";
import { imageGrid } from "./pictures.ts";
import { generationRecipeFor } from "./recipe.ts";
import { classNumber, sampleClasses } from "./sample.ts";
import { evenLabels } from "./sampler.ts";
import { generationSettings } from "./settings.ts";

/** What is sampled, and how. */
export interface GridSettings {
  /** Name or number of a class; every class in turn without one. */
  readonly label?: string;
  /** Pictures. */
  readonly count: number;
  /** The PNG file. */
  readonly output: string;
  /** Steps of a sample; by default the recipe's. */
  readonly steps?: number;
  /** Scale of classifier-free guidance; by default the recipe's. */
  readonly guidance?: number;
  /** Autoencoder of a model of latents. */
  readonly vae?: string;
}

/** The class of each picture. */
function labelsOf(model: Model, { label, count }: GridSettings): Int32Array {
  if (label === undefined) return evenLabels(count, model.labels?.length ?? 0);
  return new Int32Array(count).fill(classNumber(model, label));
}

/** A grid of samples, written as PNG. */
export const samplingGrid: Making<GridSettings> = {
  summary: "samples pictures of classes",
  settings: {
    label: text({ help: "name or number of a class (default: every class in turn)" }),
    count: integer({ help: "pictures", min: 1, default: 16 }),
    output: text({ help: "the grid of pictures", value: "FILE.png", default: "samples.png" }),
    steps: integer({ help: "steps of a sample (default: 250, dit-micro 25); below 100 by DDIM", min: 2 }),
    guidance: number({ help: "scale of classifier-free guidance (default: 1.5, dit-micro 5); 1 for none", min: 0 }),
    vae: generationSettings.vae,
  },
  needs: (model, { count, vae, guidance = generationRecipeFor(model.name, "").own.guidance }) =>
    samplingNeeds(model, { count, guidance, vae }),
  make: async (described, open, settings) => {
    const { vae, steps: samplingSteps, guidance, output, seed } = settings;
    // Before hours of sampling.
    if (!/\.png$/i.test(output)) {
      const problem = { attempted: "choosing where pictures go", found: `\`output: ${output}\`` };
      throw new OneloraError({ ...problem, allowed: "a file that ends in .png" }, { exitCode: 2 });
    }
    requirePlace(output);
    await autoencoderOf(described, vae);
    const trained = await open();
    const labels = labelsOf(trained.model, settings);
    const began = performance.now();
    const { values, shape } = await sampleClasses(trained, labels, seed, { samplingSteps, guidance, vae });
    const seconds = (performance.now() - began) / 1000;
    await writeWhole(output, await encodePng(imageGrid(values, shape)));
    return { said: `${labels.length} pictures, ${(labels.length / seconds).toPrecision(3)} a second`, file: output };
  },
};
