import { assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { OneloraError } from "../../dsl/mod.ts";
import { openChatTemplate } from "../../models/mod.ts";
import { withFolder } from "../support/data_folder.ts";

interface ChatCase {
  readonly name: string;
  readonly files: Readonly<Record<string, string>>;
  readonly messages: readonly { readonly role: string; readonly content: string }[];
  readonly text: string;
}

const { chats }: { readonly chats: readonly ChatCase[] } = JSON.parse(
  await Deno.readTextFile(new URL("../fixtures/chat.json", import.meta.url)),
);

for (const { name, files, messages, text } of chats) {
  Deno.test(`a chat by ${name} is the text that transformers writes`, async () => {
    await withFolder(files, async (at) => assertEquals((await openChatTemplate(at))(messages), text));
  });
}

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
