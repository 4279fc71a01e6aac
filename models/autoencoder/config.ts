/**
 * Sizes of image autoencoders, and their `config.json` in diffusers' words.
 *
 * @module
 */
import { booleanField, choiceField, type Json, numberField, numbersField, wholeField, wrongField } from "../config.ts";

/** Sizes of an autoencoder. */
export interface AutoencoderConfig {
  /** Image channels. */
  readonly channels: number;
  /** Channels of the latents. */
  readonly latent: number;
  /** Channels at each resolution, finest first; between two of them the image halves. */
  readonly blocks: readonly number[];
  /** Residual units at each resolution of the encoder; the decoder has one more. */
  readonly layers: number;
  /** Groups of the group norms. */
  readonly groups: number;
  /** Image height and width that it was trained on. */
  readonly sample: number;
  /** What makes the latents' variance about one: latents = scalingFactor * (a sample of the posterior). */
  readonly scalingFactor: number;
}

/** Names of presets. */
export type AutoencoderPreset = "sd-vae-ft-ema" | "vae-micro";

const stable: AutoencoderConfig = {
  channels: 3,
  latent: 4,
  blocks: [128, 256, 512, 512],
  layers: 2,
  groups: 32,
  sample: 256,
  scalingFactor: 0.18215,
};

/** Configurations by preset name. */
export const autoencoderPresets: Readonly<Record<AutoencoderPreset, AutoencoderConfig>> = {
  "sd-vae-ft-ema": stable,
  "vae-micro": { ...stable, blocks: [16, 32], layers: 1, groups: 8, sample: 32 },
};

/** Fails where a list of block types holds another than the one known. */
function onlyBlocks(json: Json, name: string, kind: string, count: number): void {
  const value = json[name] ?? [kind];
  if (!Array.isArray(value) || value.length !== count || value.some((each) => each !== kind)) {
    throw wrongField(name, value, `${count} times ${kind}`);
  }
}

/**
 * From `config.json`; absent fields have the defaults of diffusers' AutoencoderKL.
 *
 * @param json The configuration
 */
export function readAutoencoderConfig(json: Json): AutoencoderConfig {
  const blocks = numbersField(json, "block_out_channels", [64]);
  onlyBlocks(json, "down_block_types", "DownEncoderBlock2D", blocks.length);
  onlyBlocks(json, "up_block_types", "UpDecoderBlock2D", blocks.length);
  const groups = wholeField(json, "norm_num_groups", 32);
  if (!blocks.every((channels) => channels % groups === 0)) {
    throw wrongField("block_out_channels", blocks, `multiples of norm_num_groups, ${groups}`);
  }
  const channels = wholeField(json, "in_channels", 3);
  if (wholeField(json, "out_channels", 3) !== channels) {
    throw wrongField("out_channels", json.out_channels ?? 3, `as many as in_channels, ${channels}`);
  }
  choiceField(json, "act_fn", ["silu"], "silu");
  for (const name of ["use_quant_conv", "use_post_quant_conv", "mid_block_add_attention"]) {
    if (!booleanField(json, name, true)) throw wrongField(name, false, "true");
  }
  for (const name of ["shift_factor", "latents_mean", "latents_std"]) {
    if ((json[name] ?? undefined) !== undefined) throw wrongField(name, json[name], "null");
  }
  // To diffusers no number at all, where an absent one is the default.
  if (json.scaling_factor === null) throw wrongField("scaling_factor", null, "a number");
  return {
    channels,
    latent: wholeField(json, "latent_channels", 4),
    blocks,
    layers: wholeField(json, "layers_per_block", 1),
    groups,
    sample: wholeField(json, "sample_size", 32),
    scalingFactor: numberField(json, "scaling_factor", 0.18215),
  };
}

/**
 * To `config.json`, for diffusers.
 *
 * @param config The sizes
 */
export function writeAutoencoderConfig(config: AutoencoderConfig): Json {
  return {
    _class_name: "AutoencoderKL",
    act_fn: "silu",
    block_out_channels: config.blocks,
    down_block_types: config.blocks.map(() => "DownEncoderBlock2D"),
    in_channels: config.channels,
    latent_channels: config.latent,
    layers_per_block: config.layers,
    norm_num_groups: config.groups,
    out_channels: config.channels,
    sample_size: config.sample,
    scaling_factor: config.scalingFactor,
    up_block_types: config.blocks.map(() => "UpDecoderBlock2D"),
  };
}
