/**
 * A tokenizer in Hugging Face's files, of what a GGUF file says of it: bytes merged as GPT-2 does (`gpt2`), or pieces merged by
 * their scores as SentencePiece does (`llama`).
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import { show } from "../../dsl/files/json.ts";
import type { Json } from "../config.ts";
import type { GgufHeader } from "./header.ts";
import { specialId } from "./special.ts";
import { cuttings, KIND } from "./vocabulary.ts";

/** What of a tokenizer changes nothing here. */
const WITHOUT_EFFECT: readonly string[] = [
  "ggml.padding_token_id",
  "ggml.seperator_token_id",
  "ggml.cls_token_id",
  "ggml.mask_token_id",
  // Where text is filled in between others.
  ..."prefix_token_id suffix_token_id middle_token_id fim_pre_token_id fim_suf_token_id fim_mid_token_id".split(" ")
    .map((name) => `ggml.${name}`),
  ..."fim_pad_token_id fim_rep_token_id fim_sep_token_id token_type_count".split(" ").map((name) => `ggml.${name}`),
  "huggingface.json",
  // Templates for other uses, beside the usual one.
  "chat_templates",
];

/** Keys that are honoured. */
const HONOURED: readonly string[] = [
  ..."model pre tokens scores merges token_type bos_token_id eos_token_id eot_token_id eom_token_id".split(" "),
  ..."unknown_token_id add_bos_token add_eos_token add_space_prefix".split(" "),
].map((name) => `ggml.${name}`).concat("chat_template");

/** Keys that are refused unless they are so. */
const ONLY: Readonly<Record<string, unknown>> = {
  "ggml.remove_extra_whitespaces": false,
  "ggml.add_sep_token": false,
};

interface Vocabulary {
  readonly tokens: readonly string[];
  readonly kinds: readonly number[];
  /** Tokens that texts are cut at first. */
  readonly added: readonly Json[];
}

function textsOf(value: unknown): readonly string[] {
  return Array.isArray(value) ? value as readonly string[] : [];
}

/** Merges by scores: every two pieces that make a third, that of the greatest score first. */
function mergesOf(tokens: readonly string[], scores: readonly number[], isPiece: (id: number) => boolean): Json[] {
  const ids = new Map(tokens.flatMap((token, id) => isPiece(id) ? [[token, id] as const] : []));
  const found: { readonly score: number; readonly left: string; readonly right: string }[] = [];
  for (const [token, id] of ids) {
    const letters = [...token];
    for (let at = 1; at < letters.length; at++) {
      const [left, right] = [letters.slice(0, at).join(""), letters.slice(at).join("")];
      if (ids.has(left) && ids.has(right)) found.push({ score: scores[id] ?? 0, left, right });
    }
  }
  found.sort((a, b) => b.score - a.score || b.left.length - a.left.length || b.right.length - a.right.length);
  return found.map(({ left, right }) => [left, right] as unknown as Json);
}

/** What is put before and behind a text. */
function frame(
  before: string | undefined,
  beforeId: number,
  behind: string | undefined,
  behindId: number,
): Json | null {
  if (before === undefined && behind === undefined) return null;
  const part = (id: string | undefined) => id === undefined ? [] : [{ SpecialToken: { id, type_id: 0 } }];
  const token = (id: string | undefined, number: number) =>
    id === undefined ? {} : { [id]: { id, ids: [number], tokens: [id] } };
  return {
    type: "TemplateProcessing",
    single: [...part(before), { Sequence: { id: "A", type_id: 0 } }, ...part(behind)],
    pair: [
      ...part(before),
      { Sequence: { id: "A", type_id: 0 } },
      { Sequence: { id: "B", type_id: 0 } },
      ...part(behind),
    ],
    special_tokens: { ...token(before, beforeId), ...token(behind, behindId) },
  };
}

/**
 * The files of a tokenizer, by name.
 *
 * @param header What the GGUF file says
 * @param path The file, for errors
 * @throws OneloraError for a way to cut texts that is not known here, and for a key that would be left unheeded
 */
