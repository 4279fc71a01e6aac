/**
 * The tokenizer of the shipped llama-micro, here and in transformers.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { fileOf } from "../../dsl/files/path.ts";
import { openTokenizer } from "../../models/mod.ts";
import { wordProblemTokenizer } from "../../tasks/mod.ts";

interface Case {
  readonly text: string;
  readonly ids: readonly number[];
  readonly bare: readonly number[];
  readonly decoded: string;
}

Deno.test("llama-micro's tokenizer gives the ids that transformers' AutoTokenizer gives with its files", async () => {
  const path = new URL("../fixtures/tokenizer-llama-micro.json", import.meta.url);
  const { vocabulary, cases }: { vocabulary: number; cases: readonly Case[] } = JSON.parse(
    await Deno.readTextFile(path),
  );
  const shipped = fileOf(new URL("../../models/weights/llama-micro", import.meta.url));
  const made = wordProblemTokenizer();
  for (const file of ["tokenizer.json", "tokenizer_config.json"] as const) {
    assertEquals(JSON.parse(await Deno.readTextFile(`${shipped}/${file}`)), made.files[file], file);
  }
  assertEquals(vocabulary, made.vocabulary);
  for (const tokenizer of [await openTokenizer(shipped), made]) {
    for (const { text, ids, bare, decoded } of cases) {
      assertEquals(tokenizer.encode(text), ids, text);
      assertEquals(tokenizer.encode(text, { special: false }), bare, text);
      assertEquals(tokenizer.decode(ids), decoded, text);
    }
  }
});
