import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { failure, json, output } from "../support/command.ts";

const folder = await Deno.makeTempDir();
globalThis.addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));

const files = "tests/fixtures/reasoning";
const small = ["--backend", "wasm", "--batch-size", "2", "--steps", "2", "--length", "256", "--samples", "1"];

Deno.test("train reads MetaMathQA and GSM8K, with the recipe of the built-in model", async () => {
  const data = ["metamath:metamath.json", "metamath:metamath.parquet", "gsm8k:gsm8k.jsonl"];
  const shown = await Promise.all(data.map(async (form, i) => {
    const [kind, file] = form.split(":");
    const at = ["--data", `${kind}:${files}/${file}`, "--out", `${folder}/${i}`];
    return await output("train", "--task", "reasoning", ...small, ...at);
  }));
  for (const text of shown) assertMatch(text, /^1lora +loss \d+\.\d{4} {2}perplexity [\d.e+]+ {2}exact match 0.0 %/m);
  const config = await json(`${folder}/0/config.json`);
  assertEquals([config.model, config.schedule, config.warmup, config["weight-decay"]], [
    ...["llama-micro", "cosine", 0.03, 0],
  ]);
  const { metrics, deciding } = await json(`${folder}/0/summary.json`);
  assertEquals(Object.keys(metrics), ["loss", "perplexity", "exactMatch"]);
  assertEquals(deciding, { metric: "loss", better: "lower" });
  // The two files say the same.
  assertEquals((await json(`${folder}/1/summary.json`)).metrics, metrics);
  assertStringIncludes(await Deno.readTextFile(`${folder}/0/pictures/answers.md`), "unadapted: wrong | 1lora: wrong");
});

Deno.test("a run's adapter is evaluated, answers and all, and generates", async () => {
  const run = `${folder}/words`;
  const few = [
    "--limit",
    "40",
    "--batch-size",
    "8",
    "--lr",
    "0.01",
    "--steps",
    "6",
    "--samples",
    "3",
    "--backend",
    "wasm",
  ];
  await output("train", "--task", "reasoning", ...few, "--out", run);
  const { metrics } = await json(`${run}/summary.json`);
  const { responses, ...found } = JSON.parse(await output("evaluate", "--run", run, "--json"));
  assertEquals(found, metrics);
  assertEquals(responses.length, 3);
  assertEquals(Object.keys(responses[0]), ["query", "truth", "response", "correct"]);

  const prompt = "Below is an instruction that describes a task. Write a response that appropriately completes the " +
    `request.\n\n### Instruction:\n${responses[0].query}\n\n### Response:`;
  const base = ["--model", "llama-micro", "--prompt", prompt, "--max-tokens", "64", "--backend", "wasm"];
  const adapted = await output("generate", ...base, "--adapter", `${run}/adapter`);
  assertEquals(adapted, `${responses[0].response}\n`);
  assert(adapted !== await output("generate", ...base));
});

Deno.test("with no samples nothing is answered, and the loss is the same", async () => {
  const shared = ["--task", "reasoning", "--limit", "16", "--batch-size", "4", "--steps", "1", "--backend", "wasm"];
  const metrics = async (samples: number) => {
    const run = `${folder}/samples${samples}`;
    await output("train", ...shared, "--samples", `${samples}`, "--out", run);
    return (await json(`${run}/summary.json`)).metrics;
  };
  const { exactMatch: _, ...losses } = await metrics(1);
  assertEquals(await metrics(0), losses);
});

Deno.test("train says in one line what it cannot learn from", async () => {
  const cases: readonly [readonly string[], number, string][] = [
    [["--data", "gsm8k:missing.jsonl"], 1, "missing.jsonl"],
    [["--data", "gsm9k:x"], 2, "gsm8k:FILE"],
    [["--model", "vit-micro"], 2, "a llama model"],
    [["--batch-size", "10", "--accumulate", "0"], 2, "at least 1"],
    [["--model", "tests/fixtures/llama-tied"], 1, "tokenizer.json"],
  ];
  for (const [args, expectedCode, named] of cases) {
    const [code, line] = await failure("train", "--task", "reasoning", "--backend", "wasm", ...args);
    assertEquals(code, expectedCode, line);
    assertStringIncludes(line, named);
  }
});
