import { assert, assertEquals, assertLess, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { OneloraError } from "../../dsl/error.ts";
import { openSafetensors, writeSafetensors } from "../../dsl/safetensors/mod.ts";
import { craft, entry, readAll } from "../support/safetensors_craft.ts";
import { inFolder } from "../support/data_folder.ts";

/** A file with the tensor `name` = [value]. */
async function writeOne(path: string, name: string, value: number): Promise<void> {
  await writeSafetensors(path, [[name, { dtype: "F32", shape: [1], data: Float32Array.of(value) }]]);
}

/** Writes an index and returns the error line of opening the folder. */
async function refusal(folder: string, index: string): Promise<string> {
  await Deno.writeTextFile(`${folder}/model.safetensors.index.json`, index);
  const error = await assertRejects(() => openSafetensors(folder), OneloraError);
  assert(!error.message.includes("\n"), error.message);
  return error.message;
}

Deno.test("a folder stands for model.safetensors, then its index, then the only index or safetensors file", () =>
  inFolder(async (folder) => {
    const names = async () => Object.keys(await readAll(folder));
    await writeOne(`${folder}/adapter_model.safetensors`, "only", 1);
    assertEquals(await names(), ["only"]);
    await Deno.writeTextFile(
      `${folder}/x.safetensors.index.json`,
      `{"weight_map":{"only":"adapter_model.safetensors"}}`,
    );
    await writeOne(`${folder}/other.safetensors`, "other", 1);
    assertEquals(await names(), ["only"]);
    await Deno.writeTextFile(`${folder}/model.safetensors.index.json`, `{"weight_map":{"other":"other.safetensors"}}`);
    assertEquals(await names(), ["other"]);
    await writeOne(`${folder}/model.safetensors`, "model", 1);
    assertEquals(await names(), ["model"]);
  }));

Deno.test("a folder without a clear choice is refused with the candidates", () =>
  inFolder(async (folder) => {
    const none = await assertRejects(() => openSafetensors(folder), OneloraError);
    assertStringIncludes(none.message, "no safetensors file");
    await writeOne(`${folder}/a.safetensors`, "a", 1);
    await writeOne(`${folder}/b.safetensors`, "b", 1);
    const two = await assertRejects(() => openSafetensors(folder), OneloraError);
    assertStringIncludes(two.message, `["a.safetensors","b.safetensors"]`);
  }));

Deno.test("an index takes only the names that it lists, from the shard that it gives", () =>
  inFolder(async (folder) => {
    const both = (a: number, b: number) =>
      [
        ["a", { dtype: "F32", shape: [1], data: Float32Array.of(a) }],
        ["b", { dtype: "F32", shape: [1], data: Float32Array.of(b) }],
      ] as const;
    await writeSafetensors(`${folder}/1.safetensors`, both(1, 2), { metadata: { first: "1", both: "1" } });
    await writeSafetensors(`${folder}/2.safetensors`, both(3, 4), { metadata: { both: "2" } });
    const map = { metadata: { total_size: 8.0 }, weight_map: { b: "1.safetensors", a: "2.safetensors" } };
    await Deno.writeTextFile(`${folder}/model.safetensors.index.json`, JSON.stringify(map));
    await using checkpoint = await openSafetensors(folder);
    assertEquals(checkpoint.names, ["b", "a"]);
    assertEquals(checkpoint.metadata, { first: "1", both: "2" });
    assertEquals((await checkpoint.read("a")).data, Float32Array.of(3));
    assertEquals((await checkpoint.read("b")).data, Float32Array.of(2));
  }));

Deno.test("an index that is malformed, leaves its folder or misses a shard or a tensor is refused", () =>
  inFolder(async (folder) => {
    await writeOne(`${folder}/shard.safetensors`, "a", 1);
    assertStringIncludes(await refusal(folder, ""), "JSON");
    assertStringIncludes(await refusal(folder, "[]"), "no weight_map");
    assertStringIncludes(await refusal(folder, `{"weight_map":["shard.safetensors"]}`), "no weight_map");
    assertStringIncludes(
      await refusal(folder, `{"weight_map":{"a":"shard.safetensors","a":"x"}}`),
      'the name "a" twice',
    );
    const outside = [
      "../shard.safetensors",
      "/etc/passwd",
      "..",
      ".",
      "",
      "b/shard",
      "b\\shard",
      "C:shard",
      "a\nb",
      "a\0",
      1,
    ];
    for (const shard of outside) {
      const message = await refusal(folder, JSON.stringify({ weight_map: { a: shard } }));
      assertStringIncludes(message, `shard ${JSON.stringify(shard)} for "a"`);
    }
    const missing = await refusal(
      folder,
      `{"weight_map":{"a":"shard.safetensors","b":"2.safetensors","c":"3.safetensors"}}`,
    );
    assertStringIncludes(missing, `2 of 3 shards missing: ["2.safetensors","3.safetensors"]`);
    const absent = await refusal(folder, `{"weight_map":{"a":"shard.safetensors","b":"shard.safetensors"}}`);
    assertStringIncludes(absent, `no tensor "b" in ${folder}/shard.safetensors`);
    await Deno.writeFile(`${folder}/broken.safetensors`, craft("{}", new Uint8Array(1)));
    const broken = await refusal(folder, `{"weight_map":{"a":"shard.safetensors","b":"broken.safetensors"}}`);
    assertStringIncludes(broken, "1 bytes after the last tensor");
  }));

Deno.test("what is missing or no regular file is refused", () =>
  inFolder(async (folder) => {
    const error = await assertRejects(() => openSafetensors(`${folder}/none.safetensors`), OneloraError);
    assertStringIncludes(error.message, "no such file or directory");
    await Deno.mkdir(`${folder}/shard.safetensors`);
    assertStringIncludes(await refusal(folder, `{"weight_map":{"a":"shard.safetensors"}}`), "no regular file");
  }));

Deno.test("an unknown name is refused with the nearest one", () =>
  inFolder(async (folder) => {
    await writeOne(`${folder}/model.safetensors`, "layer.weight", 1);
    await using checkpoint = await openSafetensors(folder);
    assertStringIncludes(
      assertThrows(() => checkpoint.info("layer.weigth"), OneloraError).message,
      'e.g. "layer.weight"',
    );
    const error = await assertRejects(() => checkpoint.read("something else"), OneloraError);
    assertStringIncludes(error.message, "one of its 1 tensors");
  }));

Deno.test("tensors read at the same time do not disturb each other", () =>
  inFolder(async (folder) => {
    const path = `${folder}/many.safetensors`;
    const names = Array.from({ length: 50 }, (_, i) => `t${i}`);
    const tensor = (i: number) => ({ dtype: "F32", shape: [1000], data: new Float32Array(1000).fill(i) }) as const;
    await writeSafetensors(path, names.map((name, i) => [name, tensor(i)]));
    await using checkpoint = await openSafetensors(path);
    const tensors = await Promise.all(names.map((name) => checkpoint.read(name)));
    assertEquals(tensors, names.map((_, i) => tensor(i)));
  }));

Deno.test("closing waits for running reads, may be repeated, and ends reading", () =>
  inFolder(async (folder) => {
    await writeOne(`${folder}/model.safetensors`, "a", 7);
    const checkpoint = await openSafetensors(folder);
    const running = checkpoint.read("a");
    await checkpoint.close();
    await checkpoint.close();
    assertEquals((await running).data, Float32Array.of(7));
    const error = await assertRejects(() => checkpoint.read("a"), OneloraError);
    assertStringIncludes(error.message, "a closed file");
  }));

Deno.test("a file that shrinks after it was opened is an error, not a short tensor", () =>
  inFolder(async (folder) => {
    const path = `${folder}/model.safetensors`;
    await writeOne(path, "a", 7);
    await using checkpoint = await openSafetensors(path);
    await Deno.truncate(path, checkpoint.info("a").bytes + 8);
    const error = await assertRejects(() => checkpoint.read("a"), OneloraError);
    assertStringIncludes(error.message, "the file's end");
  }));

Deno.test("a small tensor at the end of a 5 GB file is read without the rest", () =>
  inFolder(async (folder) => {
    const path = `${folder}/large.safetensors`;
    const large = 5_000_000_000;
    const header = `{"large":${entry("U8", [large], 0, large)},"small":${entry("F32", [2], large, large + 8)}}`;
    await Deno.writeFile(path, craft(header));
    // A gap that is never written takes no disk.
    const file = await Deno.open(path, { write: true });
    await file.seek(8 + header.length + large, Deno.SeekMode.Start);
    await file.write(new Uint8Array(Float32Array.of(1.5, -2).buffer));
    file.close();
    const before = Deno.memoryUsage().rss;
    await using checkpoint = await openSafetensors(path);
    assertEquals(checkpoint.info("large").bytes, large);
    assertEquals((await checkpoint.read("small")).data, Float32Array.of(1.5, -2));
    assertLess(Deno.memoryUsage().rss - before, 50_000_000);
  }));

Deno.test("a tensor beyond what an array can hold is an error", () =>
  inFolder(async (folder) => {
    const path = `${folder}/terabytes.safetensors`;
    const bytes = 2 ** 42;
    const header = `{"a":${entry("U8", [bytes], 0, bytes)}}`;
    await Deno.writeFile(path, craft(header));
    await Deno.truncate(path, 8 + header.length + bytes);
    await using checkpoint = await openSafetensors(path);
    const error = await assertRejects(() => checkpoint.read("a"), OneloraError);
    assertStringIncludes(error.message, "RangeError");
  }));
