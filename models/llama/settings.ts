/**
 * Settings of a LLaMA's `config.json`.
 *
 * @module
 */
import { commonSettings, generationNames } from "../companions/config.ts";
import { honoured, noEffect, noted, refused, type Settings } from "../companions/settings.ts";

/** Settings of `LlamaConfig`; those of other architectures that would change numbers are refused. */
export const llamaSettings: Settings = {
  // Read where there is no generation_config.json, as transformers does.
  ...honoured(...generationNames),
  ...commonSettings,
  ...honoured(
    "architectures",
    "model_type",
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "hidden_act",
    "rms_norm_eps",
    "rope_theta",
    "rope_parameters",
    "rope_scaling",
    "original_max_position_embeddings",
    "partial_rotary_factor",
    "max_position_embeddings",
    "tie_word_embeddings",
    "attention_bias",
    "mlp_bias",
    "layer_types",
    "bos_token_id",
    "eos_token_id",
  ),
  ...noted("training here drops nothing out", [0], "attention_dropout", "residual_dropout", "hidden_dropout"),
  ...noEffect("rows are padded by a mask, whatever the token", "pad_token_id"),
  ...noEffect("parts of a sum that is the same in one piece", "pretraining_tp"),
  ...noEffect("a language model has no classes", "id2label", "label2id", "num_labels", "problem_type"),
  ...noEffect("says which text the model was trained on", "max_sequence_length", "unk_token_id"),
  ...noEffect("remarks of its makers", "is_llama_config", "transformers.js_config"),
  ...refused("rotary positions of neighbours", [false], "rope_interleaved"),
  ...refused(
    "attention of a window only",
    [false, 0],
    "sliding_window",
    "use_sliding_window",
    "attention_window_size",
    "attention_chunk_size",
  ),
  ...refused("tokens that see those behind them", [true], "is_causal"),
  ...refused("layers of several kinds", [], "no_rope_layers", "block_types"),
  ...refused("experts instead of one MLP", [0, 1], "num_local_experts", "num_experts", "n_routed_experts"),
  ...refused(
    "another scale of numbers",
    [1],
    "embedding_multiplier",
    "residual_multiplier",
    "attention_multiplier",
    "logits_scaling",
    "logit_scale",
    "mup_scale",
    "scale_emb",
    "scale_depth",
  ),
  ...refused("scores or logits that are cut", [], "attn_logit_softcapping", "final_logit_softcapping", "clip_qkv"),
  ...refused(
    "other norms",
    [false],
    "use_qk_norm",
    "qk_norm",
    "qk_layernorm",
    "use_parallel_residual",
    "parallel_attn",
  ),
  ...refused("positions of another kind", [false], "alibi", "use_alibi"),
};
