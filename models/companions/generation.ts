/**
 * `generation_config.json`: how a language model continues a text by default.
 *
 * @module
 */
import { readJsonIfThere } from "../../dsl/files/python_json.ts";
import type { Json } from "../config.ts";
import { generationNames } from "./config.ts";
import { wrongSetting } from "./read.ts";
import { checkSettings, honoured, noEffect, refused, type Settings } from "./settings.ts";

/** What a model's files say of its generation; what they do not say is absent. */
export interface GenerationDefaults {
  /** Whether tokens are drawn; otherwise the likeliest is taken, and what shapes the draw has no effect. */
  readonly sample: boolean;
  /** The logits' divisor. */
  readonly temperature?: number;
  /** Draw among so many likeliest tokens only. */
  readonly topK?: number;
  /** Draw among the likeliest tokens of this probability together. */
  readonly topP?: number;
  /** Draw among tokens that have this share of the likeliest's probability. */
  readonly minP?: number;
  /** Makes tokens that the text has already less likely, above 1. */
  readonly repetitionPenalty?: number;
  /** Most tokens to add. */
  readonly maxNewTokens?: number;
  /** Most tokens of prompt and answer together. */
  readonly maxLength?: number;
  /** Fewest tokens to add. */
  readonly minNewTokens?: number;
  /** Fewest tokens of prompt and answer together. */
  readonly minLength?: number;
  /** Ids that are never chosen. */
  readonly suppress?: readonly number[];
  /** Ids that are not chosen first. */
  readonly suppressFirst?: readonly number[];
  /** Ids that end a text. */
  readonly end: readonly number[];
}

/** Settings of `GenerationConfig`. */
export const generationSettings: Settings = {
  ...honoured(
    "do_sample",
    "temperature",
    "top_k",
    "top_p",
    "min_p",
    "repetition_penalty",
    "max_new_tokens",
    "max_length",
    "min_new_tokens",
    "min_length",
    "suppress_tokens",
    "begin_suppress_tokens",
    "eos_token_id",
  ),
  ...noEffect("the tokenizer begins the text", "bos_token_id", "decoder_start_token_id"),
  ...noEffect("rows are padded by a mask, whatever the token", "pad_token_id"),
  ...noEffect("is for beams", "length_penalty", "early_stopping", "diversity_penalty", "low_memory", "constraints"),
  ...noEffect(
    "says what transformers returns",
    "output_attentions",
    "output_hidden_states",
    "output_scores",
    "output_logits",
    "return_dict_in_generate",
  ),
  ...noEffect(
    "is about caches and compilation",
    "use_cache",
    "cache_implementation",
    "cache_config",
    "max_cache_len",
    "compile_config",
    "disable_compile",
    "continuous_batching_config",
    "prefill_chunk_size",
  ),
  ...noEffect(
    "makes transformers faster, not different",
    "assistant_confidence_threshold",
    "assistant_early_exit",
    "assistant_ensemble_weight",
    "assistant_lookbehind",
    "is_assistant",
    "max_matching_ngram_size",
    "num_assistant_tokens",
    "num_assistant_tokens_schedule",
    "prompt_lookup_num_tokens",
    "speculation_type",
    "target_lookbehind",
    "use_mtp",
  ),
  ...noEffect("probabilities always have the sum 1 here", "renormalize_logits"),
  ...noEffect("numbers that are none stop a run here", "remove_invalid_values"),
  ...noEffect(
    "says where the file comes from",
    "_from_model_config",
    "transformers_version",
    "_commit_hash",
    "generation_kwargs",
  ),
  ...refused("several beams", [1], "num_beams", "num_beam_groups", "num_return_sequences"),
  ...refused("another way to choose tokens", [1], "typical_p", "guidance_scale", "encoder_repetition_penalty"),
  ...refused(
    "another way to choose tokens",
    [0],
    "epsilon_cutoff",
    "eta_cutoff",
    "penalty_alpha",
    "no_repeat_ngram_size",
    "encoder_no_repeat_ngram_size",
  ),
  ...refused(
    "another way to choose tokens",
    [[], {}, false],
    "top_h",
    "dola_layers",
    "bad_words_ids",
    "force_words_ids",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "exponential_decay_length_penalty",
    "sequence_bias",
    "watermarking_config",
    "token_healing",
    "forced_decoder_ids",
  ),
  ...refused("another end of a text", [[]], "stop_strings", "max_time"),
};

