/**
 * Settings of a DINOv2's `config.json`, as a backbone and as a classifier.
 *
 * @module
 */
import { commonSettings, generationInConfig, NO_DROPOUT } from "../companions/config.ts";
import { honoured, noEffect, noted, refused, type Settings } from "../companions/settings.ts";

/** What both have. */
const SIZES: Settings = {
  ...generationInConfig,
  ...commonSettings,
  ...noEffect("is for text", "pad_token_id", "bos_token_id", "eos_token_id", "tie_word_embeddings"),
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
  ),
  ...refused("another MLP", [false], "use_swiglu_ffn"),
  ...noted(NO_DROPOUT, [0], "hidden_dropout_prob", "attention_probs_dropout_prob", "drop_path_rate"),
  ...noEffect("decides first values of weights, which the checkpoint holds", "layerscale_value"),
  ...noEffect("follows from num_hidden_layers", "stage_names"),
};

/** Settings of `Dinov2Config`, as a backbone. */
export const dinov2Settings: Settings = {
  ...SIZES,
  ...noEffect("depth has no classes", "id2label", "label2id", "num_labels", "problem_type"),
  ...honoured("out_indices", "out_features", "apply_layernorm", "interpolate_offset"),
  ...refused("other feature maps", [false], "reshape_hidden_states"),
  ...noEffect("the backbone's class in files of the backbone alone", "architectures"),
};

/** Settings of `Dinov2Config` and `Dinov2WithRegistersConfig`, as classifiers. */
export const dinov2ClassifierSettings: Settings = {
  ...SIZES,
  ...honoured("architectures", "id2label", "label2id", "num_labels", "problem_type", "num_register_tokens"),
  ...noEffect(
    "is about feature maps, which a classifier does not give",
    "out_indices",
    "out_features",
    "apply_layernorm",
    "reshape_hidden_states",
  ),
};
