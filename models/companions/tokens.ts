/**
 * Tokens that are named beside a tokenizer: `tokenizer_config.json`'s `added_tokens_decoder`, and, where it has none,
 * `added_tokens.json` and `special_tokens_map.json`, which older versions wrote; and special tokens that are no token of the
 * vocabulary.
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
  /** Whether it is looked for in the normalised text, itself normalised. */
  readonly normalized: boolean;
  /** Whether it counts only where no letter is beside it. */
  readonly single_word: boolean;
}

/** Whether `tokenizer_config.json` names its added tokens itself, so that the older files count for nothing. */
function namesOwn(config: Json): boolean {
  return (config.added_tokens_decoder ?? undefined) !== undefined;
}

/** The lists of special tokens without a name of their own, the newer field's before the older one's. */
function extraTokens(config: Json, older: Json): unknown {
  const { extra_special_tokens: extra, additional_special_tokens: additional } = config;
  const own = Array.isArray(extra) && extra.length > 0 || additional === undefined ? extra : additional;
  const more = older.extra_special_tokens;
  if (Array.isArray(more)) return [...Array.isArray(own) ? own : [], ...more];
  return Array.isArray(own) ? own : older.additional_special_tokens;
}

/**
 * `tokenizer_config.json` with what `special_tokens_map.json` says of its tokens, where that counts. Special tokens without a
 * name of their own are all in `extra_special_tokens`, those with one of the model's in `model_specific_special_tokens`.
 *
 * @param folder The tokenizer's folder
 * @param config Its `tokenizer_config.json`
 */
export async function specialTokens(folder: string, config: Json): Promise<Json> {
  const older = namesOwn(config) ? {} : (await readJsonIfThere(`${folder}/special_tokens_map.json`))?.json ?? {};
  const { additional_special_tokens: _, ...merged } = { ...config, ...older };
  const named = [config, older].map(({ extra_special_tokens: extra }) => isObject(extra) ? extra : {});
  return {
    ...merged,
    extra_special_tokens: extraTokens(config, older),
    model_specific_special_tokens: { ...named[0], ...named[1] },
  };
}

/** Names of special tokens, in the order in which transformers adds those that its tokenizer lacks. */
const NAMES: readonly string[] = ["bos", "eos", "unk", "sep", "pad", "cls", "mask"].map((name) => `${name}_token`);

/** Special tokens that a configuration names, each with what it says of it. */
function tokensOf(all: readonly unknown[]): readonly Omit<AddedToken, "id">[] {
  return all.flatMap((each) => {
    const token = isObject(each) ? each : { content: each };
    const { content, lstrip, rstrip, normalized, single_word, special, __type: isWhole } = token;
    return typeof content !== "string" ? [] : [{
      content,
      special: isWhole === undefined || special === true,
      lstrip: lstrip === true,
      rstrip: rstrip === true,
      normalized: normalized === true,
      single_word: single_word === true,
    }];
  });
}

/** Tokens that have a name: those that every tokenizer may have, and a model's own, such as `image_token`. */
function namedTokens(config: Json): readonly Omit<AddedToken, "id">[] {
  const own = Object.entries(config).filter(([name, value]) =>
    name.endsWith("_token") && !NAMES.includes(name) && typeof value === "string"
  );
  const specific = config.model_specific_special_tokens;
  const all = [
    ...NAMES.map((name) => config[name]),
    ...own.map(([, value]) => value),
    ...isObject(specific) ? Object.values(specific) : [],
  ];
  return tokensOf(all).map((token) => ({ ...token, special: true }));
}

/** All special tokens of a configuration. */
function everyToken(config: Json): readonly Omit<AddedToken, "id">[] {
  const extra = config.extra_special_tokens;
  return [...namedTokens(config), ...tokensOf(Array.isArray(extra) ? extra : [])];
}

