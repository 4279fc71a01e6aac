/**
 * Sampling pictures of classes into a grid.
 *
 * @module
 */
import { fold, key } from "../../../dsl/mod.ts";
import { writeWhole } from "../../../dsl/files/write.ts";
import { asConditionalDiffusion, type Model } from "../../../models/mod.ts";
import {
  autoencoderOf,
  classNumber,
  diffusionInput,
  encodePng,
  evenLabels,
  generationRecipeFor,
  imageGrid,
  openAutoencoder,
  type OpenedModel,
  samplePictures,
} from "../../../tasks/mod.ts";

/** What is sampled, and how. */
export interface PictureOptions {
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
  /** Seed of the noise. */
  readonly seed: number;
}

/** The class of each picture. */
function labelsOf(model: Model, { label, count }: PictureOptions): Int32Array {
  if (label === undefined) return evenLabels(count, model.labels?.length ?? 0);
  return new Int32Array(count).fill(classNumber(model, label));
}

/**
 * Writes a grid of samples as PNG.
 *
 * @param described The model's description
 * @param open Opens it, once all else has proved usable
 * @param options See {@linkcode PictureOptions}
 * @returns What to say of the work, e.g. `16 pictures, 4.1 a second`
 * @throws OneloraError for an unknown class, and a model of latents without an autoencoder
 */
export async function samplePicturesTo(
  described: Model,
  open: () => Promise<OpenedModel>,
  options: PictureOptions,
): Promise<string> {
  const vae = await autoencoderOf(described, options.vae);
  const { model, layer, params } = await open();
  const labels = labelsOf(model, options);
  using autoencoder = vae === undefined ? undefined : await openAutoencoder(vae, model);
  const { samplingSteps, guidance } = generationRecipeFor(model.name, "").own;
  const settings = {
    samplingSteps: options.steps ?? samplingSteps,
    guidance: options.guidance ?? guidance,
    decode: autoencoder?.decode,
  };
  const denoise = asConditionalDiffusion(model, layer);
  const noise = fold(key(options.seed), "generate");
  const began = performance.now();
  const batches = await Array.fromAsync(
    samplePictures(denoise, params, diffusionInput(model), labels, noise, settings),
  );
  const shape = [labels.length, ...batches[0].shape.slice(1)];
  const values = new Float32Array(shape.reduce((size, length) => size * length, 1));
  batches.reduce((at, batch) => (values.set(batch.values, at), at + batch.values.length), 0);
  const seconds = (performance.now() - began) / 1000;
  const png = await encodePng(imageGrid(values, shape));
  await writeWhole(options.output, png);
  return `${labels.length} pictures, ${(labels.length / seconds).toPrecision(3)} a second`;
}
