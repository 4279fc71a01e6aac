/**
 * `config.json`: settings that every transformers or diffusers configuration may have, and keeping the fields that nobody
 * changes.
 *
 * @module
 */
import { isEqual } from "../../dsl/equal.ts";
import { OneloraError } from "../../dsl/error.ts";
import { isObject, show } from "../../dsl/files/json.ts";
import type { Json } from "../config.ts";
import { noEffect, refused, type Settings } from "./settings.ts";

/** Dropout is training's, and none of the published checkpoints of these families has any. */
export const NO_DROPOUT = "training here drops nothing out";

/** Where `config.json` of older versions held what is generation_config.json's today. */
export const generationNames: readonly string[] = [
  "bad_words_ids",
  "begin_suppress_tokens",
  "decoder_start_token_id",
  "diversity_penalty",
  "do_sample",
  "early_stopping",
  "encoder_no_repeat_ngram_size",
  "exponential_decay_length_penalty",
  "forced_bos_token_id",
  "forced_eos_token_id",
  "length_penalty",
  "max_length",
  "max_new_tokens",
  "min_length",
  "min_p",
  "no_repeat_ngram_size",
  "num_beam_groups",
  "num_beams",
  "num_return_sequences",
  "remove_invalid_values",
  "repetition_penalty",
  "suppress_tokens",
  "temperature",
  "top_k",
  "top_p",
  "typical_p",
  // Never written there, but read from there all the same.
  "constraints",
  "dola_layers",
  "encoder_repetition_penalty",
  "epsilon_cutoff",
  "eta_cutoff",
  "force_words_ids",
  "forced_decoder_ids",
  "guidance_scale",
  "max_time",
  "min_new_tokens",
  "penalty_alpha",
  "renormalize_logits",
  "sequence_bias",
  "stop_strings",
  "token_healing",
  "top_h",
  "watermarking_config",
];

/** Settings of generation that older versions wrote into `config.json`. */
export const generationInConfig: Settings = noEffect(
  "generates no text",
  ...generationNames,
);

/** Settings of every configuration of transformers. */
export const commonSettings: Settings = {
  ...noEffect(
    "says where the file comes from",
    "_name_or_path",
    "_commit_hash",
    "transformers_version",
    "_diffusers_version",
    "finetuning_task",
    "license",
    "auto_map",
    "transformers.js_config",
    "model_type",
  ),
  ...noEffect("weights are read in the type that they are stored in, and saved in it again", "dtype", "torch_dtype"),
  ...noEffect(
    "says what transformers' forward pass returns",
    "output_attentions",
    "output_hidden_states",
    "return_dict",
    "use_return_dict",
    "use_cache",
  ),
  ...noEffect(
    "chooses among ways to the same numbers",
    "_attn_implementation",
    "attn_implementation",
    "chunk_size_feed_forward",
  ),
  ...noEffect("decides first values of weights, which the checkpoint holds", "initializer_range", "initializer_factor"),
  ...noEffect(
    "is for other tasks than this model's",
    "task_specific_params",
    "tokenizer_class",
    "prefix",
    "sep_token_id",
    "cls_token_id",
  ),
  ...noEffect("off in every architecture here", "torchscript", "tf_legacy_loss", "use_bfloat16", "is_decoder"),
  ...refused("removes attention heads", [{}, []], "pruned_heads"),
  ...refused("asks for an encoder and a decoder", [false], "is_encoder_decoder", "add_cross_attention"),
  ...noEffect("off", "cross_attention_hidden_size", "tie_encoder_decoder"),
  ...refused("weights are quantised", [{}], "quantization_config", "compression_config"),
};

/**
 * Refuses weights that are stored as something else than numbers.
 *
 * @param json `config.json`
 * @param name The model
 * @throws OneloraError naming the method
 */
export function refuseQuantised(json: Json, name: string): void {
  for (const field of ["quantization_config", "compression_config"]) {
    const value = json[field];
    if (!isObject(value) || Object.keys(value).length === 0) continue;
    const method = value.quant_method ?? (value.load_in_8bit || value.load_in_4bit ? "bitsandbytes" : show(value));
    throw new OneloraError({
      attempted: `opening model "${name}"`,
      found: `weights quantised by ${method} ("${field}" of config.json)`,
      allowed: "weights of floats: the checkpoint that was quantised, or this one dequantised and saved again",
    });
  }
}

/**
 * A configuration with what changed of it: every other field stays as it is, in its place.
 *
 * @param json As it was read
 * @param before What this package writes of it unchanged
 * @param after What it writes now
 */
export function keepFields(json: Json, before: Json, after: Json): Json {
  const kept: Record<string, unknown> = { ...json };
  for (const name of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const [was, is, here] = [before[name], after[name], json[name]];
    if (!(name in after)) delete kept[name];
    else if (isObject(was) && isObject(is) && isObject(here)) kept[name] = keepFields(here, was, is);
    else if (!(name in json) || !isEqual(was, is)) kept[name] = is;
  }
  return kept;
}
