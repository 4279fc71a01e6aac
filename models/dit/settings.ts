/**
 * Settings of a DiT's `config.json`.
 *
 * @module
 */
import { commonSettings, NO_DROPOUT } from "../companions/config.ts";
import { honoured, noEffect, noted, refused, type Settings } from "../companions/settings.ts";

/** Settings of `DiTTransformer2DModel`, and this package's own. */
export const ditSettings: Settings = {
  ...commonSettings,
  ...honoured(
    "_class_name",
    "num_attention_heads",
    "attention_head_dim",
    "in_channels",
    "out_channels",
    "num_layers",
    "attention_bias",
    "sample_size",
    "patch_size",
    "num_embeds_ada_norm",
    "norm_eps",
    "downscale_freq_shift",
    "fused_qkv",
    "id2label",
  ),
  ...noEffect("follows from id2label", "label2id"),
  ...refused("another activation", ["gelu-approximate"], "activation_fn"),
  ...refused("other norms", ["ada_norm_zero"], "norm_type"),
  ...refused("norms with weights", [false], "norm_elementwise_affine"),
  ...noted(NO_DROPOUT, [0], "dropout"),
  ...noEffect("no layer of a DiT has groups", "norm_num_groups"),
  ...noEffect("attention is in float32 here", "upcast_attention"),
  // Of Transformer2DModel, the class that older versions of diffusers published DiT under.
  ...refused("attends to a text", [null], "cross_attention_dim", "caption_channels"),
  ...refused(
    "another way in or out",
    [false],
    "use_linear_projection",
    "only_cross_attention",
    "double_self_attention",
  ),
  ...refused("tokens instead of patches", [null], "num_vector_embeds"),
  ...noEffect(
    "chooses among ways to the same numbers",
    "attention_type",
    "use_additional_conditions",
    "interpolation_scale",
  ),
};
