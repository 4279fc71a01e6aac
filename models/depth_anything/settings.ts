/**
 * Settings of a Depth Anything's `config.json`, and of the DINOv2 within.
 *
 * @module
 */
import { commonSettings, generationInConfig, NO_DROPOUT } from "../companions/config.ts";
import { honoured, noEffect, noted, refused, type Settings } from "../companions/settings.ts";

const NO_LABELS: Settings = noEffect("depth has no classes", "id2label", "label2id", "num_labels", "problem_type");
const NO_TEXT: Settings = noEffect(
  "is for text",
  "pad_token_id",
  "bos_token_id",
  "eos_token_id",
  "tie_word_embeddings",
);

/** Settings of `DepthAnythingConfig`. */
export const depthAnythingSettings: Settings = {
  ...generationInConfig,
  ...commonSettings,
  ...NO_LABELS,
  ...NO_TEXT,
  ...honoured(
    "architectures",
    "model_type",
    "backbone_config",
    "patch_size",
    "reassemble_hidden_size",
    "reassemble_factors",
    "neck_hidden_sizes",
    "fusion_hidden_size",
    "head_in_index",
    "head_hidden_size",
    "depth_estimation_type",
    "max_depth",
  ),
  ...refused("names a backbone of another library or repository", [false], "backbone", "use_timm_backbone"),
  ...noEffect("weights are the checkpoint's", "use_pretrained_backbone", "backbone_kwargs"),
};

/** Settings of `Dinov2Config`, as a backbone. */
export const dinov2Settings: Settings = {
  ...generationInConfig,
  ...commonSettings,
  ...NO_LABELS,
  ...NO_TEXT,
  ...honoured(
    "model_type",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "mlp_ratio",
    "image_size",
    "patch_size",
    "num_channels",
    "layer_norm_eps",
    "hidden_act",
    "qkv_bias",
    "fused_qkv",
    "use_mask_token",
    "out_indices",
    "out_features",
    "apply_layernorm",
    "interpolate_offset",
  ),
  ...refused("another MLP", [false], "use_swiglu_ffn"),
  ...refused("other feature maps", [false], "reshape_hidden_states"),
  ...noted(NO_DROPOUT, [0], "hidden_dropout_prob", "attention_probs_dropout_prob", "drop_path_rate"),
  ...noEffect("the backbone's class in files of the backbone alone", "architectures"),
  ...noEffect("decides first values of weights, which the checkpoint holds", "layerscale_value"),
  ...noEffect("follows from num_hidden_layers", "stage_names"),
};