/** Above what, at least or at most a number must be. */
interface Bounds {
  readonly least?: number;
  readonly above?: number;
  readonly most?: number;
  readonly whole?: boolean;
}

function numberOf(json: Json, name: string, file: string, bounds: Bounds): number | undefined {
  const value = json[name] ?? undefined;
  if (value === undefined) return undefined;
  const { least = -Infinity, above = -Infinity, most = Infinity, whole = false } = bounds;
  if (
    typeof value === "number" && value >= least && value > above && value <= most && (!whole || Number.isInteger(value))
  ) {
    return value;
  }
  const words = [
    whole ? "a whole number" : "a number",
    ...(bounds.least === undefined ? [] : [`from ${least}`]),
    ...(bounds.above === undefined ? [] : [`above ${above}`]),
    ...(bounds.most === undefined ? [] : [`to ${most}`]),
  ];
  throw wrongSetting(file, name, value, words.join(" "));
}

function idsOf(json: Json, name: string, file: string): readonly number[] | undefined {
  const value = json[name] ?? undefined;
  if (value === undefined) return undefined;
  const ids = Array.isArray(value) ? value : [value];
  if (ids.every((id) => Number.isInteger(id) && id >= 0)) return ids;
  throw wrongSetting(file, name, value, "token ids");
}

/** Ids of a setting that ends texts, of either file. */
function endsOf(json: Json, file: string): readonly number[] {
  return idsOf(json, "eos_token_id", file) ?? [];
}

/** The file. */
const FILE = "generation_config.json";

/**
 * Ids that end a model's texts: those of `config.json` and those of `generation_config.json`.
 *
 * @param folder The model's folder
 * @param config Its `config.json`
 */
export async function readEnds(folder: string, config: Json): Promise<readonly number[]> {
  const found = await readJsonIfThere(`${folder}/${FILE}`);
  return [...new Set([...endsOf(config, "config.json"), ...endsOf(found?.json ?? {}, FILE)])];
}

/**
 * How a model continues a text by default: its `generation_config.json`, or what older versions wrote of it into
 * `config.json`.
 *
 * @param folder The model's folder
 * @param config Its `config.json`
 * @returns The defaults, and notes of what is not acted on and might be meant
 * @throws OneloraError for a setting that is refused or out of range
 */
export async function openGeneration(
  folder: string,
  config: Json,
): Promise<{ readonly defaults: GenerationDefaults; readonly notes: readonly string[] }> {
  const found = await readJsonIfThere(`${folder}/${FILE}`);
  const older = Object.fromEntries(Object.entries(config).filter(([name]) => generationNames.includes(name)));
  const [json, file] = found === undefined ? [older, "config.json"] : [found.json, FILE];
  const notes = checkSettings(json, generationSettings, file, "a language model's generation");
  return { defaults: { ...readGeneration(json, file), end: await readEnds(folder, config) }, notes };
}

/**
 * The defaults that a file gives.
 *
 * @param json `generation_config.json`, or the `config.json` of a folder without one
 * @param file Which of them it is
 * @throws OneloraError for a value that is out of range
 */
export function readGeneration(json: Json, file: string): GenerationDefaults {
  const sample = json.do_sample ?? false;
  if (typeof sample !== "boolean") throw wrongSetting(file, "do_sample", sample, "true or false");
  const topK = numberOf(json, "top_k", file, { least: 0, whole: true });
  return {
    sample,
    temperature: numberOf(json, "temperature", file, { least: 0 }),
    // transformers draws among 50 where a file that draws says nothing.
    topK: topK ?? (sample ? 50 : undefined),
    topP: numberOf(json, "top_p", file, { above: 0, most: 1 }),
    minP: numberOf(json, "min_p", file, { least: 0, most: 1 }),
    repetitionPenalty: numberOf(json, "repetition_penalty", file, { above: 0 }),
    maxNewTokens: numberOf(json, "max_new_tokens", file, { least: 1, whole: true }),
    maxLength: numberOf(json, "max_length", file, { least: 1, whole: true }),
    minNewTokens: numberOf(json, "min_new_tokens", file, { least: 0, whole: true }),
    minLength: numberOf(json, "min_length", file, { least: 0, whole: true }),
    suppress: idsOf(json, "suppress_tokens", file),
    suppressFirst: idsOf(json, "begin_suppress_tokens", file),
    end: endsOf(json, file),
  };
}
