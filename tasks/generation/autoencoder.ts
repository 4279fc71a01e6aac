/**
 * The autoencoder that a model of latents belongs to.
 *
 * @module
 */
import { dispose } from "@tensorflow/tfjs-core";
import type * as tf from "@tensorflow/tfjs-core";
import { compile } from "../../dsl/compile/mod.ts";
import { OneloraError } from "../../dsl/error.ts";
import { isFileAt } from "../../dsl/files/store.ts";
import { apply } from "../../dsl/apply.ts";
import { key } from "../../dsl/random.ts";
import type { Params } from "../../dsl/tree.ts";
import { asEncoder, decoding, loadParams, type Model, openModel } from "../../models/mod.ts";
import { type AutoencoderConfig, readAutoencoderConfig } from "../../models/autoencoder/config.ts";
import type { LatentEncoder } from "./latents.ts";
import { diffusionInput } from "./objective.ts";

/** An autoencoder ready to run. */
export interface Autoencoder extends Disposable {
  /** Its name, part of what its latents are known by. */
  readonly name: string;
  /** Side and channels of the pictures whose latents the diffusion model takes. */
  readonly image: { readonly size: number; readonly channels: number };
  /** What latents are multiplied with. */
  readonly factor: number;
  /** Pixels from -1 to 1 to the posterior's mean and log variance. */
  readonly encode: LatentEncoder;
  /** Latents, multiplied, to pixels. */
  readonly decode: (latents: tf.Tensor) => tf.Tensor;
}

/** Whether a folder holds a model. */
async function holdsModel(folder: string): Promise<boolean> {
  return await isFileAt(`${folder}/config.json`);
}

/**
 * The folder of a diffusion model's autoencoder: the one named, else `vae/` in the model's folder or beside it, as diffusers
 * lays a pipeline out; nothing for a model of pixels, whose channels are those of pictures.
 *
 * @param model The diffusion model
 * @param named The autoencoder's preset name or folder, if one is named
 * @throws OneloraError (exit code 2) for a model of latents without one
 */
export async function autoencoderOf(model: Model, named?: string): Promise<string | undefined> {
  if (named !== undefined) return named;
  for (const place of model.folder === undefined ? [] : [`${model.folder}/vae`, `${model.folder}/../vae`]) {
    if (await holdsModel(place)) return place;
  }
  const { shape: [channels] } = diffusionInput(model);
  if (channels === 1 || channels === 3) return undefined;
  throw new OneloraError({
    attempted: `making pictures of ${model.name}'s latents`,
    found: "no autoencoder",
    allowed: "vae/ in the model's folder or beside it, or one named by `vae`",
  }, { exitCode: 2 });
}

/** An autoencoder's description, and what it computes. */
export interface DescribedAutoencoder {
  /** Its model. */
  readonly model: Model;
  /** Its configuration. */
  readonly config: AutoencoderConfig;
  /** Pixels to the mean and log variance of latents. */
  readonly encode: (all: Params, pixels: tf.Tensor) => readonly [mean: tf.Tensor, logvar: tf.Tensor];
  /** Latents to pixels. */
  readonly decode: (all: Params, latents: tf.Tensor) => tf.Tensor;
}

/**
 * Describes the autoencoder of a diffusion model; no weights are read.
 *
 * @param name Preset name or folder
 * @param model The diffusion model
 * @throws OneloraError for another kind of model, and one whose latents do not fit
 */
export async function describeAutoencoder(name: string, model: Model): Promise<DescribedAutoencoder> {
  const { shape: [latent] } = diffusionInput(model);
  const opened = await openModel(name);
  const encoder = asEncoder(opened, opened.layer);
  const config = readAutoencoderConfig(opened.config);
  if (config.latent !== latent) {
    throw new OneloraError({
      attempted: `making pictures of ${model.name}'s latents by ${name}`,
      found: `latents of ${config.latent} channels`,
      allowed: `an autoencoder with latents of ${latent}`,
    }, { exitCode: 2 });
  }
  return {
    model: opened,
    config,
    encode: (all, pixels) => {
      const [, mean, logvar] = apply(encoder, all)(pixels);
      return [mean, logvar];
    },
    decode: (all, latents) => apply(decoding(config)(opened.layer), all)(latents),
  };
}

/**
 * Opens the autoencoder of a diffusion model.
 *
 * @param name Preset name or folder
 * @param model The diffusion model
 * @throws OneloraError for another kind of model, and one whose latents do not fit
 */
export async function openAutoencoder(name: string, model: Model): Promise<Autoencoder> {
  const { shape: [, side] } = diffusionInput(model);
  const { model: opened, config, ...functions } = await describeAutoencoder(name, model);
  const { params } = await loadParams(opened, key(0), opened.layer, { reading: "passes" });
  const encode = compile(functions.encode, { graph: true });
  const decode = compile(functions.decode, { graph: true });
  return {
    name,
    image: { size: side * 2 ** (config.blocks.length - 1), channels: config.channels },
    factor: config.scalingFactor,
    encode: (pixels) => encode(params, pixels),
    decode: (latents) => decode(params, latents),
    [Symbol.dispose]: () => {
      encode.dispose();
      decode.dispose();
      dispose(Object.values(params));
    },
  };
}
