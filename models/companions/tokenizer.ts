/**
 * Settings of `tokenizer_config.json` and `special_tokens_map.json`.
 *
 * @module
 */
import { readJsonIfThere } from "../../dsl/files/python_json.ts";
import type { Json } from "../config.ts";
import { checkSettings, honoured, noEffect, refused, type Settings } from "./settings.ts";

const TOKENS: Settings = honoured(
  "bos_token",
  "eos_token",
  "unk_token",
  "sep_token",
  "pad_token",
  "cls_token",
  "mask_token",
  "additional_special_tokens",
  "extra_special_tokens",
  "model_specific_special_tokens",
);

/** Settings of transformers' tokenizers, and what its older versions wrote. */
export const tokenizerSettings: Settings = {
  ...TOKENS,
  ...honoured(
    "tokenizer_class",
    "legacy",
    "add_prefix_space",
    "added_tokens_decoder",
    "clean_up_tokenization_spaces",
    "clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output",
    "chat_template",
    // By tokenizer.model; tokenizer.json frames texts itself, as in transformers 5.
    "add_bos_token",
    "add_eos_token",
  ),
  ...noEffect(
    "a task has a length of its own, and pads by a mask",
    "model_max_length",
    "max_len",
    "max_length",
    "padding",
    "padding_side",
    "truncation",
    "truncation_side",
    "truncation_strategy",
    "stride",
    "pad_to_multiple_of",
    "pad_token_type_id",
  ),
  ...noEffect(
    "is about how transformers is called",
    "model_input_names",
    "verbose",
    "use_fast",
    "from_slow",
    "trust_remote_code",
    "return_tensors",
    "local_files_only",
    "is_local",
    "device_map",
    "backend",
    "files_loaded",
    "init_inputs",
    "errors",
  ),
  ...noEffect(
    "says where the file comes from",
    "name_or_path",
    "_commit_hash",
    "processor_class",
    "_processor_class",
    "auto_map",
    "tokenizer_file",
    "vocab_file",
    "merges_file",
    "special_tokens_map_file",
    "added_tokens_file",
    "tokenizer_type",
    "transformers_version",
  ),
  ...noEffect(
    "tokenizer.json says itself what it does to a text",
    "vocab",
    "merges",
    "do_lower_case",
    "do_lowercase",
    "do_lowercase_and_remove_accent",
    "remove_space",
    "keep_accents",
    "strip_accents",
    "tokenize_chinese_chars",
    "spaces_between_special_tokens",
    "normalization",
  ),
  ...noEffect("a chat has the messages that are written", "use_default_system_prompt", "chat_control_tokens"),
  ...noEffect("the vocabulary is the file's own", "vocab_size", "unk_id"),
  ...noEffect("says how answers are taken apart", "response_template", "response_schema"),
  ...refused("cuts special tokens apart", [false], "split_special_tokens"),
  ...refused("draws another cut of a text each time", [{}], "sp_model_kwargs"),
  ...refused("another pattern than the file's", [false], "fix_mistral_regex"),
  ...refused("another language's tokens before each text", [], "src_lang", "tgt_lang", "target_lang"),
};

/** Settings of `special_tokens_map.json`, which counts where `tokenizer_config.json` has no `added_tokens_decoder`. */
export const specialTokensSettings: Settings = TOKENS;

/** Without a model's own tokens, such as `image_token`: any name may be one's. */
function withoutOwnTokens(json: Json): Json {
  return Object.fromEntries(Object.entries(json).filter(([name]) => !name.endsWith("_token")));
}

/**
 * Checks the files beside a tokenizer.
 *
 * @param folder The tokenizer's folder
 * @returns Notes of what is not acted on and might be meant
 * @throws OneloraError for a setting that is refused
 */
export async function checkTokenizer(folder: string): Promise<readonly string[]> {
  const tables = { "tokenizer_config.json": tokenizerSettings, "special_tokens_map.json": specialTokensSettings };
  const notes = await Promise.all(
    Object.entries(tables).map(async ([file, settings]) => {
      const json = (await readJsonIfThere(`${folder}/${file}`))?.json ?? {};
      return checkSettings(withoutOwnTokens(json), settings, file, "a tokenizer");
    }),
  );
  return notes.flat();
}
