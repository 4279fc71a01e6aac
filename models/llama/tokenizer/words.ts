/**
 * Models of a `tokenizer.json`: a piece of text as token ids.
 *
 * @module
 */
import { BPE, Unigram, WordPiece } from "@huggingface/tokenizers";
import { isObject } from "../../../dsl/files/json.ts";
import type { Json } from "../../config.ts";
import { bytesOf, flagOf, typeOf, wrongPart } from "./component.ts";

/** A vocabulary, and how a piece becomes some of it. */
export interface WordModel {
  /** The model's type. */
  readonly type: keyof typeof KNOWN;
  /** Ids by token. */
  readonly vocabulary: ReadonlyMap<string, number>;
  /** Ids of a piece. */
  readonly encode: (piece: string) => readonly number[];
}

const KNOWN = {
  BPE: [
    "vocab",
    "merges",
    "unk_token",
    "fuse_unk",
    "byte_fallback",
    "ignore_merges",
    "end_of_word_suffix",
    "continuing_subword_prefix",
    "dropout",
  ],
  Unigram: ["vocab", "unk_id", "byte_fallback"],
  WordLevel: ["vocab", "unk_token"],
  WordPiece: ["vocab", "unk_token", "continuing_subword_prefix", "max_input_chars_per_word"],
} as const;

/** Files of older versions do not write the type. */
function typed(part: unknown): unknown {
  if (!isObject(part) || part.type !== undefined) return part;
  if (Array.isArray(part.vocab)) return { ...part, type: "Unigram" };
  if (part.merges !== undefined) return { ...part, type: "BPE" };
  return { ...part, type: part.continuing_subword_prefix === undefined ? "WordLevel" : "WordPiece" };
}

const PLACE = "model";

function idsByToken(json: Json): ReadonlyMap<string, number> {
  const { vocab } = json;
  const entries: readonly (readonly [unknown, unknown])[] = Array.isArray(vocab)
    ? vocab.map((piece, id) => [Array.isArray(piece) ? piece[0] : undefined, id])
    : isObject(vocab)
    ? Object.entries(vocab)
    : [];
  const wrong = entries.find(([token, id]) => typeof token !== "string" || !Number.isInteger(id));
  if (wrong !== undefined || vocab === undefined) throw wrongPart(`${PLACE}.vocab`, wrong ?? vocab, "tokens with ids");
  return new Map(entries as readonly (readonly [string, number])[]);
}

/** The token of an unknown piece, where there is one: it must be known itself. */
function unknownOf(json: Json, vocabulary: ReadonlyMap<string, number>): number | undefined {
  const token = json.unk_token ?? undefined;
  if (token === undefined) return undefined;
  const id = typeof token === "string" ? vocabulary.get(token) : undefined;
  if (id === undefined) throw wrongPart(`${PLACE}.unk_token`, token, "a token of the vocabulary");
  return id;
}

/** Ids of a text's bytes, where the vocabulary has all of them. */
function byteIds(text: string, vocabulary: ReadonlyMap<string, number>): readonly number[] | undefined {
  const ids = Array.from(
    bytesOf(text),
    (byte) => vocabulary.get(`<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`),
  );
  return ids.every((id) => id !== undefined) ? ids : undefined;
}

function withoutUnknown(piece: string): never {
  throw wrongPart(
    `${PLACE}.unk_token`,
    `none, for "${piece}"`,
    "a vocabulary that has every text, or a token for others",
  );
}

/**
 * Encodes without a token for the unknown: characters that no token begins with are left out before anything is merged, so
 * that their neighbours may be. The last character has what words end in; where it is left out, no other has.
 */
