/**
 * Pre-tokenisers of a `tokenizer.json`, as the tokenizers library has them: a text in pieces that the model takes one by one.
 *
 * @module
 */
import type { Json } from "../../config.ts";
import {
  countOf,
  flagOf,
  inLetters,
  partsOf,
  patternOf,
  quoted,
  SPACE,
  textOf,
  typeOf,
  wrongPart,
} from "./component.ts";

/** A part of a text. */
export interface Piece {
  /** The part. */
  readonly text: string;
  /** Whether the whole text begins with it. */
  readonly first: boolean;
}

/** Pieces of pieces. */
export type PreTokeniser = (pieces: readonly Piece[]) => readonly Piece[];

const KNOWN = {
  BertPreTokenizer: [],
  ByteLevel: ["add_prefix_space", "trim_offsets", "use_regex"],
  CharDelimiterSplit: ["delimiter"],
  Digits: ["individual_digits"],
  FixedLength: ["length"],
  Metaspace: ["replacement", "prepend_scheme", "split", "add_prefix_space", "str_rep"],
  Punctuation: ["behavior"],
  Sequence: ["pretokenizers"],
  Split: ["pattern", "behavior", "invert"],
  Whitespace: [],
  WhitespaceSplit: [],
} as const;

/** What becomes of a text where a pattern matches. */
const BEHAVIOURS = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"] as const;
type Behaviour = typeof BEHAVIOURS[number];

function behaviourOf(json: Json, place: string, otherwise?: Behaviour): Behaviour {
  const value = json.behavior ?? otherwise;
  const behaviour = BEHAVIOURS.find((each) => each === value);
  if (behaviour !== undefined) return behaviour;
  throw wrongPart(`${place}.behavior`, value, BEHAVIOURS.join(", "));
}

/** A stretch of a text, and whether the pattern matches it. */
interface Span {
  readonly begin: number;
  readonly end: number;
  readonly matches: boolean;
}

/** Stretches of a text, one behind the other. */
function spansOf(text: string, pattern: RegExp, invert: boolean): readonly Span[] {
  const spans: Span[] = [];
  let end = 0;
  for (const match of text.matchAll(pattern)) {
    // Between the halves of a character is no place.
    if (match[0] === "" && /[\udc00-\udfff]/.test(text[match.index] ?? "") && match.index > 0) continue;
    if (match.index > end) spans.push({ begin: end, end: match.index, matches: invert });
    end = match.index + match[0].length;
    spans.push({ begin: match.index, end, matches: !invert });
  }
  if (end < text.length) spans.push({ begin: end, end: text.length, matches: invert });
  return spans;
}

/** Each match with its neighbour: the stretch before it, if `side` is "before". */
function merged(spans: readonly Span[], side: "before" | "behind"): readonly Span[] {
  const ordered = side === "before" ? spans : spans.toReversed();
  const found: Span[] = [];
  let wasMatch = false;
  for (const span of ordered) {
    const last = found.at(-1);
    if (span.matches && !wasMatch && last !== undefined) {
      found[found.length - 1] = side === "before" ? { ...last, end: span.end } : { ...last, begin: span.begin };
    } else {
      found.push(span);
    }
    wasMatch = span.matches;
  }
  return side === "before" ? found : found.toReversed();
}

function contiguous(spans: readonly Span[]): readonly Span[] {
  const found: Span[] = [];
  for (const span of spans) {
    const last = found.at(-1);
    if (last?.matches === span.matches) found[found.length - 1] = { ...last, end: span.end };
    else found.push(span);
  }
  return found;
}

function behaved(spans: readonly Span[], behaviour: Behaviour): readonly Span[] {
  switch (behaviour) {
    case "Removed":
      return spans.filter(({ matches }) => !matches);
    case "Isolated":
      return spans;
    case "MergedWithPrevious":
      return merged(spans, "before");
    case "MergedWithNext":
      return merged(spans, "behind");
    case "Contiguous":
      return contiguous(spans);
  }
}

/** Splits pieces at a pattern. */
function splitting(pattern: RegExp, behaviour: Behaviour, invert = false): PreTokeniser {
  return (pieces) =>
    pieces.flatMap(({ text, first }) =>
      behaved(spansOf(text, pattern, invert), behaviour)
        .filter(({ begin, end }) => end > begin)
        .map(({ begin, end }) => ({ text: text.slice(begin, end), first: first && begin === 0 }))
    );
}

