/**
 * A `tokenizer.json` as a whole: text to ids and back, as the tokenizers library does it.
 *
 * @module
 */
import { isObject } from "../../../dsl/files/json.ts";
import type { AddedToken } from "../../companions/tokens.ts";
import type { Json } from "../../config.ts";
import type { SpecialTokens } from "../text_tokenizer.ts";
import { cutter } from "./added.ts";
import { wrongPart } from "./component.ts";
import { decoderOf } from "./decode.ts";
import { type Frame, frameOf } from "./frame.ts";
import { normaliserOf } from "./normalise.ts";
import { preTokeniserOf } from "./pre_tokenise.ts";
import { wordModelOf } from "./words.ts";

/** Text to ids and back. */
export interface Pipeline {
  /** The type of its model. */
  readonly model: string;
  /** Id of a token. */
  readonly idOf: (token: string) => number | undefined;
  /** Ids of a text, without a frame. */
  readonly encode: (text: string) => readonly number[];
  /** Text of ids; those without a token give none. */
  readonly decode: (ids: readonly number[], options?: SpecialTokens) => string;
  /** What the file puts around a text. */
  readonly frame: Frame;
}

/** Whether a part, or one within it, is as asked. */
function has(part: unknown, asked: (part: Json) => boolean): boolean {
  if (Array.isArray(part)) return part.some((each) => has(each, asked));
  return isObject(part) && (asked(part) || has(part.normalizers ?? part.pretokenizers, asked));
}

/** Whether what begins a text is treated in another way. */
function startsFirst(part: unknown): boolean {
  return has(part, ({ prepend_scheme: scheme }) => scheme === "first");
}

/** Whether a normaliser may take the beginning of a text away. */
function mayCutStart(part: unknown): boolean {
  const cutting: readonly unknown[] = ["Strip", "StripAccents", "BertNormalizer", "Precompiled"];
  return has(part, ({ type, content }) => cutting.includes(type) || type === "Replace" && content === "");
}

/** Whether what begins a text is treated in another way behind a step that may cut it. */
function startsFirstLater(part: unknown): boolean {
  if (!isObject(part) || part.type !== "Sequence" || !Array.isArray(part.pretokenizers)) return false;
  const [first, ...others] = part.pretokenizers;
  return startsFirstLater(first) || others.some(startsFirst);
}

/**
 * The pipeline of a file.
 *
 * @param json The file, with all tokens that are added to it
 * @throws OneloraError for a part that is not known, or a setting of one
 */
export function pipelineOf(json: Json): Pipeline {
  const added = (Array.isArray(json.added_tokens) ? json.added_tokens : []).filter(isObject) as unknown as AddedToken[];
  const normalise = normaliserOf(json.normalizer);
  const preTokenise = preTokeniserOf(json.pre_tokenizer);
  // A character that the normaliser made several of begins several pieces of a text.
  const mayMove = startsFirstLater(json.pre_tokenizer) && normalise !== undefined;
  if (mayMove || startsFirst(json.pre_tokenizer) && mayCutStart(json.normalizer)) {
    throw wrongPart("pre_tokenizer", 'prepend_scheme "first"', "a normalizer that leaves the beginning of a text");
  }
  const model = wordModelOf(json.model);
  const decoder = decoderOf(json.decoder);
  const isNormal = ({ normalized }: AddedToken) => normalized && normalise !== undefined;
  const normal = (token: AddedToken) => isNormal(token) ? normalise!(token.content) : token.content;
  const nothing = added.find((token) => normal(token) === "");
  if (nothing !== undefined) {
    throw wrongPart("added_tokens", nothing.content, "tokens that the normalizer leaves a text of");
  }
  const cut = cutter(new Map(added.filter((token) => !isNormal(token)).map((token) => [token.content, token])));
  // Of those that are the same when normalised, the first is found, special ones before others.
  const least = added.filter(isNormal).toReversed().sort((a, b) => Number(a.special) - Number(b.special));
  const cutNormal = cutter(new Map(least.map((token) => [normal(token), token])));
  const tokenOf = new Map([...model.vocabulary].map(([token, id]) => [id, token]));
  // One that is looked for in the normalised text is shown as it is there.
  for (const token of added) tokenOf.set(token.id, normal(token));
  const idOf = new Map([...model.vocabulary, ...added.map(({ content, id }): [string, number] => [content, id])]);
  const special = new Set(added.filter((token) => token.special).map(({ content }) => content));
  const idsOf = (text: string, first: boolean) =>
    preTokenise([{ text, first }]).flatMap((piece) => model.encode(piece.text));
  return {
    model: model.type,
    frame: frameOf(json.post_processor),
    idOf: (token) => idOf.get(token),
    encode: (text) =>
      cut(text).flatMap(({ text, begin, token }) => {
        if (token !== undefined) return [token.id];
        return cutNormal(normalise === undefined ? text : normalise(text)).flatMap((section) =>
          section.token === undefined ? idsOf(section.text, begin === 0 && section.begin === 0) : [section.token.id]
        );
      }),
    decode: (ids, { special: keeps = false } = {}) => {
      const tokens = ids.flatMap((id) => {
        const token = tokenOf.get(id);
        return token === undefined || !keeps && special.has(token) ? [] : [token];
      });
      return decoder(tokens).join("");
    },
  };
}
