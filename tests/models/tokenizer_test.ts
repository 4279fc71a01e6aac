import { assertEquals, assertRejects } from "@std/assert";
import { OneloraError } from "../../dsl/mod.ts";
import { openTokenizer, settledText } from "../../models/mod.ts";

const folder = (name: string) => new URL(`../fixtures/${name}`, import.meta.url).pathname;

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
