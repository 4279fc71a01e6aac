/**
 * A tokenizer of characters and a few whole phrases, for small models.
 *
 * @module
 */
import type { Json } from "../../models/config.ts";
import type { TextTokenizer } from "../../models/llama/text_tokenizer.ts";
import { wordProblems } from "./problems.ts";
import { alpacaParts } from "./template.ts";

/** `<unk>`, `<s>` and `</s>` have the ids that LLaMA's have. */
const SPECIAL = ["<unk>", "<s>", "</s>"];
const UNKNOWN = 0;
const BEGIN = 1;
const END = 2;

/** Line feed and printable ASCII. */
const CHARACTERS = ["\n", ...Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i))];

/** A tokenizer of characters. */
export interface CharacterTokenizer extends TextTokenizer {
  /** Token ids V. */
  readonly vocabulary: number;
  /** Contents by name of the files that `openTokenizer` reads as the same tokenizer. */
  readonly files: Readonly<Record<"tokenizer.json" | "tokenizer_config.json", Json>>;
}

/** The tokenizer as Hugging Face's library has it: characters without merges, phrases added. */
function tokenizerFiles(tokens: readonly string[], phrases: number): CharacterTokenizer["files"] {
  const added = (content: string, special: boolean) => {
    const spaces = { single_word: false, lstrip: false, rstrip: false };
    return { id: tokens.indexOf(content), content, special, ...spaces, normalized: false };
  };
  const framed = [{ SpecialToken: { id: "<s>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }];
  const begin = { id: "<s>", ids: [BEGIN], tokens: ["<s>"] };
  return {
    "tokenizer.json": {
      version: "1.0",
      truncation: null,
      padding: null,
      added_tokens: [
        ...SPECIAL.map((content) => added(content, true)),
        ...tokens.slice(SPECIAL.length, SPECIAL.length + phrases).map((content) => added(content, false)),
      ],
      normalizer: null,
      pre_tokenizer: null,
      post_processor: {
        type: "TemplateProcessing",
        single: framed,
        pair: [...framed, { Sequence: { id: "B", type_id: 1 } }],
        special_tokens: { "<s>": begin },
      },
      decoder: { type: "Fuse" },
      model: {
        type: "BPE",
        dropout: null,
        unk_token: "<unk>",
        continuing_subword_prefix: null,
        end_of_word_suffix: null,
        fuse_unk: false,
        byte_fallback: false,
        // The phrases too: added tokens that the model does not know would get other ids.
        vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
        merges: [],
      },
    },
    "tokenizer_config.json": {
      tokenizer_class: "PreTrainedTokenizerFast",
      bos_token: "<s>",
      eos_token: "</s>",
      unk_token: "<unk>",
      clean_up_tokenization_spaces: false,
    },
  };
}

/**
 * A tokenizer with a token for each printable ASCII character and line feed, and for whole phrases, of which the
 * longest that fits is taken at every place. Ids: `<unk>` 0 (for any other character), `<s>` 1, `</s>` 2, the phrases
 * in the given order, the characters.
 *
 * @param phrases Texts that are one token each, of more than one character; those of the Alpaca prompt by default
 *
 * @example
 * ```ts
 * import { characterTokenizer } from "@onelora/onelora/tasks";
 * import { assertEquals } from "@std/assert";
 * const { encode, decode } = characterTokenizer(["The answer is: "]);
 * assertEquals(encode("The answer is: 42").length, 1 + 1 + 2);
 * assertEquals(decode(encode("The answer is: 42")), "The answer is: 42");
 * ```
 */
export function characterTokenizer(phrases: readonly string[] = alpacaParts): CharacterTokenizer {
  const tokens = [...SPECIAL, ...phrases, ...CHARACTERS];
  const ids = new Map(tokens.map((token, id) => [token, id]));
  const escaped = [...SPECIAL, ...phrases].toSorted((a, b) => b.length - a.length)
    .map((phrase) => phrase.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  const token = new RegExp(`${escaped.join("|")}|[^]`, "gu");
  return {
    vocabulary: tokens.length,
    files: tokenizerFiles(tokens, phrases.length),
    begin: BEGIN,
    end: END,
    encode: (text, { special = true } = {}) => [
      ...(special ? [BEGIN] : []),
      ...Array.from(text.matchAll(token), ([each]) => ids.get(each) ?? UNKNOWN),
    ],
    decode: (all, { special = false } = {}) =>
      all.filter((id) => special || id >= SPECIAL.length).map((id) => tokens[id] ?? SPECIAL[UNKNOWN]).join(""),
  };
}

/**
 * The most frequent words of some texts, of two characters or more, the space before included: most frequent first,
 * equals in code-unit order.
 *
 * @param texts The texts
 * @param count Most words
 */
export function frequentWords(texts: readonly string[], count: number): readonly string[] {
  const counts = new Map<string, number>();
  for (const text of texts) {
    for (const [word] of text.matchAll(/ [A-Za-z]+|[A-Za-z]{2,}/g)) counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  return [...counts].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1)).slice(0, count).map(([word]) => word);
}

/** Whole numbers that are one token, with the space before. */
const NUMBERS = Array.from({ length: 100 }, (_, i) => ` ${i}`);

/**
 * The tokenizer of models that are pretrained on the built-in word problems: characters, the prompt's parts,
 * ` The answer is:`, numbers below 100 and the words of both families.
 */
export function wordProblemTokenizer(): CharacterTokenizer {
  const texts = (["a", "b"] as const).flatMap((family) =>
    wordProblems(family, 1000, 0).flatMap(({ query, response }) => [query, response])
  );
  return characterTokenizer([...alpacaParts, " The answer is:", ...NUMBERS, ...frequentWords(texts, 200)]);
}
