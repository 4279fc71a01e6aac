import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { fileOf } from "../../dsl/files/path.ts";
import { OneloraError } from "../../dsl/mod.ts";
import { type ChatMessage, openChatTemplate, openTokenizer } from "../../models/mod.ts";
import { IGNORED_LABEL } from "../../tasks/reasoning/encode.ts";
import { encodeText, type TextEncoding } from "../../tasks/text/encode.ts";
import type { TextExample, TextRow } from "../../tasks/text/example.ts";
import { readTextFile } from "../../tasks/text/files.ts";
import { openTextData } from "../../tasks/text/open.ts";
import { packTexts } from "../../tasks/text/pack.ts";
import { previewOf } from "../../tasks/text/preview.ts";
import { shapeReader } from "../../tasks/text/shapes.ts";
import { withFolder } from "../support/data_folder.ts";

const fixtures = fileOf(new URL("../fixtures/texts", import.meta.url));

interface Expected {
  readonly tokenizer: string;
  readonly ids: readonly number[];
  readonly mask: readonly number[];
}
interface ChatCase extends Expected {
  readonly name: string;
  readonly template: string;
  readonly plain: boolean;
  readonly messages: readonly ChatMessage[];
  readonly tools?: readonly unknown[];
  readonly text: string;
}
interface RowCase extends Expected {
  readonly row: TextRow;
}

const { chats, pairs }: { readonly chats: readonly ChatCase[]; readonly pairs: readonly RowCase[] } = JSON.parse(
  await Deno.readTextFile(`${fixtures}/expected.json`),
);

const BESIDES = { length: 4096, template: "auto", learn: "answers" } as const;

async function encodingWith(tokenizer: string, template?: string): Promise<TextEncoding> {
  const open = template === undefined
    ? new OneloraError({ attempted: "a", found: "b", allowed: "c" })
    : await withFolder(
      { "chat_template.jinja": template, "tokenizer_config.json": await configOf(tokenizer) },
      openChatTemplate,
    );
  const opened = await openTokenizer(`${fixtures}/${tokenizer}`);
  // What ends a turn is for the model's files to say.
  const end = opened.encode("<|im_end|>", { special: false });
  assertEquals(end.length, 1);
  return { ...BESIDES, tokenizer: { ...opened, ends: [...opened.ends ?? [], ...end] }, chat: open };
}

const configOf = (tokenizer: string) => Deno.readTextFile(`${fixtures}/${tokenizer}/tokenizer_config.json`);

/** Labels that a mask stands for: the first token is never one. */
const labelsOf = ({ ids, mask }: Expected) => ids.map((id, i) => i > 0 && mask[i] === 1 ? id : IGNORED_LABEL);

Deno.test("ids and masks of chats are those of transformers, with its marks in the template and without", async () => {
  assertEquals(chats.length, 24);
  for (const each of chats) {
    const example = shapeReader({})({ messages: each.messages, ...(each.tools && { tools: each.tools }) }, "here");
    assert(typeof example !== "string");
    const without = each.template.replaceAll(/\{%(-?) *(end)?generation *(-?)%\}/g, "{%$1 if true $3%}{%$1 endif $3%}");
    for (const template of each.plain ? [each.template, without] : [each.template]) {
      const encoding = await encodingWith(each.tokenizer, template);
      const encoded = encodeText(encoding, example);
      assertEquals([...encoded!.ids], each.ids, each.name);
      assertEquals([...encoded!.labels], labelsOf(each), each.name);
    }
  }
});

Deno.test("ids and masks of prompts, completions and plain texts are those of TRL", async () => {
  assertEquals(pairs.length, 10);
  for (const each of pairs) {
    const example = shapeReader({})(each.row, "here");
    assert(typeof example !== "string");
    const encoded = encodeText(await encodingWith(each.tokenizer), example);
    assertEquals([...encoded!.ids], each.ids);
    assertEquals([...encoded!.labels], labelsOf(each));
  }
});

