/**
 * What sampling and judging pictures takes by plan.
 *
 * @module
 */
import type { ValueType } from "../../dsl/compile/mod.ts";
import { asConditionalDiffusion, type Model } from "../../models/mod.ts";
import type { Needs } from "../trainer/needs.ts";
import { parameterBytes, planPass } from "../trainer/plan.ts";
import { autoencoderOf, describeAutoencoder } from "./autoencoder.ts";
import { diffusionInput } from "./objective.ts";
import { denoiser, SAMPLED } from "./sampler.ts";

/** How many pictures are sampled, and how. */
export interface SampledSizes {
  /** How many. */
  readonly count: number;
  /** Scale of classifier-free guidance; 1 for none. */
  readonly guidance: number;
  /** Autoencoder of a model of latents, if one is named. */
  readonly vae?: string;
  /** Pictures at a time (default 64). */
  readonly batchSize?: number;
}

/**
 * What sampling pictures takes, and decoding them where the model works on latents.
 *
 * @param model A diffusion model
 * @param sizes How many, and how
 */
export async function samplingNeeds(
  model: Model,
  { count, guidance, vae, batchSize = SAMPLED }: SampledSizes,
): Promise<Needs> {
  const input = diffusionInput(model);
  const rows = Math.min(count, batchSize);
  const latents: ValueType = { shape: [rows, ...input.shape], dtype: "float32" };
  const each: ValueType = { shape: [rows], dtype: "int32" };
  const name = await autoencoderOf(model, vae);
  const autoencoder = name === undefined ? undefined : await describeAutoencoder(name, model);
  return (layer, kept) => {
    const denoise = denoiser(asConditionalDiffusion(model, layer), input, guidance);
    const sampling = planPass(
      (all, { x, timesteps, y }) => ({ made: denoise(all, x, timesteps, y) }),
      layer,
      { x: latents, timesteps: each, y: each },
      kept,
    ).processBytes;
    if (autoencoder === undefined) return sampling;
    const { model: { layer: own }, decode } = autoencoder;
    const plain = { backend: kept.backend };
    const decoding = planPass((all, { x }) => ({ made: decode(all, x) }), own, { x: latents }, plain).processBytes;
    // Both models are there all the time.
    return Math.max(sampling + parameterBytes(own, undefined), decoding + parameterBytes(layer, kept.forms));
  };
}
