/**
 * Pictures of given classes from a model, however it works: in pixels or in latents.
 *
 * @module
 */
import { unknownName } from "../../dsl/error.ts";
import { fold, key } from "../../dsl/random.ts";
import { asConditionalDiffusion, type Model } from "../../models/mod.ts";
import type { TrainedModel } from "../trainer/prediction.ts";
import { autoencoderOf, openAutoencoder } from "./autoencoder.ts";
import { type CleanBatch, diffusionInput } from "./objective.ts";
import { generationRecipeFor } from "./recipe.ts";
import { samplePictures } from "./sampler.ts";
import type { GenerationSettings } from "./settings.ts";

/** The class of that name, or of which it is one of several names: "white shark" of "white shark, man-eater". */
function indexOfName(labels: readonly string[], name: string): number {
  const whole = labels.indexOf(name);
  return whole >= 0 ? whole : labels.findIndex((each) => each.split(",").some((one) => one.trim() === name.trim()));
}

/**
 * The number of a class.
 *
 * @param model The model
 * @param label Its name or its number
 * @throws OneloraError (exit code 2) for a class that the model does not have
 */
export function classNumber({ labels = [] }: Pick<Model, "labels">, label: string | number): number {
  const named = typeof label === "string" ? indexOfName(labels, label) : -1;
  const index = named >= 0 ? named : /^\d+$/.test(String(label)) ? Number(label) : NaN;
  if (index < labels.length) return index;
  throw unknownName("class", String(label), [...labels.slice(0, 20), ...labels.length > 20 ? ["..."] : []]);
}

/**
 * Samples a picture of each class.
 *
 * @param trained The model
 * @param labels Number of each picture's class
 * @param seed Seed of the noise
 * @param own Steps, guidance and autoencoder; by default the recipe's
 * @returns All pictures in row-major order, from about -1 to 1
 */
export async function sampleClasses(
  { model, layer, params }: TrainedModel,
  labels: Int32Array,
  seed: number,
  own: Partial<GenerationSettings>,
): Promise<CleanBatch> {
  const vae = await autoencoderOf(model, own.vae);
  using autoencoder = vae === undefined ? undefined : await openAutoencoder(vae, model);
  const { own: recipe } = generationRecipeFor(model.name, "");
  const { samplingSteps = recipe.samplingSteps, guidance = recipe.guidance } = own;
  const settings = { samplingSteps, guidance, decode: autoencoder?.decode };
  const denoise = asConditionalDiffusion(model, layer);
  const noise = fold(key(seed), "generate");
  const batches = await Array.fromAsync(
    samplePictures(denoise, params, diffusionInput(model), labels, noise, settings),
  );
  const shape = [labels.length, ...batches[0].shape.slice(1)];
  const values = new Float32Array(shape.reduce((size, length) => size * length, 1));
  batches.reduce((at, batch) => (values.set(batch.values, at), at + batch.values.length), 0);
  return { values, shape, labels };
}
