import { assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { OneloraError } from "../../dsl/mod.ts";
import { type ChatMessage, openChatTemplate } from "../../models/mod.ts";
import { readRows } from "../../tasks/reasoning/rows.ts";
import type { TextExample, TextRow } from "../../tasks/text/example.ts";
import { chat, messagesOf } from "../../tasks/text/messages.ts";
import { withFolder } from "../support/data_folder.ts";

interface ChatCase {
  readonly name: string;
  readonly files: Readonly<Record<string, string>>;
  readonly messages: readonly { readonly role: string; readonly content: string }[];
  readonly text: string;
}

interface Cases {
  readonly chats: readonly ChatCase[];
  readonly row: string;
  readonly numbers: readonly { readonly template: string; readonly text: string }[];
}

const { chats, row, numbers }: Cases = JSON.parse(
  await Deno.readTextFile(new URL("../fixtures/chat.json", import.meta.url)),
);

for (const { name, files, messages, text } of chats) {
  Deno.test(`a chat by ${name} is the text that transformers writes`, async () => {
    await withFolder(files, async (at) => assertEquals((await openChatTemplate(at))(messages), text));
  });
}

Deno.test("numbers of tools and their calls are written as Python writes them, from lines and from an array", async () => {
  const line = row.replaceAll("\n", "");
  const stringly = JSON.stringify({ ...JSON.parse(line), tools: /"tools": (\[.*\])\}$/.exec(line)![1] });
  const files = {
    "a.jsonl": line,
    "a.json": `[${row}]`,
    "b.jsonl": line.replace(/"tools": .*$/, stringly.slice(stringly.indexOf('"tools"'))),
  };
  await withFolder(files, async (at) => {
    for (const name of Object.keys(files)) {
      const [{ value }] = await Array.fromAsync(readRows(`${at}/${name}`, [])) as { value: TextRow }[];
      const read = chat(messagesOf(value.messages, "messages"), value.tools) as Extract<TextExample, { kind: "chat" }>;
      assertEquals(value.messages && (value.messages as ChatMessage[])[0].content, "1.0");
      for (const { template, text } of numbers) {
        await withFolder({ "chat_template.jinja": template }, async (folder) => {
          const write = await openChatTemplate(folder);
          assertEquals(write(read.messages, { tools: read.tools, open: false }), text, `${name}: ${template}`);
        });
      }
    }
    // Elsewhere they are numbers.
    await Deno.writeTextFile(`${at}/c.jsonl`, '{"weight": 1.0, "rows": [{"id": 3e0}], "text": "a"}');
    const [{ value }] = await Array.fromAsync(readRows(`${at}/c.jsonl`, [])) as { value: unknown }[];
    assertEquals(value, { weight: 1, rows: [{ id: 3 }], text: "a" });
  });
});

Deno.test("a folder without a template, a template that is none, and messages that one refuses fail in a line", async () => {
  const user = [{ role: "user", content: "Hello" }];
  await withFolder({ "tokenizer_config.json": "{}" }, async (at) => {
    const error = await assertRejects(() => openChatTemplate(at), OneloraError, "chat_template.jinja");
    assertEquals(error.message.includes("\n"), false);
  });
  await withFolder({ "chat_template.jinja": "{% for x in" }, async (at) => {
    const error = await assertRejects(() => openChatTemplate(at), OneloraError, "a Jinja template");
    assertEquals(error.message.includes("\n"), false);
  });
  await withFolder({ "chat_template.jinja": "{{ raise_exception('roles must alternate') }}" }, async (at) => {
    const write = await openChatTemplate(at);
    const error = assertThrows(() => write(user), OneloraError);
    assertStringIncludes(error.message, "roles must alternate");
  });
  // As Python's Jinja: what is not there is written as nothing, and has no parts.
  await withFolder({ "chat_template.jinja": "{{ messages[0].nothing }}{{ messages[0].nothing.more }}" }, async (at) => {
    const write = await openChatTemplate(at);
    assertStringIncludes(assertThrows(() => write(user), OneloraError).message, '"more" of what is not defined');
  });
});

Deno.test("templates that swell are refused in a line", async () => {
  const hostile = {
    "{% for i in range(1000000000) %}a{% endfor %}": "1000000000 items at once",
    "{% set r = range %}{% for i in r(0, 1000000000, 1) %}a{% endfor %}": "1000000000 items at once",
    "{% set ns = namespace(x='a') %}{% for i in range(40) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}": "at once",
    "{% set ns = namespace(x=[1]) %}{% for i in range(40) %}{% set ns.x = ns.x + ns.x %}{% endfor %}": "at once",
    "{{ [1]|batch(10 ** 9, 'x')|list }}": "1000000000, more than a chat needs",
    "{{ [1]|slice(10 ** 9)|list }}": "1000000000, more than a chat needs",
    "{{ 'x'.center(10 ** 12) }}": "1000000000000, more than a chat needs",
    "{{ '%999999999d' % 1 }}": "999999999 places, more than a chat needs",
    "{{ '{:999999999}'.format(1) }}": "999999999 places, more than a chat needs",
    "{{ 9 ** 99999999 }}": "9 ** 99999999",
    "{{ 'ab' * 10 ** 9 }}": "items at once",
    "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}": "Maximum call stack size",
    "{% for m in messages recursive %}{{ loop(messages) }}{% endfor %}": "Maximum call stack size",
    [`{{ ${"(".repeat(20_000)}1${")".repeat(20_000)} }}`]: "Maximum call stack size",
  };
  for (const [template, part] of Object.entries(hostile)) {
    await withFolder({ "chat_template.jinja": template }, async (at) => {
      const error = await assertRejects(
        async () => (await openChatTemplate(at))([{ role: "user", content: "Hello" }]),
        OneloraError,
        part,
      );
      assertEquals(error.message.includes("\n"), false);
    });
  }
});
