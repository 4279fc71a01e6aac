import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { OneloraError } from "../../dsl/mod.ts";
import { openRanged } from "../../dsl/files/file.ts";
import { POINTER_BYTES } from "../../dsl/files/pointer.ts";
import { readJsonFile } from "../../dsl/files/python_json.ts";
import { openModel } from "../../models/mod.ts";
import { openCheckpoint } from "../../models/checkpoint/checkpoint.ts";
import { openTokenizer } from "../../models/llama/tokenizer.ts";
import { readColourImage } from "../../tasks/data/own.ts";
import { openImageData } from "../../tasks/data/open.ts";
import { openTextData } from "../../tasks/text/open.ts";
import { inFolder } from "../support/data_folder.ts";

const pointer = "version https://git-lfs.github.com/spec/v1\n" +
  "oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 346293852\n";

Deno.test("a pointer of Git LFS is called that, whatever file it stands for", () =>
  inFolder(async (folder) => {
    const open: Readonly<Record<string, (path: string) => Promise<unknown>>> = {
      "model.safetensors": openCheckpoint,
      "pytorch_model.bin": openCheckpoint,
      "model.gguf": openModel,
      "config.json": () => openModel(folder),
      "tokenizer.json": () => openTokenizer(folder),
      "picture.jpg": readColourImage,
      "list.csv": openImageData,
      "chats.jsonl": (path) => openTextData(path, {}),
      "chats.csv": (path) => openTextData(path, {}),
    };
    await Deno.writeTextFile(`${folder}/tokenizer_config.json`, "{}");
    for (const [name, read] of Object.entries(open)) {
      const path = `${folder}/${name}`;
      await Deno.writeTextFile(path, pointer);
      const { message } = await assertRejects(() => read(path), OneloraError, undefined, name);
      assertStringIncludes(message, "found a pointer of Git LFS, not the file itself: `git lfs pull` brings it", name);
      await Deno.remove(path);
    }
    await Deno.writeTextFile(`${folder}/tokenizer.model`, pointer);
    assertStringIncludes(
      (await assertRejects(() => openTokenizer(folder), OneloraError)).message,
      "a pointer of Git LFS",
    );
  }));

Deno.test("a small file, and a text that begins as a pointer does, are read", () =>
  inFolder(async (folder) => {
    const path = `${folder}/a.json`;
    await Deno.writeTextFile(path, '{"version": "https://git-lfs.github.com/spec/v1"}');
    assertEquals((await readJsonFile(path)).json, { version: "https://git-lfs.github.com/spec/v1" });
    await Deno.writeTextFile(path, pointer.repeat(10));
    const file = await openRanged(path);
    assertEquals(file.bytes > POINTER_BYTES, true);
    await file.close();
  }));
