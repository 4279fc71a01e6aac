/**
 * Tokens that are named beside a tokenizer: `tokenizer_config.json`'s `added_tokens_decoder`, and, where it has none,
 * `added_tokens.json` and `special_tokens_map.json`, which older versions wrote.
 *
 * @module
 */
import { isObject } from "../../dsl/files/json.ts";
import { readJsonIfThere } from "../../dsl/files/python_json.ts";
import type { Json } from "../config.ts";
import { wrongSetting } from "./read.ts";

/** A token that texts are cut at before anything else is done with them. */
export interface AddedToken {
  /** Its id. */
  readonly id: number;
  /** Its text. */
  readonly content: string;
  /** Whether it is left out of decoded texts. */
  readonly special: boolean;
  /** Whether it takes the white space before it. */
  readonly lstrip: boolean;
  /** Whether it takes the white space behind it. */
  readonly rstrip: boolean;
}

/** Whether `tokenizer_config.json` names its added tokens itself, so that the older files count for nothing. */
function namesOwn(config: Json): boolean {
  return (config.added_tokens_decoder ?? undefined) !== undefined;
}

/**
 * `tokenizer_config.json` with what `special_tokens_map.json` says of its tokens, where that counts.
 *
 * @param folder The tokenizer's folder
 * @param config Its `tokenizer_config.json`
 */
export async function specialTokens(folder: string, config: Json): Promise<Json> {
  if (namesOwn(config)) return config;
  const older = (await readJsonIfThere(`${folder}/special_tokens_map.json`))?.json ?? {};
  return { ...config, ...older };
}

/** Texts of the tokens that `special_tokens_map.json` names. */
function namesOf(map: Json): readonly string[] {
  return Object.values(map).flat().map((each) => isObject(each) ? each.content : each)
    .filter((each) => typeof each === "string");
}

/**
 * The tokens of `added_tokens.json`, where they count.
 *
 * @param folder The tokenizer's folder
 * @param config Its `tokenizer_config.json`
 * @throws OneloraError for ids that are none
 */
export async function olderTokens(folder: string, config: Json): Promise<readonly AddedToken[]> {
  if (namesOwn(config)) return [];
  const file = "added_tokens.json";
  const ids = (await readJsonIfThere(`${folder}/${file}`))?.json ?? {};
  const special = namesOf((await readJsonIfThere(`${folder}/special_tokens_map.json`))?.json ?? {});
  return Object.entries(ids).map(([content, id]) => {
    if (!Number.isInteger(id) || (id as number) < 0) throw wrongSetting(file, content, id, "a token's id");
    return { id: id as number, content, special: special.includes(content), lstrip: false, rstrip: false };
  });
}

/**
 * All tokens that are added to a tokenizer.
 *
 * @param folder The tokenizer's folder
 * @param config Its `tokenizer_config.json`
 * @throws OneloraError for tokens that are none
 */
export async function addedTokens(folder: string, config: Json): Promise<readonly AddedToken[]> {
  if (!namesOwn(config)) return await olderTokens(folder, config);
  const { added_tokens_decoder: decoder } = config;
  const wrong = (value: unknown) =>
    wrongSetting("tokenizer_config.json", "added_tokens_decoder", value, "ids with the content of their tokens");
  if (!isObject(decoder)) throw wrong(decoder);
  return Object.entries(decoder).map(([id, token]) => {
    if (!isObject(token) || typeof token.content !== "string" || !/^[0-9]+$/.test(id)) throw wrong(token);
    const { content, special, lstrip, rstrip } = token;
    return { id: Number(id), content, special: special === true, lstrip: lstrip === true, rstrip: rstrip === true };
  });
}

/**
 * A `tokenizer.json` with tokens added that it does not have.
 *
 * @param json The tokenizer
 * @param tokens The tokens
 */
export function withAdded(json: Json, tokens: readonly AddedToken[]): Json {
  if (tokens.length === 0) return json;
  const there = Array.isArray(json.added_tokens) ? json.added_tokens : [];
  const missing = tokens.filter(({ content }) => !there.some((each) => isObject(each) && each.content === content));
  const added = missing.map((token) => ({ ...token, single_word: false, normalized: false }));
  return { ...json, added_tokens: [...there, ...added] };
}