export function ggufTokenizer(header: GgufHeader, path: string): Readonly<Record<string, Json>> {
  const { metadata } = header;
  const refuse = (found: string, allowed: string): never => {
    throw new OneloraError({ attempted: `reading the tokenizer of ${path}`, found, allowed });
  };
  for (const [key, value] of metadata) {
    if (!key.startsWith("tokenizer.")) continue;
    const name = key.slice("tokenizer.".length);
    if (HONOURED.includes(name) || WITHOUT_EFFECT.includes(name) || name.startsWith("chat_template.")) continue;
    if (Object.hasOwn(ONLY, name) && ONLY[name] === value) continue;
    refuse(`${key} ${show(value)}`, Object.hasOwn(ONLY, name) ? `${ONLY[name]}` : "a file without it");
  }
  const own = (name: string) => metadata.get(`tokenizer.ggml.${name}`);
  const tokens = textsOf(own("tokens"));
  if (tokens.length === 0) return refuse("no tokens", "a file with its tokenizer");
  const given = own("token_type");
  const kinds = Array.isArray(given) ? given as readonly number[] : tokens.map(() => KIND.normal as number);
  const idOf = (name: string): number | undefined => {
    const id = specialId(header, name);
    return id === undefined || tokens[id] !== undefined ? id : refuse(`token ${id}`, `ids below ${tokens.length}`);
  };
  const [begin, end, unknown] = ["bos", "eos", "unknown"].map(idOf);
  const model = own("model");
  if (model !== "gpt2" && model !== "llama") {
    return refuse(`a ${show(model)} tokenizer`, "gpt2 (bytes merged) or llama (SentencePiece's pieces)");
  }
  const isPieces = model === "llama";
  const special = new Set<number>([KIND.control, KIND.unknown]);
  const vocabulary: Vocabulary = {
    tokens,
    kinds,
    added: tokens.flatMap((content, id): readonly Json[] => {
      if (!special.has(kinds[id]) && kinds[id] !== KIND.userDefined) return [];
      const isSpecial = special.has(kinds[id]);
      return [{ id, content, special: isSpecial, single_word: false, lstrip: false, rstrip: false, normalized: false }];
    }),
  };
  const pre = String(own("pre") ?? "default");
  const cut = !isPieces && Object.hasOwn(cuttings, pre) ? cuttings[pre] : undefined;
  if (!isPieces && cut === undefined) {
    return refuse(`texts cut as ${show(pre)}`, Object.keys(cuttings).join(", "));
  }
  const begins = own("add_bos_token") ?? (isPieces || cut!.begins);
  for (const [name, id] of [["bos", begin], ["eos", end]] as const) {
    if (own(`add_${name}_token`) !== true || id !== undefined) continue;
    refuse(`tokenizer.ggml.add_${name}_token without that token`, `tokenizer.ggml.${name}_token_id`);
  }
  const text = (id: number | undefined) => id === undefined ? undefined : tokens[id];
  const post = frame(
    begins === true ? text(begin) : undefined,
    begin ?? 0,
    own("add_eos_token") === true ? text(end) : undefined,
    end ?? 0,
  );
  const template = metadata.get("tokenizer.chat_template");
  return {
    "tokenizer.json": isPieces
      ? pieces(vocabulary, own("scores"), (own("add_space_prefix") ?? true) === true, text(unknown) ?? null, post)
      : {
        ...shell(
          vocabulary,
          post ?? { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true },
        ),
        normalizer: cut!.composes ? { type: "NFC" } : null,
        pre_tokenizer: cut!.steps,
        decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
        model: bytePairs(vocabulary, textsOf(own("merges")), {
          ignore_merges: cut!.ignoresMerges,
          byte_fallback: false,
        }),
      },
    "tokenizer_config.json": {
      tokenizer_class: "PreTrainedTokenizerFast",
      clean_up_tokenization_spaces: false,
      ...(begin === undefined ? {} : { bos_token: text(begin)! }),
      ...(end === undefined ? {} : { eos_token: text(end)! }),
      ...(unknown === undefined ? {} : { unk_token: text(unknown)! }),
      ...(typeof template === "string" ? { chat_template: template } : {}),
    },
  };
}

function shell({ added }: Vocabulary, post: Json | null): Json {
  return { version: "1.0", truncation: null, padding: null, added_tokens: added, post_processor: post };
}

function bytePairs({ tokens, kinds }: Vocabulary, merges: readonly unknown[], more: Json): Json {
  return {
    type: "BPE",
    dropout: null,
    unk_token: null,
    continuing_subword_prefix: null,
    end_of_word_suffix: null,
    fuse_unk: false,
    ...more,
    vocab: Object.fromEntries(tokens.flatMap((token, id) => kinds[id] === KIND.unused ? [] : [[token, id]])),
    merges,
  };
}

/** Pieces of SentencePiece's, spaces as "▁", with one before the text and what follows an added token if so. */
function pieces(
  vocabulary: Vocabulary,
  scores: unknown,
  prefixed: boolean,
  unknown: string | null,
  post: Json | null,
): Json {
  const { tokens, kinds } = vocabulary;
  const list = Array.isArray(scores) ? scores as readonly number[] : [];
  const merges = mergesOf(tokens, list, (id) => kinds[id] === KIND.normal || kinds[id] === KIND.userDefined);
  const mark = { type: "Replace", pattern: { String: " " }, content: "▁" };
  return {
    ...shell(vocabulary, post),
    normalizer: {
      type: "Sequence",
      normalizers: [...(prefixed ? [{ type: "Prepend", prepend: "▁" }] : []), mark],
    },
    pre_tokenizer: null,
    decoder: {
      type: "Sequence",
      decoders: [
        { type: "Replace", pattern: { String: "▁" }, content: " " },
        { type: "ByteFallback" },
        { type: "Fuse" },
        ...(prefixed ? [{ type: "Strip", content: " ", start: 1, stop: 0 }] : []),
      ],
    },
    model: bytePairs(vocabulary, merges, {
      byte_fallback: true,
      fuse_unk: true,
      unk_token: unknown,
      ignore_merges: false,
    }),
  };
}