Deno.test("the last answer alone, all tokens, and what is given are settings; the preview marks what is learned", async () => {
  const each = chats.find(({ name }) => name === "ChatML, long, tokenizer-bytes")!;
  const example = shapeReader({})({ messages: each.messages }, "here");
  assert(typeof example !== "string" && example.kind === "chat");
  const encoding = await encodingWith(each.tokenizer, each.template);
  const shown = (learn: TextEncoding["learn"], given?: number) =>
    previewOf(encoding.tokenizer, encodeText({ ...encoding, learn }, { ...example, given })!);
  const answers = [...shown("answers").matchAll(/«(.*?)»/g)].map(([, text]) => text);
  assertEquals(answers, ["I am well. Größe: 3 € \u{1f600}<|im_end|>", "The answer is: well\\n\\n  indented<|im_end|>"]);
  assertEquals([...shown("last").matchAll(/«(.*?)»/g)].map(([, text]) => text), answers.slice(1));
  assertEquals([...shown("answers", 3).matchAll(/«(.*?)»/g)].map(([, text]) => text), answers.slice(1));
  assertEquals(shown("all").replaceAll(/[«»]/g, ""), each.text.replaceAll("\n", "\\n"));
  // A template that writes an answer otherwise once others follow.
  const changing =
    `{% for m in messages %}{{ m.role }}: {% if m.role == "user" or loop.last %}{{ m.content }}{% endif %}
{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}`;
  const other = await encodingWith(each.tokenizer, changing);
  assertStringIncludes(
    (await assertRejects(() => Promise.resolve().then(() => encodeText(other, example)), OneloraError)).message,
    "message 2 otherwise once others follow; allowed: a template with {% generation %}",
  );
  assertStringIncludes(previewOf(other.tokenizer, encodeText({ ...other, learn: "last" }, example)!), "« The answer");
});

const SHAREGPT = {
  conversations: [{ from: "human", value: "Hello" }, { from: "gpt", value: "Hi" }],
  system: "Be brief.",
};
const MESSAGES = [{ role: "user", content: "Hello" }, { role: "assistant", content: "Hi" }];

Deno.test("a question is asked as a chat where the model has a template, else with a space before its answer", async () => {
  const [{ tokenizer, template }] = chats;
  const asked: TextExample = { kind: "pair", prompt: "What?", completion: "That.", asked: true };
  const said = async (template?: string, example: TextExample = asked) => {
    const encoding = await encodingWith(tokenizer, template);
    return previewOf(encoding.tokenizer, encodeText(encoding, example)!);
  };
  const chat: TextExample = {
    kind: "chat",
    messages: [{ role: "user", content: "What?" }, { role: "assistant", content: "That." }],
  };
  assertEquals(await said(template), await said(template, chat));
  assertStringIncludes(await said(), "What?« That.");
  assertStringIncludes(await said(template, { ...asked, asked: undefined }), "What?«That.");
});

Deno.test("every shape is recognised by its columns, under other names too", () => {
  const read = (row: TextRow, columns = {}) => shapeReader(columns)(row, "here");
  assertEquals(read(SHAREGPT), { kind: "chat", messages: [{ role: "system", content: "Be brief." }, ...MESSAGES] });
  assertEquals(read({ messages: MESSAGES, tools: '[{"a": 1}]', id: 3 }), {
    kind: "chat",
    messages: MESSAGES,
    tools: [{ a: 1 }],
  });
  assertEquals(read({ prompt: MESSAGES.slice(0, 1), completion: MESSAGES.slice(1) }), {
    kind: "chat",
    messages: MESSAGES,
    given: 1,
  });
  assertEquals(read({ prompt: "a", response: "b" }), { kind: "pair", prompt: "a", completion: "b" });
  assertEquals(read({ instruction: "a", output: "b" }), {
    kind: "instruction",
    instruction: "a",
    input: "",
    output: "b",
  });
  assertEquals(read({ text: "a" }), { kind: "text", text: "a" });
  const asked = { kind: "pair" as const, prompt: "a", completion: "b", asked: true as const };
  assertEquals(read({ question: "a", answer: "b" }), asked);
  assertEquals(read({ Question: "a", " Answer ": "b", Date: "c" }), asked);
  assertEquals(read({ question: "a", choices: ["b", "c"], answer: "c" }), {
    kind: "choice",
    question: "a",
    choices: ["b", "c"],
    answer: 1,
  });
  assertEquals(read({ q: "a", a: "b" }, { prompt: "q", completion: "a" }), {
    kind: "pair",
    prompt: "a",
    completion: "b",
  });
  const arc = { question: "a", choices: { text: ["x", "y"], label: ["A", "B"] }, answerKey: "B" };
  assertEquals(read(arc), { kind: "choice", question: "a", choices: ["x", "y"], answer: 1 });
  assertEquals(read({ question: "a", choices: ["x", "y"], answer: 0n }), {
    kind: "choice",
    question: "a",
    choices: ["x", "y"],
    answer: 0,
  });
  const parts = [{ type: "text", text: "Hel" }, { type: "text", text: "lo" }];
  assertEquals(read({ messages: [{ role: "user", content: parts }, MESSAGES[1]] }), {
    kind: "chat",
    messages: MESSAGES,
  });
  const system = { role: "system", content: "Be brief." };
  assertEquals(read({ messages: MESSAGES, system: "Be brief." }), { kind: "chat", messages: [system, ...MESSAGES] });
  assertEquals(read({ messages: [system, ...MESSAGES], system: "Be brief." }), {
    kind: "chat",
    messages: [system, ...MESSAGES],
  });
  // Databricks' Dolly has the input as context; LLaMA-Factory writes empty columns beside it.
  assertEquals(read({ instruction: "a", context: "c", response: "b", category: "d", system: "", history: [] }), {
    kind: "instruction",
    instruction: "a",
    input: "c",
    output: "b",
  });
  // What says more than one thing is chosen among.
  const published = { instruction: "a", input: "", output: "b", text: "ab" };
  assertEquals(read(published, { text: "text" }), { kind: "text", text: "ab" });
  assertEquals(read(published, { output: "output" }), {
    kind: "instruction",
    instruction: "a",
    input: "",
    output: "b",
  });
});

