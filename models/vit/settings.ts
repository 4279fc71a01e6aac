/**
 * Settings of a ViT's `config.json`.
 *
 * @module
 */
import { commonSettings, generationInConfig, NO_DROPOUT } from "../companions/config.ts";
import { honoured, noEffect, noted, type Settings } from "../companions/settings.ts";

/** Settings of `ViTConfig`. */
export const vitSettings: Settings = {
  ...generationInConfig,
  ...commonSettings,
  ...honoured(
    "architectures",
    "model_type",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "image_size",
    "patch_size",
    "num_channels",
    "layer_norm_eps",
    "hidden_act",
    "qkv_bias",
    "id2label",
    "label2id",
    "num_labels",
    "problem_type",
  ),
  ...noted(NO_DROPOUT, [0], "hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout"),
  ...noEffect("belongs to the pooler, which the classifier does not use", "pooler_act", "pooler_output_size"),
  ...noEffect("belongs to masked image modelling", "encoder_stride"),
  ...noEffect(
    "is for text",
    "pad_token_id",
    "bos_token_id",
    "eos_token_id",
    "tie_word_embeddings",
    "vocab_size",
  ),
};
