/**
 * Settings of an autoencoder's `config.json`.
 *
 * @module
 */
import { commonSettings } from "../companions/config.ts";
import { honoured, noEffect, refused, type Settings } from "../companions/settings.ts";

/** Settings of `AutoencoderKL`. */
export const autoencoderSettings: Settings = {
  ...commonSettings,
  ...honoured(
    "_class_name",
    "in_channels",
    "latent_channels",
    "block_out_channels",
    "down_block_types",
    "up_block_types",
    "layers_per_block",
    "norm_num_groups",
    "sample_size",
    "scaling_factor",
    "out_channels",
  ),
  ...refused("another activation", ["silu"], "act_fn"),
  ...refused("another layout", [true], "use_quant_conv", "use_post_quant_conv", "mid_block_add_attention"),
  ...refused("latents on another scale", [], "shift_factor", "latents_mean", "latents_std"),
  ...noEffect("numbers are float32 here", "force_upcast"),
};