Deno.test("what other programs would act on and nothing here does is no example, by name", () => {
  const fault = (row: TextRow, part: string) => {
    const read = shapeReader({})(row, "here");
    assert(typeof read === "string", JSON.stringify(row));
    assertStringIncludes(read, part);
  };
  const [asked, answered] = MESSAGES;
  fault({ messages: [asked, { ...answered, weight: 0 }] }, '"weight": 0, which is not honoured, in message 1');
  fault({ messages: [asked, { ...answered, train: false }] }, '"train": false');
  fault({ conversations: [SHAREGPT.conversations[0], { from: "gpt", value: "a", loss: false }] }, "in turn 1");
  fault(
    { messages: [{ role: "user", content: [{ type: "image" }] }, answered] },
    "a part that is no text in message 0",
  );
  fault({ messages: [{ role: "system", content: "a" }, ...MESSAGES], system: "b" }, "a system prompt in");
  fault({ messages: MESSAGES, images: ["a.png"] }, '"images", which no language model here sees');
  fault({ instruction: "a", output: "b", system: "c" }, '"system", which belongs before it');
  fault({ instruction: "a", output: "b", history: [["c", "d"]] }, '"history", which belongs before it');
  fault({ instruction: "a", input: "b", context: "c", output: "d" }, 'a text in "input" and one in "context"');
  fault({ prompt: "a", completion: "b", label: false }, '"label": false, an answer to be avoided');
  for (
    const row of [{ prompt: "a", completion: "b", label: true, images: [], system: null }, { text: "a", label: false }]
  ) {
    assertEquals(typeof shapeReader({})(row, "here"), "object");
  }
  assertEquals(typeof shapeReader({})({ messages: [asked, { ...answered, weight: 1 }] }, "here"), "object");
  const chosen = { instruction: "a", output: "b", system: "c" };
  assertEquals(typeof shapeReader({ output: "output" })(chosen, "here"), "object");
});

Deno.test("files as people have them: lines, arrays, CSV, Parquet, a folder of parts, whatever their endings", async () => {
  const pair: TextExample = { kind: "pair", prompt: 'Say "hi", twice', completion: "hi\nhi" };
  for (const name of ["pairs.csv", "pairs.parquet"]) {
    const { train } = await openTextData(`${fixtures}/${name}`, {});
    assertEquals(train, [pair, { kind: "pair", prompt: "2 + 2", completion: "4, of course" }], name);
  }
  const { train } = await openTextData(`parquet:${fixtures}/messages.parquet`, {});
  assertEquals(train.length, 2);
  assert(train[0].kind === "chat");
  assertEquals(train[0].messages, [{ role: "user", content: "What is 2 + 2?" }, { role: "assistant", content: "4" }]);
  const line = JSON.stringify({ prompt: "a", completion: "b" });
  const files = {
    "train-00000-of-00002.jsonl": `${line}\n`,
    "train-00001-of-00002.jsonl": `${line}\n{}\n`,
    "valid.json": `[${line}]`,
    "test.jsonl": line,
    "other/notes.txt": line,
    "README.md": "",
  };
  await withFolder(files, async (folder) => {
    const data = await openTextData(folder, {});
    assertEquals([data.train.length, data.validation?.length, data.test?.length, data.skipped], [2, 1, 1, 1]);
    assertStringIncludes(data.why!, "line 2 of");
    await assertRejects(() => openTextData(folder, { strict: true }), OneloraError, "line 2 of");
    assertEquals((await openTextData(`jsonl:${folder}/other/notes.txt`, {})).train.length, 1);
    const both = await openTextData(`${folder}/test.jsonl`, { own: { validationFile: `${folder}/valid.json` } });
    assertEquals(both.validation?.length, 1);
  });
});

