import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { openSafetensors, useBackend, writeSafetensors } from "../../dsl/mod.ts";
import { failure, output, runTask, smallCifar } from "../support/command.ts";
import { assertClose, fixture } from "../support/compare.ts";

const folder = await Deno.makeTempDir();
const data = await smallCifar(`${folder}/cifar`);
globalThis.addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));

const model = "tests/fixtures/vit-rgb";
const wasm = ["--backend", "wasm"];
const input = `${folder}/in.safetensors`;
let made: Promise<string> | undefined;

/** The folder of a short run on data of other classes than the model's, and the file of inputs. */
async function trained(): Promise<string> {
  const run = `${folder}/run`;
  const settings = ["--steps", "25", "--batch-size", "10", "--lr", "0.01", "--limit", "50", ...wasm];
  made ??= output("train", "--model", model, "--data", data, "--adapter", "1lora+norms", ...settings, "--out", run);
  await made;
  await using source = await openSafetensors(`${model}/expected.safetensors`);
  await writeSafetensors(input, [["pixel_values", await source.read("pixel_values")]]);
  return run;
}

Deno.test("evaluate --run measures what the run's summary says", async () => {
  const run = await trained();
  const { metrics } = JSON.parse(await Deno.readTextFile(`${run}/summary.json`));
  const { reliability, confusion, errors, ...scalars } = JSON.parse(await output("evaluate", "--run", run, "--json"));
  assertEquals(scalars, metrics);
  assertEquals([reliability.length, confusion.length, errors.length], [15, 10, 20]);
  const sum = (numbers: readonly number[]) => numbers.reduce((total, each) => total + each, 0);
  assertEquals(sum(confusion.flat()), metrics.count);
  assert(metrics.accuracy > 0.3, `${metrics.accuracy}`);

  // The adapter names its model.
  const named = ["--adapter", `${run}/adapter`, "--data", data, ...wasm];
  const spoken = await runTask("evaluate", ...named);
  assertEquals([spoken.code, spoken.err], [0, ""]);
  assertStringIncludes(spoken.out, `accuracy ${(metrics.accuracy * 100).toFixed(2)} %  loss `);
  assertMatch(await output("evaluate", ...named, "--limit", "7"), /^count +7$/m);
});

Deno.test("forward with an adapter equals forward of the merged folder", async () => {
  const run = await trained();
  const adapter = ["--adapter", `${run}/adapter`];
  const files = { adapted: `${folder}/adapted.safetensors`, merged: `${folder}/merged.safetensors` };
  await output("merge", ...adapter, "--out", `${folder}/merged`);
  await Promise.all([
    output("forward", ...adapter, "--input", input, "--output", files.adapted, ...wasm),
    output("forward", "--model", `${folder}/merged`, "--input", input, "--output", files.merged, ...wasm),
  ]);
  await useBackend("cpu");
  const [adapted, merged] = [await fixture(files.adapted), await fixture(files.merged)];
  assertEquals([Object.keys(adapted), Object.keys(merged)], [["logits"], ["logits"]]);
  assertEquals(adapted.logits.shape.at(-1), 10);
  assertClose(merged.logits, adapted.logits, 1e-5, "logits");
  const config = JSON.parse(await Deno.readTextFile(`${folder}/merged/config.json`));
  assertEquals([config.id2label["3"], config.model_type], ["3", "vit"]);
  for (const tensor of [adapted.logits, merged.logits]) tensor.dispose();

  const again = ["--model", model, ...adapter, "--out"];
  const [code, line] = await failure("merge", ...again, `${folder}/merged`);
  assertEquals(code, 1);
  assertStringIncludes(line, "allowed: a new or empty folder");
  const into = await failure("merge", "--model", `${folder}/merged`, ...adapter, "--out", `${folder}/merged`);
  assertEquals([into[0], into[1]], [1, line]);
});

Deno.test("forward without an adapter equals transformers", async () => {
  await trained();
  const found = `${folder}/plain.safetensors`;
  await output("forward", "--model", model, "--input", input, "--output", found, ...wasm);
  await useBackend("cpu");
  const { logits: expected, ...others } = await fixture(`${model}/expected.safetensors`);
  const { logits } = await fixture(found);
  assertClose(logits, expected, 1e-5, "logits");
  for (const tensor of [logits, expected, ...Object.values(others)]) tensor.dispose();
});

Deno.test("commands that run a model refuse what does not fit, in one line", async () => {
  const run = await trained();
  const cut = `${folder}/cut`;
  await Deno.mkdir(cut);
  await Deno.copyFile(`${run}/adapter/adapter_config.json`, `${cut}/adapter_config.json`);
  const bytes = await Deno.readFile(`${run}/adapter/adapter_model.safetensors`);
  await Deno.writeFile(`${cut}/adapter_model.safetensors`, bytes.subarray(0, bytes.length - 1));
  const result = ["--output", `${folder}/never.safetensors`];
  type Case = readonly [code: number, part: string, task: string, ...args: string[]];
  const cases: readonly Case[] = [
    [2, "neither --run nor --model; allowed: --run DIR", "evaluate"],
    [2, "neither --model nor --adapter; allowed: --model NAME|DIR", "predict", "--image", input],
    [1, "no adapter_config.json there", "predict", "--adapter", `${folder}/none`, "--image", input],
    [2, "no --data", "evaluate", "--model", model],
    [2, "--run beside --adapter", "evaluate", "--run", run, "--adapter", cut],
    ...[["train", "--resume"], ["evaluate", "--run"]].flatMap((args): Case[] => [
      [1, `opening the run ${folder}/none: found no such folder; allowed`, args[0], args[1], `${folder}/none`],
      [1, `opening the run ${input}: found a file; allowed`, args[0], args[1], input],
      [1, `opening the run ${cut}: found no config.json there; allowed`, args[0], args[1], cut],
    ]),
    [2, '(did you mean "--adapter"?)', "evaluate", "--adaptr", "x"],
    [2, "no config.json there", "evaluate", "--model", `${folder}/none`, "--data", data],
    [1, "a model of 5 classes; allowed: one of the data's 10", "evaluate", "--model", model, "--data", data],
    [1, "adapter_model.safetensors", "evaluate", "--model", model, "--adapter", cut, "--data", data],
    [2, "no --adapter", "merge", "--model", model, "--out", `${folder}/new`],
    [1, "adapter_model.safetensors", "merge", "--model", model, "--adapter", cut, "--out", `${folder}/new`],
    [1, `${folder}/none.safetensors`, "forward", "--model", model, "--input", `${folder}/none.safetensors`, ...result],
    [1, "allowed: pixel_values", "forward", "--model", model, "--input", `${model}/expected.safetensors`, ...result],
    [1, "[batch, 1, 28, 28]", "forward", "--model", "tests/fixtures/vit-grey", "--input", input, ...result],
    [1, "writing", "forward", "--model", model, "--input", input, "--output", `${folder}/none/out.safetensors`],
  ];
  await Promise.all(cases.map(async ([expected, part, task, ...args]) => {
    const [code, line] = await failure(task, ...args);
    assertEquals(code, expected, line);
    assertStringIncludes(line, part);
  }));
});
