/**
 * What sampling and judging pictures takes by plan.
 *
 * @module
 */
import type { RecurrentPlan } from "../../dsl/compile/plan_recurrent.ts";
import { typesOf, type ValueType } from "../../dsl/compile/mod.ts";
import { backendNames, engineKind, keptForms } from "../../dsl/engine/kinds.ts";
import type { Layer } from "../../dsl/layer.ts";
import { apply } from "../../dsl/apply.ts";
import { heldForms } from "../../models/checkpoint/forms.ts";
import { asConditionalDiffusion, type Model } from "../../models/mod.ts";
import type { Kept, Needs } from "../trainer/needs.ts";
import { parameterBytes, parameterTypes, planPass } from "../trainer/plan.ts";
import { autoencoderOf, describeAutoencoder } from "./autoencoder.ts";
import { describeFeatures, FEATURE_BATCH } from "./features.ts";
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

/** What samples are judged by. */
export interface JudgedSizes {
  /** The model in whose features they are measured, by the pictures' channels, if there is one. */
  readonly features: (channels: number) => string | undefined;
  /** Real pictures whose features are computed at a time (default 100). */
  readonly images: number;
}

/** A model that is there all the while besides the one that is sampled of, and what is computed with it. */
interface Helper {
  /** Its parameters, as they are kept. */
  readonly bytes: number;
  /** Its program. */
  readonly plan: RecurrentPlan;
  /** What else there is in JavaScript's memory. */
  readonly held: number;
}

/** A model's pass, its file's halves kept. */
async function helper(
  model: Model,
  layer: Layer,
  f: Parameters<typeof planPass>[0],
  x: ValueType,
  held: number = 0,
): Promise<(kept: Kept) => Helper> {
  const found = backendNames.map(async (name) =>
    [name, await heldForms(model, layer, { reading: "passes" }, engineKind(name))] as const
  );
  const forms = new Map(await Promise.all(found));
  return ({ backend }) => {
    const kept = keptForms(backend, forms.get(backend)!);
    return {
      bytes: parameterBytes(layer, kept),
      plan: planPass(f, layer, { x }, { backend, forms: kept.size === 0 ? undefined : kept }),
      held,
    };
  };
}

/** What a distance is computed of takes some ten matrices of D x D doubles: both sets' scatters and covariances, and their factors. */
const MATRICES = 10;

/** What samples of a side are measured by: of so many at a time their features, and the matrices of these. */
async function judgeOf(name: string, side: number, rows: number): Promise<(kept: Kept) => Helper> {
  const { model, layer, transform } = await describeFeatures(name, side);
  const pixels: ValueType = { shape: [rows, ...transform.shape], dtype: "float32" };
  const { features } = typesOf((all) => ({ features: apply(layer, all)(all.pixels) }), {
    ...parameterTypes(layer),
    pixels,
  });
  const held = MATRICES * Float64Array.BYTES_PER_ELEMENT * features.shape[1] ** 2;
  return await helper(model, layer, (all, { x }) => ({ features: apply(layer, all)(x) }), pixels, held);
}

/** The most that is there, where models that are there all the while take turns. */
function inTurn(own: { readonly bytes: number; readonly process: number }, helpers: readonly Helper[]): number {
  const besides = helpers.reduce((sum, { bytes, plan, held }) => sum + bytes + plan.programBytes + held, 0);
  const each = helpers.map(({ bytes, plan: { processBytes, programBytes } }) =>
    own.bytes + processBytes + besides - bytes - programBytes
  );
  return Math.max(own.process + besides, ...each);
}

/**
 * What sampling pictures takes: decoding them where the model works on latents, and judging them where they are.
 *
 * @param model A diffusion model
 * @param sizes How many, how, and by what they are judged
 * @param besides What else is done with the model meanwhile
 */
export async function samplingNeeds(
  model: Model,
  { count, guidance, vae, batchSize = SAMPLED, features, images = FEATURE_BATCH }: SampledSizes & Partial<JudgedSizes>,
  besides: Needs = () => 0,
): Promise<Needs> {
  const input = diffusionInput(model);
  const rows = Math.min(count, batchSize);
  const latents: ValueType = { shape: [rows, ...input.shape], dtype: "float32" };
  const each: ValueType = { shape: [rows], dtype: "int32" };
  const name = await autoencoderOf(model, vae);
  const autoencoder = name === undefined ? undefined : await describeAutoencoder(name, model);
  const decoder = autoencoder &&
    await helper(
      autoencoder.model,
      autoencoder.model.layer,
      (all, { x }) => ({ made: autoencoder.decode(all, x) }),
      latents,
    );
  const [channels, side] = autoencoder === undefined
    ? input.shape
    : [autoencoder.config.channels, input.shape[1] * 2 ** (autoencoder.config.blocks.length - 1)];
  const judging = count === 0 ? undefined : features?.(channels);
  const judge = judging === undefined ? undefined : await judgeOf(judging, side, Math.max(rows, images));
  return (layer, kept) => {
    const denoise = denoiser(asConditionalDiffusion(model, layer), input, guidance);
    const sampling = count === 0 ? 0 : planPass(
      (all, { x, timesteps, y }) => ({ made: denoise(all, x, timesteps, y) }),
      layer,
      { x: latents, timesteps: each, y: each },
      kept,
    ).processBytes;
    const own = { bytes: parameterBytes(layer, kept.forms), process: Math.max(sampling, besides(layer, kept)) };
    return inTurn(own, [decoder, judge].flatMap((each) => each === undefined ? [] : [each(kept)]));
  };
}
