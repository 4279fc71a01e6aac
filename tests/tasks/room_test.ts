import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { OneloraError, useBackend } from "../../dsl/mod.ts";
import { requireRoom, roomThere } from "../../tasks/trainer/room.ts";
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
});

Deno.test("the room is at most what the engine can address", () => {
  const room = roomThere();
  // Nothing is known where it may not be asked for.
  assert(room === undefined || room.bytes <= 2 ** 32, JSON.stringify(room));
});

Deno.test("training and generation of what no machine holds are refused before anything is read", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await writeSmallLlama(folder);
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
    const [code, said] = await failure("generate", "--model", folder, "--prompt", "1 2", "--backend", "wasm");
    assertEquals(code, 1);
    assertStringIncludes(said, "needed by plan");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
