import { assert, assertEquals, assertNotEquals, assertRejects, assertThrows } from "@std/assert";
import { fileOf } from "../../dsl/files/path.ts";
import { OneloraError } from "../../dsl/mod.ts";
import { type Json, openTokenizer } from "../../models/mod.ts";
import { settledText } from "../../models/llama/tokenizer.ts";
import { pipelineOf } from "../../models/llama/tokenizer/pipeline.ts";
import { inFolder } from "../support/data_folder.ts";

const folder = (name: string) => fileOf(new URL(`../fixtures/${name}`, import.meta.url));

interface Case {
  readonly text: string;
  readonly ids: readonly number[];
  readonly bare: readonly number[];
  readonly decoded: string;
  readonly whole: string;
}

for (const name of ["tokenizer-metaspace", "tokenizer-bytes"]) {
  Deno.test(`${name}: ids and texts equal those of the tokenizers library`, async () => {
    const tokenizer = await openTokenizer(folder(name));
    const cases: readonly Case[] = JSON.parse(await Deno.readTextFile(`${folder(name)}/cases.json`));
    for (const { text, ids, bare, decoded, whole } of cases) {
      assertEquals(tokenizer.encode(text), ids, text);
      assertEquals(tokenizer.encode(text, { special: false }), bare, text);
      assertEquals(tokenizer.decode(ids), decoded, text);
      assertEquals(tokenizer.decode(ids, { special: true }), whole, text);
    }
  });
}

Deno.test("the tokens that begin and end a text are known by their ids", async () => {
  const { begin, end } = await openTokenizer(folder("tokenizer-metaspace"));
  assertEquals([begin, end], [1, 2]);
  const bytes = await openTokenizer(folder("tokenizer-bytes"));
  assertEquals([bytes.begin, bytes.end], [undefined, 0]);
});

for (const name of ["tokenizer-metaspace", "tokenizer-bytes"]) {
  Deno.test(`${name}: a text that comes token by token is never taken back`, async () => {
    const tokenizer = await openTokenizer(folder(name));
    const text = "día 🦊 日本";
    const ids = tokenizer.encode(text);
    const texts = ids.map((_, i) => settledText(tokenizer, ids.slice(0, i + 1)));
    texts.reduce((before, after) => {
      assertEquals(after.slice(0, before.length), before);
      return after;
    });
    assertEquals(texts.at(-1), text);
  });
}

interface Beside {
  readonly name: string;
  readonly source: string;
  readonly files: Readonly<Record<string, unknown>>;
  readonly cases: readonly Omit<Case, "bare">[];
}