function withoutStrangers(
  json: Json,
  vocabulary: ReadonlyMap<string, number>,
  encoding: (settings: Json) => WordModel["encode"],
): WordModel["encode"] {
  const suffix = typeof json.end_of_word_suffix === "string" ? json.end_of_word_suffix : "";
  const fallsBack = json.byte_fallback === true;
  const isKnown = (text: string) => vocabulary.has(text) || (fallsBack && byteIds(text, vocabulary) !== undefined);
  const whole = encoding(json);
  // Made when they are first needed: most vocabularies have every byte.
  const others = new Map<boolean, WordModel["encode"]>();
  const other = (hasEnd: boolean): WordModel["encode"] => {
    const made = others.get(hasEnd) ??
      encoding({ ...json, ignore_merges: false, end_of_word_suffix: hasEnd ? suffix : null });
    others.set(hasEnd, made);
    return made;
  };
  return (piece) => {
    if (json.ignore_merges === true && vocabulary.has(piece)) return whole(piece);
    const characters = [...piece];
    const known = characters.map((each, i) => isKnown(i === characters.length - 1 ? each + suffix : each));
    if (known.every(Boolean)) return whole(piece);
    const kept = characters.filter((_, i) => known[i]).join("");
    return kept === "" ? [] : other(known.at(-1)!)(kept);
  };
}

function bpe(json: Json, vocabulary: ReadonlyMap<string, number>): WordModel["encode"] {
  const { dropout, continuing_subword_prefix: prefix } = json;
  if ((dropout ?? 0) !== 0) throw wrongPart(`${PLACE}.dropout`, dropout, "0: the same text has the same ids each time");
  if ((prefix ?? "") !== "") throw wrongPart(`${PLACE}.continuing_subword_prefix`, prefix, "none");
  if (!Array.isArray(json.merges)) throw wrongPart(`${PLACE}.merges`, json.merges, "a list of pairs");
  const encoding = (settings: Json): WordModel["encode"] => {
    const library = new BPE(settings as unknown as ConstructorParameters<typeof BPE>[0]);
    return (piece) => library([piece]).map((token: string) => vocabulary.get(token)!);
  };
  const hasUnknown = unknownOf(json, vocabulary) !== undefined;
  return hasUnknown ? encoding(json) : withoutStrangers(json, vocabulary, encoding);
}

function unigram(json: Json, vocabulary: ReadonlyMap<string, number>): WordModel["encode"] {
  const unknown = json.unk_id ?? undefined;
  if (
    unknown !== undefined &&
    !(Number.isInteger(unknown) && (unknown as number) >= 0 && (unknown as number) < vocabulary.size)
  ) {
    throw wrongPart(`${PLACE}.unk_id`, unknown, "an id of the vocabulary");
  }
  const fallsBack = flagOf(json, "byte_fallback", PLACE, false);
  const library = new Unigram(json as unknown as ConstructorParameters<typeof Unigram>[0], "");
  return (piece) =>
    library([piece]).flatMap((token: string) => {
      const id = vocabulary.get(token);
      if (id !== undefined) return [id];
      const bytes = fallsBack ? byteIds(token, vocabulary) : undefined;
      return bytes ?? [unknown as number | undefined ?? withoutUnknown(token)];
    });
}

function wordLevel(json: Json, vocabulary: ReadonlyMap<string, number>): WordModel["encode"] {
  const unknown = unknownOf(json, vocabulary);
  return (piece) => [vocabulary.get(piece) ?? unknown ?? withoutUnknown(piece)];
}

function wordPiece(json: Json, vocabulary: ReadonlyMap<string, number>): WordModel["encode"] {
  if (unknownOf(json, vocabulary) === undefined) throw wrongPart(`${PLACE}.unk_token`, json.unk_token, "a token");
  const library = new WordPiece(
    { continuing_subword_prefix: "##", ...json } as unknown as ConstructorParameters<typeof WordPiece>[0],
  );
  return (piece) => library([piece]).map((token: string) => vocabulary.get(token)!);
}

/**
 * The model that a file has.
 *
 * @param part Its part
 * @throws OneloraError for a type or a setting that is not known
 */
export function wordModelOf(part: unknown): WordModel {
  const { type, json } = typeOf(typed(part), PLACE, KNOWN);
  const vocabulary = idsByToken(json);
  const encode = { BPE: bpe, Unigram: unigram, WordLevel: wordLevel, WordPiece: wordPiece }[type];
  return { type, vocabulary, encode: encode(json, vocabulary) };
}
