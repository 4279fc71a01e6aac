/** GGUF files in forms that are read as others, and files in parts. @module */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { OneloraError } from "../../dsl/error.ts";
import { openRanged } from "../../dsl/files/file.ts";
import { fileOf } from "../../dsl/files/path.ts";
import { key, useBackend } from "../../dsl/mod.ts";
import { dequantised } from "../../dsl/quantise.ts";
import { openSafetensors } from "../../dsl/safetensors/mod.ts";
import { openWeights } from "../../models/checkpoint/checkpoint.ts";
import { type GgufTensor, type GgufValue, writeGguf } from "../../models/gguf/file.ts";
import { readGgufHeader } from "../../models/gguf/header.ts";
import { ggufLanguage } from "../../models/gguf/language.ts";
import { packings, repacked, repackedBytes } from "../../models/gguf/repack.ts";
import { ggufVocabulary } from "../../models/gguf/vocabulary.ts";
import { loadParams, openModel } from "../../models/mod.ts";

const fixtures = fileOf(new URL("../fixtures", import.meta.url));
await useBackend("cpu");

/** Blocks that `scripts/tools/reference/blocks.py` wrote, and what they are to ggml. */
async function fixtureOf(name: string) {
  await using checkpoint = await openSafetensors(`${fixtures}/blocks.safetensors`);
  const read = async (part: string) => (await checkpoint.read(`${name.toLowerCase()}.${part}`)).data;
  return { bytes: await read("bytes") as Uint8Array<ArrayBuffer>, values: await read("values") as Float32Array };
}

for (const packing of packings) {
  Deno.test(`${packing.name} is ggml's own, number by number, as ${packing.into}`, async () => {
    const { bytes, values } = await fixtureOf(packing.name);
    const made = repacked(packing, bytes);
    const { into } = packing;
    assertEquals(made.length, values.length / packing.size * repackedBytes(packing));
    const found = into === "F32"
      ? new Float32Array(made.buffer)
      : dequantised({ form: into, shape: [8, 512], bytes: made });
    assertEquals(found, values);
  });
}

type Metadata = readonly (readonly [key: string, value: GgufValue])[];

/** What llama-micro is as a GGUF file, with a tokenizer of its own. */
async function micro(): Promise<{ readonly metadata: Metadata; readonly tensors: readonly GgufTensor[] }> {
  const model = await openModel("llama-micro");
  const { params } = await loadParams(model, key(0));
  const { metadata, tensor } = ggufLanguage(model, "f16");
  const vocabulary = await ggufVocabulary(`${fixtures}/texts/tokenizer-bytes`, 512);
  const tensors = Object.entries(params).map(([path, { shape }]) => {
    const values = params[path].dataSync<"float32">().slice();
    return tensor(path, shape, "f16", () => Promise.resolve(values));
  });
  tf.dispose(params as Record<string, tf.Tensor>);
  return { metadata: [...metadata, ...vocabulary], tensors };
}

/** Where a tensor's form stands in the bytes of a file. */
function formAt(file: Uint8Array, name: string): number {
  const wanted = new TextEncoder().encode(name);
  const at = file.findIndex((_, i) => wanted.every((byte, j) => file[i + j] === byte));
  const dimensions = new DataView(file.buffer).getUint32(at + wanted.length, true);
  return at + wanted.length + 4 + 8 * dimensions;
}

Deno.test("a tensor of another form than engines have is its numbers, and blocks to whoever saves the model", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const { metadata, tensors } = await micro();
    const path = `${folder}/model.gguf`;
    await writeGguf(path, metadata, tensors);
    const name = "blk.1.ffn_up.weight";
    const before = await openRanged(path);
    const { shape, at } = (await readGgufHeader(before).finally(before.close)).tensors.get(name)!;
    const file = await Deno.readFile(path);
    const { bytes, values } = await fixtureOf("IQ4_NL");
    const count = shape[0] * shape[1];
    const blocks = new Uint8Array(count / 32 * 18).map((_, i) => bytes[i % bytes.length]);
    file.set(blocks, at);
    new DataView(file.buffer).setUint32(formAt(file, name), 20, true);
    await Deno.writeFile(path, file);
    {
      await using checkpoint = await openWeights(path);
      const published = "model.layers.1.mlp.up_proj.weight";
      assertEquals([checkpoint.formOf!(published), checkpoint.isPacked!(published)], ["q8_0", true]);
      assertEquals(checkpoint.info(published).bytes, count / 32 * 34);
      const found = (await checkpoint.read(published)).data as Float32Array;
      assertEquals(found, new Float32Array(count).map((_, i) => values[i % values.length]));
    }
    new DataView(file.buffer).setUint32(formAt(file, name), 23, true);
    await Deno.writeFile(path, file);
    const { message } = await assertRejects(() => openModel(path), OneloraError);
    assertStringIncludes(message, `tensor "${name}" in IQ4_XS`);
    assertStringIncludes(message, "Q6_K, Q2_K, Q3_K, IQ4_NL");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a file in parts is the model that the whole file is; parts that are missing or others' are refused", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const { metadata, tensors } = await micro();
    await writeGguf(`${folder}/whole.gguf`, metadata, tensors);
    const third = Math.ceil(tensors.length / 3);
    const at = (part: number) => `${folder}/parts-0000${part}-of-00003.gguf`;
    const write = async (part: number, change: Readonly<Record<string, number>> = {}) => {
      const numbers = { "split.no": part - 1, "split.count": 3, "split.tensors.count": tensors.length, ...change };
      const split = Object.entries(numbers).map(([name, uint32]): Metadata[number] => [name, { uint32 }]);
      await writeGguf(
        at(part),
        [...part === 1 ? metadata : [], ...split],
        tensors.slice((part - 1) * third, part * third),
      );
    };
    for (const part of [1, 2, 3]) await write(part);
    const read = async (name: string) => {
      const { params } = await loadParams(await openModel(name), key(0));
      const values = Object.entries(params).map(([path, tensor]) => [path, tensor.dataSync().slice()] as const);
      tf.dispose(params as Record<string, tf.Tensor>);
      return values;
    };
    const whole = await read(`${folder}/whole.gguf`);
    assert(whole.length > 20);
    assertEquals(await read(at(1)), whole);
    const refused = async (name: string, part: string) => {
      assertStringIncludes((await assertRejects(() => openModel(name), OneloraError)).message, part);
    };
    await refused(at(2), "found part 2 of 3; allowed: the first, parts-00001-of-00003.gguf");
    await Deno.copyFile(at(1), `${folder}/other.gguf`);
    await refused(`${folder}/other.gguf`, "one of 3 parts by another name");
    await write(2, { "split.no": 2 });
    await refused(at(1), "split.no 2 and split.count 3; allowed: 1 and 3");
    await write(2);
    await write(1, { "split.tensors.count": tensors.length + 1 });
    await refused(at(1), `${tensors.length} tensors in 3 parts; allowed: ${tensors.length + 1}`);
    await write(1);
    await Deno.copyFile(at(2), at(3));
    await refused(at(1), "split.no 1 and split.count 3; allowed: 2 and 3");
    await Deno.remove(at(3));
    await refused(at(1), "parts-00003-of-00003.gguf");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
