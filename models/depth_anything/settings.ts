/**
 * Settings of a Depth Anything's `config.json`.
 *
 * @module
 */
import { commonSettings, generationInConfig } from "../companions/config.ts";
import { honoured, noEffect, refused, type Settings } from "../companions/settings.ts";

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
