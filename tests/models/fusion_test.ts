import { assertEquals, assertRejects } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { fileOf } from "../../dsl/files/path.ts";
import {
  apply,
  fromTensor,
  key,
  OneloraError,
  openSafetensors,
  type Params,
  useBackend,
  writeSafetensors,
} from "../../dsl/mod.ts";
import { loadParams, openModel, saveModel } from "../../models/mod.ts";
import { keyOf } from "../../models/checkpoint/keys.ts";
import { assertClose, fixture, withoutLeaks } from "../support/compare.ts";

const folder = fileOf(new URL("../fixtures/vit-rgb", import.meta.url));
const qkv = (block: number) => `encoder.layer.${block}.attention.attention`;

/** A folder that holds a fused model's parameters under their own names, as original repositories do. */
async function writeFused(at: string, params: Params): Promise<void> {
  const { keys } = await openModel(folder);
  const tensors = await Promise.all(
    Object.entries(params).map(async ([path, tensor]) => [keyOf(keys, path), await fromTensor(tensor)] as const),
  );
  await writeSafetensors(`${at}/model.safetensors`, tensors);
  await Deno.copyFile(`${folder}/config.json`, `${at}/config.json`);
}

Deno.test("a split checkpoint loads into the fused form, computes the same and is saved split again", async () => {
  await useBackend("wasm");
  const directory = await Deno.makeTempDir();
  await withoutLeaks(async () => {
    const split = await openModel(folder);
    const fused = await openModel(folder, { qkv: "fused" });
    const { params } = await loadParams(split, key(0));
    const { params: together, initialised } = await loadParams(fused, key(0));
    assertEquals(initialised, []);
    assertEquals(together[`${qkv(0)}.qkv.weight`].shape, [90, 30]);
    assertEquals(together[`${qkv(1)}.qkv.bias`].dataSync().slice(30, 60), params[`${qkv(1)}.key.bias`].dataSync());
    const { pixel_values } = await fixture(`${folder}/expected.safetensors`);
    assertClose(
      apply(fused.layer, together)(pixel_values),
      apply(split.layer, params)(pixel_values),
      1e-6,
      "logits",
    );
    await saveModel(fused, together, directory);
    await using written = await openSafetensors(directory);
    await using published = await openSafetensors(folder);
    assertEquals([...written.names].sort(), [...published.names].sort());
    for (const name of written.names) assertEquals(await written.read(name), await published.read(name));
  });
  await Deno.remove(directory, { recursive: true });
});

Deno.test("a fused checkpoint loads into either form", async () => {
  await useBackend("wasm");
  const directory = await Deno.makeTempDir();
  await withoutLeaks(async () => {
    const { params: together } = await loadParams(await openModel(folder, { qkv: "fused" }), key(0));
    await writeFused(directory, together);
    for (const form of ["fused", "split"] as const) {
      const { params: expected } = await loadParams(await openModel(folder, { qkv: form }), key(0));
      const { params: found } = await loadParams(await openModel(directory, { qkv: form }), key(0));
      assertEquals(Object.keys(found), Object.keys(expected));
      for (const path of Object.keys(found)) assertEquals(found[path].dataSync(), expected[path].dataSync(), path);
    }
  });
  await Deno.remove(directory, { recursive: true });
});

Deno.test("a part that is missing or of another shape is named", async () => {
  await useBackend("cpu");
  const directory = await Deno.makeTempDir();
  await withoutLeaks(async () => {
    const { params } = await loadParams(await openModel(folder), key(0));
    const name = `vit.${qkv(0)}.key.bias`;
    const { [`${qkv(0)}.key.bias`]: _, ...rest } = params;
    await writeFused(directory, rest);
    await assertRejects(
      async () => await loadParams(await openModel(directory, { qkv: "fused" }), key(0)),
      OneloraError,
      `vit.${qkv(0)}.qkv.bias`,
    );
    await writeFused(directory, { ...params, [`${qkv(0)}.key.bias`]: tf.zeros([29]) });
    await assertRejects(
      async () => await loadParams(await openModel(directory, { qkv: "fused" }), key(0)),
      OneloraError,
      name,
    );
  });
  await Deno.remove(directory, { recursive: true });
});

Deno.test("a family with one form only says so", async () => {
  const error = await assertRejects(() => openModel("llama-micro", { qkv: "fused" }), OneloraError, "one form only");
  assertEquals(error.exitCode, 2);
});
