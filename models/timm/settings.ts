/**
 * Settings of timm's `config.json`: those of its own, of `pretrained_cfg` and of `model_args`.
 *
 * @module
 */
import { NO_DROPOUT } from "../companions/config.ts";
import { honoured, noEffect, noted, refused, type Settings } from "../companions/settings.ts";

/** Names of the classes, in either place. */
const CLASSES: Settings = {
  ...honoured("num_classes", "label_names", "labels", "problem_type"),
  ...noEffect("says the classes in other words", "label_descriptions"),
};

/** Settings of `pretrained_cfg`: where weights come from, their pictures and their classes. */
export const pretrainedSettings: Settings = {
  ...CLASSES,
  ...honoured(
    "architecture",
    "input_size",
    "fixed_input_size",
    "interpolation",
    "crop_pct",
    "crop_mode",
    "mean",
    "std",
    "global_pool",
  ),
  ...noEffect(
    "says where the weights come from",
    "url",
    "file",
    "hf_hub_id",
    "hf_hub_filename",
    "source",
    "tag",
    "license",
    "description",
    "origin_url",
    "paper_name",
    "paper_ids",
    "notes",
  ),
  ...noEffect("is for weights in other layouts than timm's own, which have other names", "custom_load"),
  ...noEffect(
    "counts in timm where a test asks for it by name",
    "test_input_size",
    "test_crop_pct",
    "test_pool_size",
    "min_input_size",
  ),
  ...noEffect("is for convolutional networks", "pool_size"),
  ...refused("other names of layers", ["patch_embed.proj"], "first_conv"),
  ...refused("other names of layers", ["head"], "classifier"),
  ...refused("leaves out the first classes of the file's head", [0], "label_offset"),
};

/** Settings of the file itself; older files are a `pretrained_cfg` themselves. */
export const timmSettings: Settings = {
  ...pretrainedSettings,
  ...honoured("model_args", "pretrained_cfg"),
  ...noEffect("follows from the architecture, and timm does not go by it", "num_features"),
};

/** Arguments of timm's `VisionTransformer`, and of what makes it. */
export const argumentSettings: Settings = {
  ...honoured(
    "img_size",
    "patch_size",
    "in_chans",
    "num_classes",
    "global_pool",
    "embed_dim",
    "depth",
    "num_heads",
    "mlp_ratio",
    "qkv_bias",
    "proj_bias",
    "init_values",
    "class_token",
    "no_embed_class",
    "reg_tokens",
    "pre_norm",
    "final_norm",
    "fc_norm",
    "act_layer",
    "norm_layer",
  ),
  ...refused("norms of queries and keys", [false], "qk_norm"),
  ...refused("norms within attention", [false], "scale_attn_norm"),
  ...refused("norms within the MLP", [false], "scale_mlp_norm"),
  ...refused("another kind of positions", ["learn"], "pos_embed"),
  ...refused("a mean over class token and registers, too", [false], "pool_include_prefix"),
  ...refused("pictures filled up to whole patches", [false], "dynamic_img_pad"),
  ...refused("another class of models", [false], "use_naflex", "features_only"),
  ...refused("other layers", [], "embed_layer", "embed_norm_layer", "block_fn", "mlp_layer"),
  ...refused("another attention", ["", "attn"], "attn_layer"),
  ...noEffect("pictures come at the size that positions are for", "dynamic_img_size", "strict_img_size"),
  ...noEffect("decides first values of weights, which the checkpoint holds", "weight_init", "fix_init"),
  ...noEffect("is about how timm is called", "device", "dtype", "out_indices", "pretrained_strict"),
  ...noted(
    NO_DROPOUT,
    [0],
    "drop_rate",
    "pos_drop_rate",
    "patch_drop_rate",
    "proj_drop_rate",
    "attn_drop_rate",
    "drop_path_rate",
  ),
};
