import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { OneloraError } from "../../dsl/mod.ts";
import { frameOf } from "../../models/llama/tokenizer/frame.ts";
import { pipelineOf } from "../../models/llama/tokenizer/pipeline.ts";
import { preTokeniserOf } from "../../models/llama/tokenizer/pre_tokenise.ts";
import { openTokenizer } from "../../models/mod.ts";
import { withFolder } from "../support/data_folder.ts";

const { texts, rows }: {
  readonly texts: readonly string[];
  readonly rows: readonly { readonly pattern: string; readonly pieces: readonly (readonly string[])[] }[];
} = JSON.parse(await Deno.readTextFile(new URL("../fixtures/tokenizer-patterns.json", import.meta.url)));

Deno.test("texts are cut by patterns as the tokenizers library cuts them, possessive and atomic ones too, or refused", () => {
  const refused: string[] = [];
  for (const { pattern, pieces } of rows) {
    const split = { type: "Split", pattern: { Regex: pattern }, behavior: "Isolated", invert: false };
    try {
      const cut = preTokeniserOf(split);
      texts.forEach((text, i) => {
        assertEquals(cut([{ text, first: true }]).map((piece) => piece.text), pieces[i], `${pattern} on ${text}`);
      });
    } catch (error) {
      if (!(error instanceof OneloraError)) throw error;
      assertStringIncludes(error.message, "a pattern that JavaScript has too");
      refused.push(pattern);
    }
  }
  // What JavaScript lacks: groups by number beside atomic ones, \G, flags within a pattern, graphemes and the like.
  assertEquals(refused.length <= 27, true, refused.join("  "));
  assertEquals(refused.filter((pattern) => pattern.includes("++") || pattern.includes("(?>")), ["(a)(?>b)\\1|."]);
});

const template = (before: string) => ({
  type: "TemplateProcessing",
  single: [{ SpecialToken: { id: before, type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
  pair: [],
  special_tokens: { [before]: { id: before, ids: [1], tokens: [before] } },
});

Deno.test("tokens behind those of a template are refused: the tokenizers library puts them around each of its pieces", () => {
  const bytes = { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true };
  const both = (...processors: readonly unknown[]) => ({ type: "Sequence", processors });
  assertEquals(frameOf(both(bytes, template("<s>"), bytes)).before, [1]);
  const bert = { type: "BertProcessing", sep: ["</s>", 2], cls: ["<s>", 1] };
  for (const second of [bert, template("<s>")]) {
    const error = assertThrows(() => frameOf(both(template("<s>"), second)), OneloraError);
    assertStringIncludes(error.message, 'reading "post_processor.processors[1]"');
  }
});

Deno.test("what begins a text is not looked for behind a cut and a normaliser, which make it several", () => {
  const first = { type: "Metaspace", replacement: "▁", prepend_scheme: "first", split: true };
  const file = (normalizer: unknown, ...pretokenizers: readonly unknown[]) => ({
    normalizer,
    pre_tokenizer: { type: "Sequence", pretokenizers },
    model: { type: "WordLevel", vocab: { u: 0 }, unk_token: "u" },
  });
  const digits = { type: "Digits", individual_digits: true };
  assertEquals(pipelineOf(file({ type: "NFC" }, first, digits)).encode("a1").length, 2);
  assertEquals(pipelineOf(file(null, digits, first)).encode("a1").length, 2);
  const error = assertThrows(() => pipelineOf(file({ type: "NFC" }, digits, first)), OneloraError);
  assertStringIncludes(error.message, 'prepend_scheme "first"');
});

Deno.test("the token that tokenizer.json pads with is one of the tokenizer's, where no other is named", async () => {
  const json = {
    model: { type: "WordLevel", vocab: { u: 0, a: 1 }, unk_token: "u" },
    pre_tokenizer: { type: "WhitespaceSplit" },
    padding: { strategy: "BatchLongest", direction: "Right", pad_id: 0, pad_type_id: 0, pad_token: "[PAD]" },
  };
  const files = (config: unknown) => ({
    "tokenizer.json": JSON.stringify(json),
    "tokenizer_config.json": JSON.stringify(config),
  });
  await withFolder(files({ extra_special_tokens: ["<x>"] }), async (at) => {
    // As transformers numbers them: the padding token before the others.
    assertEquals((await openTokenizer(at)).encode("a[PAD]<x>a"), [1, 2, 3, 1]);
  });
  await withFolder(files({ pad_token: null }), async (at) => {
    assertEquals((await openTokenizer(at)).encode("a [PAD]"), [1, 0]);
  });
});

Deno.test("CodeLlamaTokenizer frames texts itself, and takes a space from what it decodes", async () => {
  const pieces = ["<unk>", "<s>", "</s>", "▁", "a", "▁a"];
  const json = {
    added_tokens: [],
    model: {
      type: "BPE",
      vocab: Object.fromEntries(pieces.map((piece, id) => [piece, id])),
      merges: ["▁ a"],
      unk_token: "<unk>",
    },
    // All of it gives way to the class's own.
    pre_tokenizer: { type: "Metaspace", replacement: "▁", prepend_scheme: "never", split: false },
    post_processor: { type: "RobertaProcessing", sep: ["</s>", 2], cls: ["<unk>", 0] },
  };
  const config = { tokenizer_class: "CodeLlamaTokenizerFast", add_prefix_space: false, add_bos_token: false };
  const files = { "tokenizer.json": JSON.stringify(json), "tokenizer_config.json": JSON.stringify(config) };
  await withFolder(files, async (at) => {
    // As transformers 5.23 has it.
    const tokenizer = await openTokenizer(at);
    assertEquals([tokenizer.encode("a a"), tokenizer.decode([5, 4])], [[1, 4, 5], "aa"]);
  });
});
