/**
 * A conversation through standard input, as a user has it and as a script.
 *
 * @module
 */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { key, useBackend } from "../../dsl/mod.ts";
import {
  asLanguageModel,
  type ChatMessage,
  generateAll,
  loadParams,
  openChatTemplate,
  openModel,
  openTokenizer,
} from "../../models/mod.ts";
import { dispose, type Tensor } from "@tensorflow/tfjs-core";
import { spawn } from "../support/command.ts";
import { writeSmallChat } from "../../scripts/tools/small_chat.ts";

const model = await Deno.makeTempDir();
globalThis.addEventListener("unload", () => Deno.removeSync(model, { recursive: true }));

/** A small random model for the fixtures' tokenizer, with a chat template. */
async function make(positions: number): Promise<void> {
  await useBackend("wasm");
  await writeSmallChat(model, positions);
}

/** Starts a conversation. */
function talk(...args: readonly string[]): Deno.ChildProcess {
  return spawn("generate", "piped", ["--model", model, "--chat", "--backend", "wasm", "--threads", "1", ...args]);
}

/** A conversation as a script. */
async function scripted(input: string, ...args: readonly string[]) {
  const process = talk(...args);
  const writer = process.stdin.getWriter();
  await writer.write(new TextEncoder().encode(input));
  await writer.close();
  const { code, stdout, stderr } = await process.output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, out: text(stdout), err: text(stderr) };
}

/** What the model answers, all of it at once. */
async function answered(questions: readonly string[], maxTokens: number): Promise<readonly string[]> {
  const opened = await openModel(model);
  const { params } = await loadParams(opened, key(0));
  const [tokenizer, template] = [await openTokenizer(model), await openChatTemplate(model)];
  let said: readonly ChatMessage[] = [];
  const answers: string[] = [];
  for (const content of questions) {
    said = [...said, { role: "user", content }];
    const ids = tokenizer.encode(template(said), { special: false });
    const settings = { maxTokens, end: tokenizer.ends, key: key(0) };
    const [found] = await generateAll(asLanguageModel(opened, opened.layer), params, [ids], settings);
    const answer = tokenizer.decode([...ids, ...found]).slice(tokenizer.decode(ids).length);
    answers.push(answer);
    said = [...said, { role: "assistant", content: answer }];
  }
  dispose(params as Record<string, Tensor>);
  return answers;
}

Deno.test("a conversation remembers what was said, forgets it at /reset and ends at /quit", async () => {
  await make(512);
  const [first, second] = await answered(["Hello", "a < b?"], 6);
  const { code, out, err } = await scripted(
    "Hello\n\n  a < b?\n/nothing\n/reset\nHello\n/quit\nnever\n",
    "--max-tokens",
    "6",
  );
  assertEquals(code, 0, err);
  assertEquals(out, `${first}\n${second}\n${first}\n`);
  assertStringIncludes(err, "note: forgotten");
  assertStringIncludes(err, "note: no command /nothing: /reset forgets what was said, /quit ends the conversation");
  assertMatch(err, /3 answers, \d+ tokens, [\d.e+]+ a second \(wasm\)/);
});

Deno.test("the end of the input ends a conversation, and JSON holds the messages", async () => {
  await make(512);
  const [first] = await answered(["Hello"], 4);
  const { code, out, err } = await scripted("Hello", "--max-tokens", "4", "--json");
  assertEquals(code, 0, err);
  assertEquals(JSON.parse(out).messages, [{ role: "user", content: "Hello" }, { role: "assistant", content: first }]);
});

Deno.test("what the model cannot read on is forgotten, with a note", async () => {
  await make(40);
  const { code, err } = await scripted("one two three\nfour five six\nseven eight nine\n", "--max-tokens", "8");
  assertEquals(code, 0, err);
  assertStringIncludes(err, "note: the oldest exchange is forgotten: the model reads 40 tokens");
});

Deno.test({
  name: "Ctrl-C ends an answer, and the conversation goes on",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    await make(100_000);
    const process = talk("--max-tokens", "50000", "--temperature", "5");
    const [writer, reader] = [process.stdin.getWriter(), process.stdout.getReader()];
    const say = (text: string) => writer.write(new TextEncoder().encode(text));
    const err = new Response(process.stderr).text();
    await say("Hello\n");
    let shown = 0;
    while (shown < 20) shown += (await reader.read()).value!.length;
    process.kill("SIGINT");
    await say("/reset\n/quit\n");
    for (;;) if ((await reader.read()).done) break;
    await writer.close();
    const { code } = await process.status;
    assertEquals(code, 0, await err);
    const [, answers, tokens] = /(\d+) answers, (\d+) tokens/.exec(await err)!;
    assertEquals(answers, "1");
    assert(Number(tokens) < 50000, tokens);
  },
});
