import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { adapt, parameterCounts } from "../../adapters/mod.ts";
import { specs } from "../../dsl/mod.ts";
import { openModel } from "../../models/mod.ts";
import { failure, output } from "../support/command.ts";

/** Trainable parameters on ViT-Base: the paper's Tables S9, S10 and S12 (which print four models' sum), MoRA rounding. */
const counts: Readonly<Record<string, number>> = {
  "1lora": 82_944,
  "lora": 165_888,
  "dora": 248_832,
  "vera": 83_016,
  "mora1": 83_340,
  "mora6": 82_032,
  "bitfit": 82_944,
  "norms": 38_400,
  "scale": 82_944,
  "all": 85_798_656,
  "1lora+norms": 82_944 + 38_400,
};

Deno.test("the counts on ViT-Base are the paper's", async () => {
  const { layer, headPath } = await openModel("vit-base");
  const found = Object.keys(counts).map((adapter) => [
    adapter,
    parameterCounts(adapt(adapter)(layer), headPath).adapter,
  ]);
  assertEquals(Object.fromEntries(found), counts);
});

Deno.test("params prints the counts as JSON", async () => {
  const printed = await output("params", "--model", "vit-base", "--adapter", "1lora", "--classes", "100", "--json");
  assertEquals(JSON.parse(printed), {
    model: "vit-base",
    adapter: "1lora",
    trainable: 82_944,
    head: 76_900,
    total: 85_798_656 + 82_944 + 76_900,
  });
});

Deno.test("a head counts as trained where it is: with every method of a classifier, of a language model with its own", async () => {
  const counted = async (...args: string[]) => {
    const { trainable, head } = JSON.parse(await output("params", "--json", ...args));
    return [trainable, head];
  };
  const untied = ["--model", "tests/fixtures/llama-grouped"];
  const { layer } = await openModel("tests/fixtures/llama-grouped");
  const [vocabulary, width] = specs(layer)["lm_head.weight"].shape;
  const [lora, none] = await counted(...untied, "--adapter", "lora");
  assertEquals(none, 0);
  assertEquals(await counted(...untied, "--adapter", "lora+head"), [lora, vocabulary * width]);
  assertEquals((await counted("--model", "vit-micro", "--adapter", "lora"))[1], 40 * 129);
  assertEquals((await counted("--model", "dpt-micro", "--adapter", "lora"))[1], 0);
});

Deno.test("params counts fused and split query, key and value", async () => {
  const trainable = async (...args: string[]) =>
    JSON.parse(await output("params", "--adapter", "lora", "--json", ...args)).trainable;
  assertEquals(await trainable("--model", "depth-anything-large"), 393_216);
  assertEquals(await trainable("--model", "depth-anything-large", "--qkv", "split"), 442_368);
  assertEquals((await failure("params", "--model", "llama-micro", "--qkv", "fused"))[0], 2);
});

Deno.test("params says where the paper counts differently", async () => {
  const printed = (model: string, adapter: string) => output("params", "--model", model, "--adapter", adapter);
  assertStringIncludes(
    await printed("vit-base", "1lora"),
    "\nnote      the paper counts four models: 4 x 82,944 = 331,776",
  );
  const depth = await printed("depth-anything-large", "diffit");
  assertStringIncludes(depth, "\ntrainable 542,720\n");
  assertStringIncludes(depth, "\nnote      the paper prints 321,536: beta and norms, without gamma");
  assertStringIncludes(await printed("llama-2-7b", "difffit"), "the paper prints 1.66M");
  // As in Table S8.
  const dit = await output("params", "--model", "dit-xl-2", "--classes", "101", "--adapter", "difffit");
  assertStringIncludes(dit, "\ntrainable 1,089,856\n");
  for (const plain of [dit, await printed("depth-anything-large", "1lora")]) assert(!plain.includes("note"), plain);
});

Deno.test("params knows no other adapters than it lists", async () => {
  assertEquals((await failure("params", "--adapter", "1lor"))[0], 2);
});
