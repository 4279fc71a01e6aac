import { assert, assertEquals, assertStringIncludes } from "@std/assert";
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
  for (const [name, run] of [["1lora", "one"], ["lora", "qkv"]]) {
    const { responses } = JSON.parse(await output("evaluate", "--run", `${folder}/${run}`, "--json"));
    const { query, truth, response } = responses[0];
    assertEquals([compared[0].query, compared[0].truth, compared[0].answers[name]], [query, truth, response]);
  }
  assert(compared[0].answers["1lora"] !== compared[0].answers.lora);
  const report = await output("compare", ...runs, "--samples", "1");
  assertStringIncludes(report, "| 1lora: wrong | lora: wrong |");
  assert(!report.includes("Question 2"));
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
