import { assert, assertAlmostEquals, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { fileOf } from "../../dsl/files/path.ts";
import { adapt, saveAdapter } from "../../adapters/mod.ts";
import { init, key, mapTree, OneloraError, openSafetensors, useBackend } from "../../dsl/mod.ts";
import { toFloat32 } from "../../dsl/safetensors/dtype.ts";
import { writeGguf } from "../../models/gguf/file.ts";
import { loadParams, openModel } from "../../models/mod.ts";
import { output, runTask } from "../support/command.ts";
import * as tf from "@tensorflow/tfjs-core";

const fixtures = fileOf(new URL("../fixtures", import.meta.url));

interface Tensor {
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

/** Reads what the format's description says, float32 only. */
async function readGguf(path: string) {
  const bytes = await Deno.readFile(path);
  const view = new DataView(bytes.buffer);
  let at = 0;
  const uint32 = () => view.getUint32((at += 4) - 4, true);
  const uint64 = () => Number(view.getBigUint64((at += 8) - 8, true));
  const text = () => {
    const length = uint64();
    return new TextDecoder().decode(bytes.subarray(at, at += length));
  };
  const value = (kind: number): unknown => {
    switch (kind) {
      case 4:
        return uint32();
      case 5:
        return view.getInt32((at += 4) - 4, true);
      case 6:
        return view.getFloat32((at += 4) - 4, true);
      case 7:
        return bytes[at++] === 1;
      case 8:
        return text();
      case 9: {
        const of = uint32();
        return Array.from({ length: uint64() }, () => value(of));
      }
    }
    throw new Error(`kind ${kind}`);
  };
  assertEquals(new TextDecoder().decode(bytes.subarray(0, 4)), "GGUF");
  at = 4;
  assertEquals(uint32(), 3);
  const [tensors, keys] = [uint64(), uint64()];
  const metadata = Object.fromEntries(Array.from({ length: keys }, () => [text(), value(uint32())]));
  const infos = Array.from({ length: tensors }, () => {
    const name = text();
    const shape = Array.from({ length: uint32() }, uint64).reverse();
    return { name, shape, type: uint32(), offset: uint64() };
  });
  const data = Math.ceil(at / 32) * 32;
  const found: Record<string, Tensor> = {};
  for (const { name, shape, type, offset } of infos) {
    assertEquals([type, offset % 32], [0, 0]);
    const count = shape.reduce((product, size) => product * size, 1);
    found[name] = { shape, values: new Float32Array(bytes.buffer.slice(data + offset, data + offset + 4 * count)) };
  }
  return { metadata, tensors: found };
}

/** A model's folder with a tokenizer. */
async function withTokenizer(model: string, tokenizer: string): Promise<string> {
  const folder = await Deno.makeTempDir();
  for (const name of ["config.json", "model.safetensors"]) {
    await Deno.copyFile(`${fixtures}/${model}/${name}`, `${folder}/${name}`);
  }
  const config = JSON.parse(await Deno.readTextFile(`${folder}/config.json`));
  const json = JSON.parse(await Deno.readTextFile(`${fixtures}/texts/${tokenizer}/tokenizer.json`));
  // As many tokens as the model has.
  const size = config.vocab_size;
  json.model.vocab = Object.fromEntries(Object.entries(json.model.vocab).filter(([, id]) => id as number < size));
  json.model.merges = json.model.merges.slice(0, 5);
  json.added_tokens = json.added_tokens.filter(({ id }: { readonly id: number }) => id < size);
  await Deno.writeTextFile(`${folder}/tokenizer.json`, JSON.stringify(json));
  await Deno.copyFile(`${fixtures}/texts/${tokenizer}/tokenizer_config.json`, `${folder}/tokenizer_config.json`);
  await Deno.writeTextFile(`${folder}/chat_template.jinja`, "{{ messages }}");
  return folder;
}

/** Row i of a head of llama.cpp's is this one of the head here. */
const rowOf = (i: number, size: number) => i % 2 * size / 2 + Math.floor(i / 2);

Deno.test("a model as GGUF: llama.cpp's names, order of rows and tokenizer; a Qwen2's rows stay", async () => {
  for (const [model, tokenizer] of [["llama-grouped", "tokenizer-metaspace"], ["qwen2-tied", "tokenizer-bytes"]]) {
    const folder = await withTokenizer(model, tokenizer);
    try {
      const out = `${folder}/out.gguf`;
      await output("export", "--model", folder, "--dtype", "f32", "--out", out);
      const { metadata, tensors } = await readGguf(out);
      const config = JSON.parse(await Deno.readTextFile(`${folder}/config.json`));
      const kind = config.model_type;
      assertEquals(metadata["general.architecture"], kind);
      assertEquals(metadata[`${kind}.block_count`], 2);
      assertEquals(metadata[`${kind}.attention.head_count_kv`], 2);
      assertEquals(metadata["tokenizer.ggml.model"], kind === "llama" ? "llama" : "gpt2");
      assertEquals(metadata["tokenizer.ggml.pre"], kind === "llama" ? "default" : "smollm");
      assertEquals((metadata["tokenizer.ggml.tokens"] as string[]).length, config.vocab_size);
      assertEquals(metadata["tokenizer.chat_template"], "{{ messages }}");
      assertEquals("output.weight" in tensors, kind === "llama");
      await using file = await openSafetensors(`${folder}/model.safetensors`);
      const read = async (name: string) => toFloat32(await file.read(name));
      const down = tensors["blk.1.ffn_down.weight"];
      assertEquals(down.shape, [config.hidden_size, config.intermediate_size]);
      assertEquals(down.values, await read("model.layers.1.mlp.down_proj.weight"));
      const [q, own] = [tensors["blk.0.attn_q.weight"], await read("model.layers.0.self_attn.q_proj.weight")];
      const [size, width] = [q.shape[0] / 4, q.shape[1]];
      for (let row = 0; row < q.shape[0]; row++) {
        const from = kind === "llama" ? row - row % size + rowOf(row % size, size) : row;
        assertEquals(q.values.slice(row * width, (row + 1) * width), own.slice(from * width, (from + 1) * width));
      }
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  }
});

Deno.test("1LoRA alone is LoRA of ones and b, its rows in llama.cpp's order; merged, it is in the weights", async () => {
  await useBackend("cpu");
  const folder = await withTokenizer("llama-grouped", "tokenizer-metaspace");
  try {
    const model = await openModel(folder);
    const { params: base } = await loadParams(model, key(0));
    const layer = adapt("1lora")(model.layer);
    const params = mapTree((tensor: tf.Tensor, path) =>
      path.endsWith(".1lora.b") ? tf.randomNormal(tensor.shape, 0, 1, "float32", 3) : tensor
    )(init(layer, key(0), base));
    const spec = { adapter: "1lora", target: "all-linear" };
    await saveAdapter(`${folder}/adapter`, { layer, params, spec, names: model.modules, baseModel: folder });
    const given = ["--model", folder, "--adapter", `${folder}/adapter`, "--out"];
    await output("export", ...given, `${folder}/adapter.gguf`, "--adapter-alone");
    const { metadata, tensors } = await readGguf(`${folder}/adapter.gguf`);
    assertEquals(metadata["general.type"], "adapter");
    assertEquals(metadata["adapter.lora.alpha"], 1);
    assertEquals(Object.keys(tensors).length, 28);
    const b = await params["model.layers.1.self_attn.k_proj.1lora.b"].data();
    const size = b.length / 2;
    const rows = Array.from(b, (_, row) => b[row - row % size + rowOf(row % size, size)]);
    assertEquals([...tensors["blk.1.attn_k.weight.lora_b"].values], rows);
    assert(tensors["blk.1.attn_k.weight.lora_a"].values.every((value) => value === 1));
    await output("export", ...given, `${folder}/merged.gguf`, "--dtype", "f32");
    const merged = (await readGguf(`${folder}/merged.gguf`)).tensors["blk.0.ffn_up.weight"];
    const up = await base["model.layers.0.mlp.up_proj.weight"].data();
    const bias = await params["model.layers.0.mlp.up_proj.1lora.b"].data();
    merged.values.forEach((value, i) => assertAlmostEquals(value, up[i] + bias[Math.floor(i / merged.shape[1])], 1e-6));
    const again = await runTask("export", ...given, `${folder}/merged.gguf`);
    assertEquals(again.code, 1);
    assertStringIncludes(again.err, "a file there");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a tensor that does not fill its shape leaves no file", async () => {
  const path = `${await Deno.makeTempDir()}/x.gguf`;
  const tensor = { name: "x", shape: [3], type: "f32", data: () => Promise.resolve(new Float32Array(2)) } as const;
  await assertRejects(() => writeGguf(path, [], [tensor]), OneloraError, '2 numbers of "x"');
  await assertRejects(() => Deno.stat(path), Deno.errors.NotFound);
});
