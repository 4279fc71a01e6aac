import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { dispose, type Tensor } from "@tensorflow/tfjs-core";
import { adapt, saveAdapter } from "../../adapters/mod.ts";
import { init, key, type Layer, OneloraError, useBackend, writeSafetensors } from "../../dsl/mod.ts";
import type { StoredForm } from "../../dsl/engine/stored.ts";
import { openModel } from "../../models/mod.ts";
import { keeper, requireRoom, requireRoomToUse, roomThere, type Use } from "../../tasks/trainer/room.ts";
import { failure } from "../support/command.ts";
import { writeSmallLlama } from "../support/small_llama.ts";

await useBackend("wasm");

Deno.test("what fits is let through, what does not is refused with the first change that would fit", () => {
  const room = { bytes: 8e9, whose: "of this machine" };
  requireRoom("training", 8e9, room, []);
  const refused = (others: readonly (readonly [string, number])[]) =>
    assertThrows(() => requireRoom("training m", 26.4e9, room, others), OneloraError).message;
  assertEquals(
    refused([["--precision bf16", 13.2e9], ["--quantise nf4", 6.1e9], ["--accumulate 8", 1e9]]),
    "training m: found 26.4 GB needed by plan, 8.00 GB of this machine; allowed: what fits: --quantise nf4 (6.10 GB)",
  );
  assertStringIncludes(refused([["--precision bf16", 13.2e9]]), "a machine with more memory");
  // Plans are off by some per cent: what would just fit is not proposed.
  assertStringIncludes(refused([["--precision bf16", 7.7e9], ["--accumulate 8", 7.6e9]]), "what fits: --accumulate 8");
});

Deno.test("the room is at most what the engine can address", () => {
  const room = roomThere();
  // Nothing is known where it may not be asked for.
  assert(room === undefined || room.bytes <= 2 ** 32, JSON.stringify(room));
});