/** Changes each piece. */
function changing(change: (piece: Piece) => string): PreTokeniser {
  return (pieces) => pieces.map((piece) => ({ ...piece, text: change(piece) })).filter(({ text }) => text !== "");
}

const PUNCTUATION = "[\\p{P}!-/:-@\\[-`{-~]";
const GPT2 = new RegExp(
  `'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^${SPACE}\\p{L}\\p{N}]+|${SPACE}+(?!\\P{White_Space})|${SPACE}+`,
  "gu",
);
const WORD = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}";

function chained(...all: readonly PreTokeniser[]): PreTokeniser {
  return (pieces) => all.reduce((before, each) => each(before), pieces);
}

function byteLevel(json: Json, place: string): PreTokeniser {
  const prefix = flagOf(json, "add_prefix_space", place, true);
  const prefixed = changing(({ text }) => prefix && !text.startsWith(" ") ? ` ${text}` : text);
  const split = flagOf(json, "use_regex", place, true) ? [splitting(GPT2, "Isolated")] : [];
  return chained(prefixed, ...split, changing(({ text }) => inLetters(text)));
}

function metaspace(json: Json, place: string): PreTokeniser {
  const mark = textOf(json, "replacement", place);
  if ([...mark].length !== 1) throw wrongPart(`${place}.replacement`, mark, "one character");
  const added = flagOf(json, "add_prefix_space", place, true);
  const scheme = json.prepend_scheme ?? (added ? "always" : "never");
  if (scheme !== "always" && scheme !== "first" && scheme !== "never") {
    throw wrongPart(`${place}.prepend_scheme`, scheme, "always, first, never");
  }
  if (!added && scheme !== "never") throw wrongPart(`${place}.add_prefix_space`, false, "true, as prepend_scheme says");
  const marked = changing(({ text, first }) => {
    const spaced = text.replaceAll(" ", () => mark);
    const wanted = scheme === "always" || scheme === "first" && first;
    return wanted && !spaced.startsWith(mark) ? mark + spaced : spaced;
  });
  const split = flagOf(json, "split", place, true) ? [splitting(new RegExp(quoted(mark), "gu"), "MergedWithNext")] : [];
  return chained(marked, ...split);
}

function fixedLength(json: Json, place: string): PreTokeniser {
  const length = countOf(json, "length", place);
  if (length === 0) throw wrongPart(`${place}.length`, length, "a whole number from 1");
  return splitting(new RegExp(`[^]{1,${length}}`, "gu"), "Isolated");
}

/**
 * The pre-tokeniser that a file has.
 *
 * @param part Its part, null for none
 * @param place Where it is, for the words
 * @throws OneloraError for a type or a setting that is not known
 */
export function preTokeniserOf(part: unknown, place = "pre_tokenizer"): PreTokeniser {
  if (part === null || part === undefined) return (pieces) => pieces;
  const { type, json } = typeOf(part, place, KNOWN);
  switch (type) {
    case "BertPreTokenizer":
      return chained(
        splitting(new RegExp(SPACE, "gu"), "Removed"),
        splitting(new RegExp(PUNCTUATION, "gu"), "Isolated"),
      );
    case "ByteLevel":
      return byteLevel(json, place);
    case "CharDelimiterSplit":
      return splitting(new RegExp(quoted(textOf(json, "delimiter", place)), "gu"), "Removed");
    case "Digits":
      return splitting(/\p{N}/gu, flagOf(json, "individual_digits", place, false) ? "Isolated" : "Contiguous");
    case "FixedLength":
      return fixedLength(json, place);
    case "Metaspace":
      return metaspace(json, place);
    case "Punctuation":
      return splitting(new RegExp(PUNCTUATION, "gu"), behaviourOf(json, place, "Isolated"));
    case "Sequence":
      return chained(
        ...partsOf(json, "pretokenizers", place).map((each, i) => preTokeniserOf(each, `${place}.pretokenizers[${i}]`)),
      );
    case "Split":
      return splitting(patternOf(json, place), behaviourOf(json, place), flagOf(json, "invert", place, false));
    case "Whitespace":
      return splitting(new RegExp(`[${WORD}]+|[^${WORD}${SPACE}]+`, "gu"), "Removed", true);
    case "WhitespaceSplit":
      return splitting(new RegExp(SPACE, "gu"), "Removed");
  }
}
