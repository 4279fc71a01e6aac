/**
 * Settings of a CLIP's `config.json`, and of the vision model within.
 *
 * @module
 */
import { commonSettings, generationInConfig, NO_DROPOUT } from "../companions/config.ts";
import { honoured, noEffect, noted, refused, type Settings } from "../companions/settings.ts";

const EVERY: Settings = {
  ...generationInConfig,
  ...commonSettings,
  ...noEffect("is for text", "pad_token_id", "bos_token_id", "eos_token_id", "tie_word_embeddings", "vocab_size"),
};

/** Settings of `CLIPConfig`. */
export const clipSettings: Settings = {
  ...EVERY,
  ...honoured("architectures", "model_type", "vision_config", "id2label", "label2id", "num_labels", "problem_type"),
  ...noEffect(
    "compares pictures with texts, which the classifier does not",
    "text_config",
    "text_config_dict",
    "projection_dim",
    "logit_scale_init_value",
  ),
  ...refused("overrides vision_config in older files", [{}], "vision_config_dict"),
};

/** Settings of `CLIPVisionConfig`. */
export const clipVisionSettings: Settings = {
  ...EVERY,
  ...honoured(
    "model_type",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_channels",
    "image_size",
    "patch_size",
    "hidden_act",
    "layer_norm_eps",
  ),
  ...noted(NO_DROPOUT, [0], "attention_dropout", "dropout"),
  ...noEffect("belongs to the projection beside texts", "projection_dim"),
  ...noEffect("classes are named in the whole configuration", "id2label", "label2id", "num_labels", "problem_type"),
  ...noEffect("the vision model's class in files of it alone", "architectures"),
};