/** A folder with a fixture's tokenizer and files beside it. */
async function withFiles(
  files: Beside["files"],
  use: (directory: string) => Promise<void>,
  source = "tokenizer-bytes",
): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    await Deno.copyFile(`${folder(source)}/tokenizer.json`, `${directory}/tokenizer.json`);
    for (const [file, content] of Object.entries(files)) {
      await Deno.writeTextFile(`${directory}/${file}`, JSON.stringify(content));
    }
    await use(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("tokens that are named beside tokenizer.json have the ids that transformers gives them", async () => {
  const all: readonly Beside[] = JSON.parse(await Deno.readTextFile(folder("tokens-beside.json")));
  for (const { name, source, files, cases } of all) {
    await withFiles(files, async (directory) => {
      const tokenizer = await openTokenizer(directory);
      for (const { text, ids, decoded, whole } of cases) {
        assertEquals(tokenizer.encode(text), ids, `${name}: ${text}`);
        assertEquals(tokenizer.decode(ids), decoded, `${name}: ${text}`);
        assertEquals(tokenizer.decode(ids, { special: true }), whole, `${name}: ${text}`);
      }
    }, source);
  }
});

Deno.test("tokens beside tokenizer.json whose ids are others there, and whole words, are refused", async () => {
  const token = { content: "<extra>", lstrip: false, rstrip: false, normalized: false, special: true };
  const cases = [
    [{ added_tokens_decoder: { 9999: { ...token, single_word: false } } }, "<extra>"],
    [{ added_tokens_decoder: { 3: { ...token, single_word: false } } }, "<extra>"],
    [{ additional_special_tokens: [{ ...token, single_word: true }] }, "single_word"],
  ] as const;
  for (const [config, named] of cases) {
    await withFiles({ "tokenizer_config.json": config }, async (directory) => {
      await assertRejects(() => openTokenizer(directory), OneloraError, named);
    });
  }
});

Deno.test("missing, malformed and contradictory files are named", async () => {
  const directory = await Deno.makeTempDir();
  const good = await Deno.readTextFile(`${folder("tokenizer-bytes")}/tokenizer.json`);
  const write = async (tokenizer: string | undefined, config: string | undefined) => {
    for (const [file, text] of [["tokenizer.json", tokenizer], ["tokenizer_config.json", config]] as const) {
      if (text === undefined) await Deno.remove(`${directory}/${file}`).catch(() => {});
      else await Deno.writeTextFile(`${directory}/${file}`, text);
    }
  };
  const cases: readonly [string | undefined, string | undefined, string][] = [
    [undefined, "{}", "tokenizer.json"],
    [good, undefined, "tokenizer_config.json"],
    ["{", "{}", "tokenizer.json"],
    ["[]", "{}", "no JSON object"],
    ["{}", "{}", "tokenizer.json"],
    [good.replace('"ByteLevel"', '"Unheard"'), "{}", "Unheard"],
    [good, '{"eos_token": "</s>"}', '"eos_token"'],
    [good, '{"bos_token": 3}', '"bos_token"'],
  ];
  for (const [tokenizer, config, named] of cases) {
    await write(tokenizer, config);
    await assertRejects(() => openTokenizer(directory), OneloraError, named);
  }
  await Deno.remove(directory, { recursive: true });
});

interface Parts {
  readonly tokenizer: Json;
  readonly cases: readonly {
    readonly text: string;
    readonly framed: readonly number[];
    readonly bare: readonly number[];
    readonly ids: readonly number[];
    readonly decoded: string;
    readonly whole: string;
  }[];
}

Deno.test("every part of a tokenizer.json does what the tokenizers library does, in 72 random tokenizers and three", async () => {
  const all: readonly Parts[] = JSON.parse(await Deno.readTextFile(folder("tokenizer-parts.json")));
  const refused: string[] = [];
  for (const [i, { tokenizer, cases }] of all.entries()) {
    try {
      const { encode, decode, frame } = pipelineOf(tokenizer);
      for (const { text, framed, bare, ids, decoded, whole } of cases) {
        const what = `${i}: ${text}`;
        assertEquals(encode(text), bare, what);
        assertEquals([...frame.before, ...bare, ...frame.behind], framed, what);
        assertEquals([decode(ids), decode(ids, { special: true })], [decoded, whole], what);
      }
    } catch (error) {
      if (!(error instanceof OneloraError)) throw error;
      refused.push(error.message);
    }
  }
  assert(refused.length <= 3, `${refused}`);
  for (const line of refused) {
    assert(/that the normalizer leaves a text of|a normalizer that leaves the beginning/.test(line), line);
  }
});

Deno.test("parts of a tokenizer.json that are not known, and settings of them, are refused by name", async () => {
  const good: Json = JSON.parse(await Deno.readTextFile(`${folder("tokenizer-metaspace")}/tokenizer.json`));
  const cases: readonly [string, Json | null, string][] = [
    ["normalizer", { type: "Nmt" }, "Nmt"],
    ["normalizer", { type: "Lowercase", language: "tr" }, "normalizer.language"],
    ["normalizer", { type: "Sequence", normalizers: [null] }, "normalizer.normalizers[0]"],
    ["normalizer", { type: "Precompiled", precompiled_charsmap: "AAAA" }, "precompiled_charsmap"],
    ["pre_tokenizer", { type: "UnicodeScripts" }, "UnicodeScripts"],
    ["pre_tokenizer", { type: "Split", pattern: { String: "a" }, behavior: "isolated" }, "pre_tokenizer.behavior"],
    [
      "pre_tokenizer",
      { type: "Metaspace", replacement: "▁", add_prefix_space: false, prepend_scheme: "first" },
      "add_prefix_space",
    ],
    ["decoder", { type: "CTC", pad_token: "<pad>", word_delimiter_token: "|", cleanup: true }, "CTC"],
    ["post_processor", { type: "TemplateProcessing", single: [], pair: [], special_tokens: {} }, "the text once"],
    ["model", { ...good.model as Json, dropout: 0.1 }, "dropout"],
    ["model", { ...good.model as Json, continuing_subword_prefix: "##" }, "continuing_subword_prefix"],
    ["model", { ...good.model as Json, unk_token: "<none>" }, "unk_token"],
    ["model", { ...good.model as Json, cache_capacity: 3 }, "cache_capacity"],
  ];
  for (const [name, part, named] of cases) {
    assertThrows(() => pipelineOf({ ...good, [name]: part }), OneloraError, named);
  }
});

Deno.test("GPT2Tokenizer and Qwen2Tokenizer put a space before a text by add_prefix_space, whatever the file says", () =>
  inFolder(async (folder) => {
    const fixture = "tests/fixtures/tokenizer-bytes";
    const json = JSON.parse(await Deno.readTextFile(`${fixture}/tokenizer.json`));
    const config = JSON.parse(await Deno.readTextFile(`${fixture}/tokenizer_config.json`));
    const letters = (begins: boolean) => ({
      type: "ByteLevel",
      add_prefix_space: begins,
      trim_offsets: true,
      use_regex: true,
    });
    const open = async (cut: unknown, more: object) => {
      await Deno.writeTextFile(`${folder}/tokenizer.json`, JSON.stringify({ ...json, pre_tokenizer: cut }));
      await Deno.writeTextFile(`${folder}/tokenizer_config.json`, JSON.stringify({ ...config, ...more }));
      return await openTokenizer(folder);
    };
    const plain = await open(letters(false), { tokenizer_class: "PreTrainedTokenizerFast", add_prefix_space: true });
    const text = "a b";
    assertNotEquals(plain.encode(text), plain.encode(` ${text}`));
    for (const name of ["GPT2Tokenizer", "GPT2TokenizerFast", "Qwen2Tokenizer"]) {
      const spaced = await open(letters(false), { tokenizer_class: name, add_prefix_space: true });
      assertEquals(spaced.encode(text), plain.encode(` ${text}`), name);
      const unspaced = await open(letters(true), { tokenizer_class: name });
      assertEquals(unspaced.encode(text), plain.encode(text), name);
    }
    const steps = { type: "Sequence", pretokenizers: [{ type: "Digits", individual_digits: true }, letters(false)] };
    assertEquals((await open(steps, { tokenizer_class: "GPT2Tokenizer" })).encode(text), plain.encode(text));
    await assertRejects(
      () => open(steps, { tokenizer_class: "GPT2Tokenizer", add_prefix_space: true }),
      OneloraError,
      'reading "add_prefix_space" of tokenizer_config.json: found true; allowed: false, as in tokenizer.json',
    );
  }));