Deno.test("rows with half a character, which no bytes stand for, and rows that nest without end are left out", () => {
  const bad = '{"prompt": "a \\ud83d", "completion": "b"}';
  const deep = `{"prompt": "a", "completion": "b", "more": ${"[".repeat(200_000)}${"]".repeat(200_000)}}`;
  const good = '{"prompt": "\\ud83d\\ude00", "completion": "b"}';
  return withFolder({ "a.jsonl": `${bad}\n${good}`, "a.json": `[${good}, ${bad}, ${deep}]` }, async (folder) => {
    const [lines, array] = [await openTextData(`${folder}/a.jsonl`, {}), await openTextData(`${folder}/a.json`, {})];
    assertEquals([lines.train.length, lines.skipped, array.train.length, array.skipped], [1, 1, 1, 2]);
    assertStringIncludes(lines.why!, "half a character");
    assertEquals((lines.train[0] as Extract<TextExample, { kind: "pair" }>).prompt, "\u{1f600}");
  });
});

Deno.test("a CSV whose names have semicolons or tabs between them, and no comma, is divided by these", async () => {
  for (const divider of [",", ";", "\t"]) {
    const lines = [["prompt", "completion"], ['"What; now,\tthen?"', "Go."]].map((line) => line.join(divider));
    await withFolder({ "a.csv": `${lines.join("\n")}\n` }, async (folder) => {
      const rows = await Array.fromAsync(readTextFile("csv", `${folder}/a.csv`));
      assertEquals(rows.map((row) => "value" in row && row.value), [{
        prompt: "What; now,\tthen?",
        completion: "Go.",
      }]);
    });
  }
});

Deno.test("what is unknown or ambiguous is refused in a line", async () => {
  const refused = async (files: Readonly<Record<string, string>>, spec: string, part: string, own = {}) => {
    await withFolder(files, async (folder) => {
      const error = await assertRejects(() => openTextData(spec.replace("DIR", folder), { own }), OneloraError);
      assertStringIncludes(error.message, part);
      assertEquals(error.message.includes("\n"), false);
    });
  };
  const alpaca = JSON.stringify({ instruction: "a", input: "", output: "b", text: "ab" });
  await refused(
    { "a.jsonl": alpaca },
    "DIR/a.jsonl",
    "which may be instruction and output or text; allowed: --columns instruction=instruction",
  );
  await refused({ "a.jsonl": '{"foo": 1}' }, "DIR/a.jsonl", 'found "foo"; allowed: columns messages');
  await refused({ "a.jsonl": '{"foo": 1}' }, "DIR/a.jsonl", 'reading "bar" of line 1', { columns: "text=bar" });
  await refused({ "a.jsonl": "{}" }, "DIR/a.jsonl", '"txt=foo"', { columns: "txt=foo" });
  await refused({ "a.txt": "{}" }, "DIR/a.txt", "a.txt");
  await refused({ "a.csv": 'a,b\n"x' }, "DIR/a.csv", "reading");
  const twice = "prompt,prompt,completion\na,b,c\n";
  await refused({ "a.csv": twice }, "DIR/a.csv", 'found the column "prompt" twice; allowed: a name of its own');
  await refused({ "a.jsonl": "", "b.jsonl": "" }, "DIR", "whose names begin with train");
  await refused({}, "DIR/none.jsonl", "no such file");
  await refused(
    { "a.jsonl": '{"messages": [{"role": "user", "content": "a"}]}' },
    "DIR/a.jsonl",
    "no message of the assistant's",
  );
  const strange = JSON.stringify({ conversations: [{ from: "bing", value: "a" }] });
  await refused({ "a.jsonl": strange }, "DIR/a.jsonl", 'from "bing"');
});

Deno.test("texts are packed longest first, each into the fullest row with room, and numbered there", () => {
  const text = (length: number) => {
    const ids = new Int32Array(length).fill(length);
    return { ids, start: 0, labels: ids };
  };
  // In the order given they would take three rows.
  const rows = packTexts([2, 3, 5, 6].map(text), 8);
  assertEquals(rows.map(({ ids }) => [...ids]), [[5, 5, 5, 5, 5, 3, 3, 3], [6, 6, 6, 6, 6, 6, 2, 2]]);
  assertEquals(rows.map(({ segments }) => [...segments!]), [[1, 1, 1, 1, 1, 2, 2, 2], [1, 1, 1, 1, 1, 1, 2, 2]]);
});

Deno.test("Parquet's texts keep the mark that they begin with, bytes that are no text stay bytes, and pages may be empty", async () => {
  for (const codec of ["none", "snappy", "gzip", "zstd", "lz4", "brotli"]) {
    const rows = await Array.fromAsync(readTextFile("parquet", `tests/fixtures/texts/odd-${codec}.parquet`));
    const values = rows.map((row) => "value" in row ? row.value as Readonly<Record<string, unknown>> : {});
    assertEquals(values.map((row) => [row.text, row.none ?? null, row.bytes]), [
      ["\uFEFFmarked", null, Uint8Array.of(0xff, 0xfe)],
      ["", null, ""],
      ["plain", null, "abc"],
    ], codec);
  }
});
