import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { useBackend } from "../../dsl/mod.ts";
import { writeSmallChat } from "../../scripts/tools/small_chat.ts";
import type { ComparedAnswers } from "../../tasks/trainer/answering.ts";
import { failure, output } from "../support/command.ts";

const folder = await Deno.makeTempDir();
globalThis.addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));

const few = ["--task", "reasoning", "--limit", "16", "--batch-size", "4", "--steps", "2", "--samples", "2"];
const train = (name: string, ...more: readonly string[]) =>
  output("train", ...few, "--backend", "wasm", "--out", `${folder}/${name}`, ...more);

Deno.test("answers of two runs to the same questions stand side by side", async () => {
  await train("one", "--adapter", "1lora", "--lr", "0.05");
  await train("qkv", "--adapter", "lora", "--target", "qkv", "--lr", "0.05");
  const runs = ["--run", `${folder}/one,${folder}/qkv`, "--backend", "wasm"];
  const compared = JSON.parse(await output("compare", ...runs, "--json"));
  assertEquals(compared.length, 2);
  for (const [name, run] of [["1lora", "one"], ["lora@qkv", "qkv"]]) {
    const { responses } = JSON.parse(await output("evaluate", "--run", `${folder}/${run}`, "--json"));
    const { query, truth, response } = responses[0];
    assertEquals([compared[0].query, compared[0].truth, compared[0].answers[name]], [query, truth, response]);
  }
  assert(compared[0].answers["1lora"] !== compared[0].answers["lora@qkv"]);
  const report = await output("compare", ...runs, "--samples", "1");
  assertStringIncludes(report, "| 1lora: wrong | lora@qkv: wrong |");
  assert(!report.includes("Question 2"));
});

const model = `${folder}/chat`;

/** Trains on chats, a step or two. */
const learnChatsBy = async (learner: string, name: string, ...more: readonly string[]) =>
  await output(
    ...["train", "--task", "text", "--model", learner, "--data", `${folder}/chats.jsonl`, "--batch-size", "2"],
    ...["--steps", "2", "--lr", "0.05", "--length", "64", "--samples", "1", "--preview", "0", "--backend", "wasm"],
    ...["--out", `${folder}/${name}`, ...more],
  );
const learnChats = (name: string, ...more: readonly string[]) => learnChatsBy(model, name, ...more);

Deno.test("chats are compared by what the models answer word for word, runs with other examples held out are refused", async () => {
  await Deno.mkdir(model);
  await useBackend("wasm");
  await writeSmallChat(model, 256);
  const chats = Array.from({ length: 6 }, (_, i) => ({
    messages: [{ role: "user", content: `What is ${i}?` }, { role: "assistant", content: `It is ${i}.` }],
  }));
  await Deno.writeTextFile(`${folder}/chats.jsonl`, chats.map((each) => JSON.stringify(each)).join("\n"));
  await learnChats("chat1", "--held-out", "0.4");
  await learnChats("chat2", "--held-out", "0.4", "--adapter", "bitfit");
  const runs = `${folder}/chat1,${folder}/chat2`;
  const compared = JSON.parse(await output("compare", "--run", runs, "--backend", "wasm", "--samples", "2", "--json"));
  assertEquals(compared.length, 2);
  const { responses } = JSON.parse(await output("evaluate", "--run", `${folder}/chat2`, "--samples", "2", "--json"));
  assertEquals(
    compared.map(({ query, truth, answers }: ComparedAnswers) => ({ query, truth, response: answers.bitfit })),
    responses,
  );
  const report = await output("compare", "--run", runs, "--backend", "wasm");
  assertMatch(report, /^- bitfit: \d of 1 right$/m);
  // What a model answers may be anything: it moves no cursor.
  // deno-lint-ignore no-control-regex
  assert(!/[\u0000-\u0009\u000b-\u001f\u007f]/.test(report));
  // A folder may have a comma in its name.
  await Deno.rename(`${folder}/chat2`, `${folder}/chat, two`);
  const moved = `${folder}/chat1, ${folder}/chat, two`;
  assertEquals(await output("compare", "--run", moved, "--backend", "wasm"), report);
  await learnChats("chat3");
  const [code, line] = await failure("compare", "--run", `${folder}/chat1,${folder}/chat3`);
  assertEquals([code, line.includes("held-out nothing in")], [1, true], line);
  await Deno.writeTextFile(`${folder}/plain.jsonl`, '{"text":"one"}\n{"text":"two"}\n{"text":"three"}\n');
  const [, none] = await failure("compare", "--run", moved, "--data", `${folder}/plain.jsonl`, "--backend", "wasm");
  assertStringIncludes(none, "no questions in what is held out; allowed: chats, or prompts");
});

Deno.test("an adapter of weights as they are goes on them in a few bits, and the other way round", async () => {
  const asked = ["--prompt", "What", "--max-tokens", "2", "--backend", "wasm"];
  for (const quantise of ["nf4", "int8"]) {
    await output("generate", ...asked, "--adapter", `${folder}/chat1`, "--quantise", quantise);
  }
  await output("merge", "--adapter", `${folder}/chat1`, "--quantise", "nf4", "--out", `${folder}/merged4`);
  await learnChats("chat4", "--quantise", "nf4", "--from", `${folder}/chat1`);
  await output("generate", ...asked, "--adapter", `${folder}/chat4`);
  // A GGUF file of the model has its weights in a few bits.
  const gguf = `${folder}/chat.gguf`;
  await output("export", "--model", model, "--dtype", "q8_0", "--out", gguf);
  await learnChatsBy(gguf, "chat5");
  await output("generate", ...asked, "--adapter", `${folder}/chat5`);
  await output("merge", "--adapter", `${folder}/chat5`, "--model", model, "--out", `${folder}/merged5`);
  await output("generate", ...asked, "--adapter", `${folder}/chat1`, "--model", gguf);
});

Deno.test("runs that were not validated with the same questions are refused", async () => {
  await train("other", "--adapter", "1lora", "--seed", "1");
  const cases: readonly [string, number, string][] = [
    [`${folder}/one,${folder}/other`, 1, "seed 1"],
    [`${folder}/one`, 2, "two or more"],
    [`${folder}/one,${folder}/one/`, 2, "each once"],
  ];
  for (const [run, expected, words] of cases) {
    const [code, line] = await failure("compare", "--run", run);
    assertEquals(code, expected);
    assertStringIncludes(line, words);
  }
});