/** The tokens of `added_tokens.json`. */
async function olderTokens(folder: string, config: Json): Promise<readonly AddedToken[]> {
  const file = "added_tokens.json";
  const ids = (await readJsonIfThere(`${folder}/${file}`))?.json ?? {};
  const merged = await specialTokens(folder, config);
  const older = (await readJsonIfThere(`${folder}/special_tokens_map.json`))?.json ?? {};
  // Of special_tokens_map.json's lists, only the newer one is known when transformers reads this file.
  const extra = extraTokens(config, { extra_special_tokens: older.extra_special_tokens });
  const special = tokensOf([...NAMES.map((name) => merged[name]), ...Array.isArray(extra) ? extra : []]);
  const names = special.map(({ content }) => content);
  return Object.entries(ids).map(([content, id]) => {
    if (!Number.isInteger(id) || (id as number) < 0) throw wrongSetting(file, content, id, "a token's id");
    const special = names.includes(content);
    return {
      id: id as number,
      content,
      special,
      lstrip: false,
      rstrip: false,
      normalized: !special,
      single_word: false,
    };
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
    const { content, special, lstrip, rstrip, normalized, single_word } = token;
    return {
      id: Number(id),
      content,
      special: special === true,
      lstrip: lstrip === true,
      rstrip: rstrip === true,
      normalized: normalized === undefined ? special !== true : normalized === true,
      single_word: single_word === true,
    };
  });
}

/** Ids of a vocabulary, as far as it names them: an object of ids, or a list in which places are ids. */
function vocabularyOf(json: Json): ReadonlyMap<string, number> {
  const vocabulary = isObject(json.model) ? json.model.vocab : undefined;
  const entries = Array.isArray(vocabulary)
    ? vocabulary.map((piece, id): readonly [unknown, unknown] => [Array.isArray(piece) ? piece[0] : undefined, id])
    : isObject(vocabulary)
    ? Object.entries(vocabulary)
    : [];
  return new Map(
    entries.filter((entry): entry is [string, number] => typeof entry[0] === "string" && typeof entry[1] === "number"),
  );
}

/**
 * A `tokenizer.json` with the tokens that are named beside it, as transformers adds them: what is said beside it of one that it
 * has counts; special tokens without an id get the next.
 *
 * @param json The tokenizer
 * @param tokens Tokens with their ids, from {@linkcode addedTokens}
 * @param config `tokenizer_config.json`, from {@linkcode specialTokens}
 * @throws OneloraError for an id that is not the token's, and for tokens that count only as whole words
 */
export function withAdded(json: Json, tokens: readonly AddedToken[], config: Json): Json {
  const there = (Array.isArray(json.added_tokens) ? json.added_tokens : []).filter(isObject);
  const ids = new Map(vocabularyOf(json));
  for (const { content, id } of there) if (typeof content === "string" && typeof id === "number") ids.set(content, id);
  let next = [...ids.values()].reduce((most, id) => Math.max(most, id), -1) + 1;
  // What is said in the same file of one token goes before what older files say of it.
  const beside = namesOwn(config)
    ? tokens
    : tokens.filter((token) => there.every(({ content }) => content !== token.content));
  for (const { content, id } of [...tokens].sort((one, other) => one.id - other.id)) {
    const own = ids.get(content) ?? next++;
    // Transformers numbers what its tokenizer lacks, whatever the file says.
    if (own !== id) throw wrongSetting("the tokens beside tokenizer.json", content, id, `${own}, its id there`);
    ids.set(content, id);
  }
  const added = new Map<unknown, Json | AddedToken>([...there, ...beside].map((token) => [token.content, token]));
  const names = new Set(namedTokens(config).map(({ content }) => content));
  for (const [content, token] of added) {
    const counts = !namesOwn(config) || tokens.some((each) => each.content === content);
    if (counts && names.has(content as string)) added.set(content, { ...token, special: true });
  }
  // A token that begins or ends texts and has no id is refused where it is looked up: no model was trained with it.
  const frame = new Set(tokensOf([config.bos_token, config.eos_token]).map(({ content }) => content));
  const known = new Set(added.keys());
  for (const token of everyToken(config)) {
    const { content } = token;
    if (known.has(content) || !ids.has(content) && frame.has(content)) continue;
    const id = ids.get(content) ?? next++;
    ids.set(content, id);
    added.set(content, { ...token, id });
  }
  const words = added.values().find(({ single_word: isWord }) => isWord === true);
  if (words !== undefined) {
    throw wrongSetting("tokenizer.json", "single_word", words.content, "tokens that count wherever they are");
  }
  return { ...json, added_tokens: [...added.values()] };
}
