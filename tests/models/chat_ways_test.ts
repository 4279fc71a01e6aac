import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { parsePythonJson } from "../../dsl/files/python_json.ts";
import { OneloraError } from "../../dsl/mod.ts";
import { timeAs } from "../../models/jinja/time.ts";
import { type ChatMessage, type ChatTemplate, openChatTemplate } from "../../models/mod.ts";
import { withFolder } from "../support/data_folder.ts";

interface Chat {
  readonly messages: readonly ChatMessage[];
  readonly tools?: readonly unknown[];
  readonly open?: boolean;
}

interface Ways {
  readonly config: unknown;
  readonly chats: string;
  readonly rows: readonly { readonly template: string; readonly texts: readonly (string | null)[] }[];
}

const { config, chats, rows }: Ways = JSON.parse(
  await Deno.readTextFile(new URL("../fixtures/chat-ways.json", import.meta.url)),
);
/** Numbers are spelled as rows of data spell them. */
const spelled = parsePythonJson(chats, true) as readonly Chat[];

/** Parts of Jinja that are refused by their names. */
const REFUSED = [
  '"expandtabs"',
  '"sameas"',
  '"urlencode"',
  '"wordwrap"',
  '"translate"',
  '"encode"',
  '"block"',
  '"xmlattr"',
  '"filesizeformat"',
  '"urlize"',
  '"pprint"',
  '"__class__"',
];

/** What a template writes, or why it does not. */
async function ways(template: string): Promise<readonly (string | Error)[]> {
  const files = { "chat_template.jinja": template, "tokenizer_config.json": JSON.stringify(config) };
  const tried = (write: ChatTemplate, { messages, tools, open = false }: Chat) => {
    try {
      return write(messages, { tools, open });
    } catch (error) {
      if (error instanceof OneloraError) return error;
      throw error;
    }
  };
  return await withFolder(files, async (at) => {
    try {
      const write = await openChatTemplate(at);
      return spelled.map((each) => tried(write, each));
    } catch (error) {
      if (!(error instanceof OneloraError)) throw error;
      return spelled.map(() => error);
    }
  });
}

Deno.test("hundreds of small templates write what Python's Jinja writes by them, or are refused by name", async () => {
  let equal = 0;
  const refused = new Set<string>();
  for (const { template, texts } of rows) {
    const found = await ways(template);
    texts.forEach((text, i) => {
      const own = found[i];
      if (typeof own === "string") {
        assertEquals(own, text, template);
        equal++;
      } else if (text !== null) {
        const name = REFUSED.find((each) => own.message.includes(each));
        assertEquals(typeof name, "string", `${template}: ${own.message}`);
        refused.add(name!);
      }
    });
  }
  assertEquals([...refused].sort(), [...REFUSED].sort());
  assertEquals(equal > 1200, true, `${equal} of ${3 * rows.length}`);
});

Deno.test("chats with tools are written by the template for tools, whichever file has it", async () => {
  const [user] = spelled;
  const named = [{ name: "tool_use", template: "tools" }, { name: "default", template: "plain" }];
  const places: readonly Readonly<Record<string, string>>[] = [
    { "tokenizer_config.json": JSON.stringify({ chat_template: named }) },
    { "chat_template.jinja": "plain", "additional_chat_templates/tool_use.jinja": "tools" },
  ];
  for (const files of places) {
    await withFolder(files, async (at) => {
      const write = await openChatTemplate(at);
      assertEquals([write(user.messages), write(user.messages, { tools: [] })], ["plain", "tools"]);
    });
  }
});

Deno.test("a template sees the tokens of every file and of the tokenizer's class, and no chat without messages", async () => {
  const template = "{{ bos_token }}|{{ eos_token }}|{{ pad_token }}|{{ image_token }}";
  const tokenizer = (model: unknown, padding?: unknown) => JSON.stringify({ model, padding });
  const bytes = { type: "BPE", vocab: {}, merges: [] };
  const cases: readonly (readonly [Readonly<Record<string, string>>, string])[] = [
    [{ "special_tokens_map.json": '{"bos_token": {"content": "<s>"}}', "tokenizer_config.json": "{}" }, "<s>|||"],
    [{
      "tokenizer_config.json": '{"tokenizer_class": "LlamaTokenizerFast", "eos_token": "<e>"}',
      "tokenizer.json": tokenizer(bytes, { pad_token: "<p>" }),
    }, "<s>|<e>|<p>|"],
    [{
      "tokenizer_config.json": '{"tokenizer_class": "GPT2Tokenizer", "extra_special_tokens": {"image_token": "<i>"}}',
      "tokenizer.json": tokenizer(bytes, { pad_token: "<p>" }),
    }, "<|endoftext|>|<|endoftext|>||<i>"],
    [{
      "config.json": '{"model_type": "qwen2"}',
      "tokenizer_config.json": '{"eos_token": null}',
      "tokenizer.json": tokenizer(bytes),
    }, "||<|endoftext|>|"],
  ];
  for (const [files, text] of cases) {
    await withFolder({ ...files, "chat_template.jinja": template }, async (at) => {
      const write = await openChatTemplate(at);
      assertEquals(write([{ role: "user", content: "" }]), text);
      assertStringIncludes(assertThrows(() => write([]), OneloraError).message, "no messages");
    });
  }
});

Deno.test("times are written as Python writes them", () => {
  const time = new Date(2026, 2, 5, 14, 7, 9, 250);
  const format = "%A %a %B %b %d %-d %e %m %Y %y %H %I %-I %M %S %f %j %p %U %W %w %u %x %X %c %F %% %Z";
  // By datetime(2026, 3, 5, 14, 7, 9, 250000).strftime.
  const text =
    "Thursday Thu March Mar 05 5  5 03 2026 26 14 02 2 07 09 250000 064 PM 09 09 4 4 03/05/26 14:07:09 Thu Mar  5 14:07:09 2026 2026-03-05 % ";
  assertEquals(timeAs(format, time), text);
  assertThrows(() => timeAs("%G", time), Error, '"%G"');
});
