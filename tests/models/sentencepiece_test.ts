import { assertEquals, assertRejects } from "@std/assert";
import { fileOf } from "../../dsl/files/path.ts";
import { OneloraError } from "../../dsl/mod.ts";
import { openTokenizer } from "../../models/mod.ts";
import { settledText } from "../../models/llama/tokenizer.ts";

const folder = fileOf(new URL("../fixtures/tokenizer-sentencepiece", import.meta.url));

interface Case {
  readonly text: string;
  readonly bare: readonly number[];
  readonly decoded: string;
}

Deno.test("tokenizer.model: ids and texts equal those of the sentencepiece library", async () => {
  const tokenizer = await openTokenizer(folder);
  assertEquals([tokenizer.begin, tokenizer.end], [1, 2]);
  const cases: readonly Case[] = JSON.parse(await Deno.readTextFile(`${folder}/cases.json`));
  for (const { text, bare, decoded } of cases) {
    assertEquals(tokenizer.encode(text, { special: false }), bare, text);
    assertEquals(tokenizer.encode(text), [1, ...bare], text);
    assertEquals(tokenizer.decode([1, ...bare, 2]), decoded, text);
    assertEquals(tokenizer.decode([1, ...bare, 2], { special: true }), `<s>${decoded}</s>`, text);
  }
});

Deno.test("tokenizer.model: a text that comes token by token is never taken back", async () => {
  const tokenizer = await openTokenizer(folder);
  const text = "día 🦊 日本";
  const ids = tokenizer.encode(text);
  const texts = ids.map((_, i) => settledText(tokenizer, ids.slice(0, i + 1)));
  texts.reduce((before, after) => {
    assertEquals(after.slice(0, before.length), before);
    return after;
  });
  assertEquals(texts.at(-1), text);
});

Deno.test("tokenizer.model: the settings beside it count, and a file of something else is an error", async () => {
  const directory = await Deno.makeTempDir();
  await Deno.copyFile(`${folder}/tokenizer.model`, `${directory}/tokenizer.model`);
  await Deno.writeTextFile(`${directory}/tokenizer_config.json`, '{"add_bos_token": false, "add_eos_token": true}');
  const tokenizer = await openTokenizer(directory);
  assertEquals(tokenizer.encode("x").at(-1), 2);
  assertEquals(tokenizer.encode("x").slice(0, -1), tokenizer.encode("x", { special: false }));
  for (const content of ["", "no model", "\u0000".repeat(100)]) {
    await Deno.writeTextFile(`${directory}/tokenizer.model`, content);
    await assertRejects(() => openTokenizer(directory), OneloraError, "allowed: a SentencePiece model");
  }
  await Deno.remove(directory, { recursive: true });
});

Deno.test("tokenizer.model: texts are cut at added tokens as transformers cuts them", async () => {
  const { config, cases } = JSON.parse(await Deno.readTextFile(`${folder}/added.json`));
  const directory = await Deno.makeTempDir();
  await Deno.copyFile(`${folder}/tokenizer.model`, `${directory}/tokenizer.model`);
  await Deno.writeTextFile(`${directory}/tokenizer_config.json`, JSON.stringify(config));
  const tokenizer = await openTokenizer(directory);
  for (const { text, ids, decoded } of cases) {
    assertEquals(tokenizer.encode(text), ids, text);
    assertEquals(tokenizer.decode(ids), decoded, text);
  }
  // As older versions name them.
  await Deno.writeTextFile(`${directory}/tokenizer_config.json`, "{}");
  await Deno.writeTextFile(`${directory}/added_tokens.json`, JSON.stringify({ "<|im_end|>": 420 }));
  await Deno.writeTextFile(`${directory}/special_tokens_map.json`, JSON.stringify({ eos_token: "<|im_end|>" }));
  const older = await openTokenizer(directory);
  assertEquals(older.encode("<|im_end|>"), [1, 420]);
  assertEquals([older.end, older.ends], [420, [420]]);
  assertEquals(older.decode([420]), "");
  await Deno.remove(directory, { recursive: true });
});