Deno.test("nothing is read of a language model that no machine holds, whatever is to be done with it", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await writeSmallLlama(folder);
    const { layer, modules } = await openModel(folder);
    const adapted = adapt("1lora")(layer);
    const params = init(adapted, key(0));
    await saveAdapter(`${folder}/adapter`, {
      layer: adapted,
      params,
      spec: { adapter: "1lora" },
      names: modules,
      baseModel: "m",
    });
    dispose(params as Record<string, Tensor>);
    const config = JSON.parse(await Deno.readTextFile(`${folder}/config.json`));
    const sizes = { hidden_size: 2 ** 17, intermediate_size: 2 ** 18, num_attention_heads: 2 ** 10, head_dim: 2 ** 7 };
    await Deno.writeTextFile(`${folder}/config.json`, JSON.stringify({ ...config, ...sizes }));
    // There is nothing to read.
    await Deno.remove(`${folder}/model.safetensors`);
    const data = `${folder}/data.jsonl`;
    const rows = [{ prompt: "1 2", completion: "3" }, { prompt: "2 3", completion: "4" }];
    await Deno.writeTextFile(data, rows.map((row) => JSON.stringify(row)).join("\n"));
    const training = ["--task", "text", "--model", folder, "--data", data, "--adapter", "1lora", "--steps", "1"];
    const [trained, why] = await failure("train", ...training, "--backend", "wasm", "--out", `${folder}/run`);
    assertEquals(trained, 1);
    assertStringIncludes(why, "needed by plan");
    const untrained = training.map((word) => word === "1lora" ? "none" : word);
    const [, judged] = await failure("train", ...untrained, "--backend", "wasm", "--out", `${folder}/run`);
    assertStringIncludes(judged, "needed by plan");
    const inputs = `${folder}/in.safetensors`;
    await writeSafetensors(inputs, [["input_ids", { dtype: "I32", shape: [1, 3], data: Int32Array.of(1, 2, 3) }]]);
    const judging = ["--task", "text", "--data", data, "--held-out", "0.5"];
    const others: readonly (readonly [string, readonly string[]])[] = [
      ["generate", ["--prompt", "1 2", "--backend", "wasm"]],
      ["evaluate", [...judging, "--backend", "wasm"]],
      ["forward", ["--input", inputs, "--output", `${folder}/out.safetensors`, "--backend", "wasm"]],
      ["merge", ["--adapter", `${folder}/adapter`, "--out", `${folder}/merged`]],
      ["export", ["--adapter", `${folder}/adapter`, "--out", `${folder}/merged.gguf`]],
      ["export", ["--out", `${folder}/whole.gguf`]],
    ];
    for (const [command, args] of others) {
      const [code, said] = await failure(command, "--model", folder, ...args);
      assertEquals(code, 1, said);
      assertStringIncludes(said, "needed by plan", command);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("more pictures at a time than memory holds are refused, of a small model too, by what there are of them", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const args = ["--steps", "1", "--backend", "wasm", "--out", `${folder}/run`];
    const [code, why] = await failure("train", "--batch-size", "100000000", ...args);
    assertEquals(code, 1);
    const [, needed] = /found (\d+)\.\d GB needed by plan/.exec(why) ?? [];
    assert(Number(needed) > 5 && Number(needed) < 100, why);
    assertStringIncludes(why, "what fits: --accumulate");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("nothing is read of a model of pictures that no machine holds", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const { config } = await openModel("vit-micro");
    const sizes = { hidden_size: 2 ** 17, intermediate_size: 2 ** 19, num_attention_heads: 2 ** 10 };
    await Deno.writeTextFile(`${folder}/config.json`, JSON.stringify({ ...config, ...sizes }));
    await Deno.mkdir(`${folder}/pictures/one`, { recursive: true });
    const picture = `${folder}/pictures/one/a.ppm`;
    const pixels = new Uint8Array(3 * 28 * 28).fill(9);
    await Deno.writeFile(picture, new Uint8Array([...new TextEncoder().encode("P6 28 28 255\n"), ...pixels]));
    const others: readonly (readonly [string, readonly string[]])[] = [
      ["predict", ["--image", picture]],
      ["evaluate", ["--data", "mnist"]],
    ];
    for (const [command, args] of others) {
      const [code, said] = await failure(command, "--model", folder, "--backend", "wasm", ...args);
      assertEquals(code, 1, said);
      assertStringIncludes(said, "needed by plan", command);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a model beyond what an engine can address is refused, and another engine named where the machine has room", async () => {
  const { layer, ...model } = await openModel("llama-2-7b");
  if (roomThere() === undefined) return;
  const use: Use = { attempted: "asking", needs: () => (_, { backend }) => backend === "wasm" ? 3e10 : 1e6 };
  const said = async (layer: Layer) =>
    (await assertRejects(() => requireRoomToUse({ ...model, layer }, () => layer, {}, use), OneloraError)).message;
  // Loading takes what it takes, whatever is done afterwards.
  const { total } = Deno.systemMemoryInfo();
  assertStringIncludes(await said(layer), total > 30e9 ? "--backend tensorflow" : "a machine with more memory");
  const smaller = await openModel("tinyllama-1.1b");
  if (total > 8e9) assertStringIncludes(await said(smaller.layer), "what fits: --backend tensorflow");
});

Deno.test("what an engine keeps as a file has it counts as that, and as float32 what it does not", async () => {
  const { layer } = await openModel("llama-micro");
  const forms = keeper(layer, new Map<string, StoredForm>([["a", "q4_0"], ["b", "bf16"]]));
  assertEquals([...forms({}, "wasm") ?? []], [["a", "q4_0"], ["b", "bf16"]]);
  assertEquals([...forms({}, "cpu") ?? []], [["b", "bf16"]]);
  assertEquals(forms({}, "webgpu"), undefined);
  assertEquals([...forms({}, "tensorflow") ?? []], [["a", "q4_0"], ["b", "bf16"]]);
  assertEquals(keeper(layer, new Map())({}, "wasm"), undefined);
});
