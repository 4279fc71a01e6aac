import { assertEquals } from "@std/assert";
import { adapt, parameterCounts } from "../adapters/mod.ts";
import { openModel } from "../models/mod.ts";
import { failure, output } from "./command.ts";

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

Deno.test("params counts fused and split query, key and value", async () => {
  const trainable = async (...args: string[]) =>
    JSON.parse(await output("params", "--adapter", "lora", "--json", ...args)).trainable;
  assertEquals(await trainable("--model", "depth-anything-large"), 393_216);
  assertEquals(await trainable("--model", "depth-anything-large", "--qkv", "split"), 442_368);
  assertEquals((await failure("params", "--model", "llama-micro", "--qkv", "fused"))[0], 2);
});

Deno.test("params knows no other adapters than it lists", async () => {
  assertEquals((await failure("params", "--adapter", "1lor"))[0], 2);
});
