/**
 * DiT against its own mathematics in PyTorch and diffusers' model: both layouts of files, both frequency conventions, qkv in
 * one and in three.
 *
 * @module
 */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { fileOf } from "../../dsl/files/path.ts";
import { adapt, parameterCounts } from "../../adapters/mod.ts";
import { joinMethods } from "../../adapters/spec.ts";
import { useBackend } from "../../dsl/engine/mod.ts";
import {
  apply,
  count,
  fromTensor,
  key,
  mse,
  OneloraError,
  openSafetensors,
  type Params,
  type Path,
  specs,
  unfreeze,
  writeSafetensors,
} from "../../dsl/mod.ts";
import { asConditionalDiffusion, ditPresets, loadParams, openModel, saveModel } from "../../models/mod.ts";
import { labelNames } from "../../models/config.ts";
import { readDitConfig } from "../../models/dit/config.ts";
import { gridEmbedding } from "../../dsl/ops/sinusoidal.ts";
import { available } from "../support/available.ts";
import { assertClose, fixture, gradients, withoutLeaks } from "../support/compare.ts";

const folder = (name: string) => fileOf(new URL(`../fixtures/${name}`, import.meta.url));
const layouts = ["dit-original", "dit-diffusers"] as const;

/** A gradient by the name that a model with split qkv has for it: the fixtures have fused ones. */
function wanted(expected: Params, path: Path): tf.Tensor {
  const part = /^(.*\.attn)\.([qkv])\.(weight|bias)$/.exec(path);
  if (part === null) return expected[`grad.${path}`];
  const [, owner, name, end] = part;
  return tf.split(expected[`grad.${owner}.qkv.${end}`], 3)["qkv".indexOf(name)];
}

for (const backend of await available("wasm", "cpu", "tensorflow")) {
  for (const name of layouts) {
    for (const qkv of ["fused", "split"] as const) {
      Deno.test(`${name}, qkv ${qkv}: tokens, output, loss, every gradient equal PyTorch's (${backend})`, async () => {
        await useBackend(backend);
        await withoutLeaks(async () => {
          const model = await openModel(folder(name), { qkv });
          const { params, initialised } = await loadParams(model, key(0));
          assertEquals(initialised, []);
          const layer = asConditionalDiffusion(model, model.layer);
          const expected = await fixture(`${folder(name)}/expected.safetensors`);
          const { latents, timesteps, labels, target } = expected;

          const seen = new Map<Path, tf.Tensor>();
          const tap = (path: Path, output: unknown) => seen.set(path, output as tf.Tensor);
          const output = apply(layer, params, { tap })(latents, timesteps, labels);
          for (let block = 0; expected[`hidden.${block}`] !== undefined; block++) {
            assertClose(seen.get(`blocks.${block}`)!, expected[`hidden.${block}`], 1e-5, `block ${block}`);
          }
          assertClose(output, expected.output, 1e-5, "output");

          const trained = unfreeze(() => true)(layer);
          const loss = (p: Params) => mse(apply(trained, p)(latents, timesteps, labels), target) as tf.Scalar;
          assertClose(loss(params), expected.loss, 1e-5, "loss");
          for (const [path, gradient] of Object.entries(gradients(loss, params))) {
            assertClose(gradient, wanted(expected, path), 1e-5, `gradient of ${path}`);
          }
        });
      });
    }
  }
}

Deno.test("the frequency convention matters, and is a field of config.json", async () => {
  await useBackend("wasm");
  const directory = await Deno.makeTempDir();
  await withoutLeaks(async () => {
    for (const name of layouts) {
      const model = await openModel(folder(name));
      const shift = model.config.downscale_freq_shift === 0 ? 1 : 0;
      await saveModel(model, (await loadParams(model, key(0))).params, directory);
      await Deno.writeTextFile(
        `${directory}/config.json`,
        JSON.stringify({ ...model.config, downscale_freq_shift: shift }),
      );
      const other = await openModel(directory);
      const { params } = await loadParams(other, key(0));
      const { latents, timesteps, labels, output } = await fixture(`${folder(name)}/expected.safetensors`);
      const found = apply(asConditionalDiffusion(other, other.layer), params)(latents, timesteps, labels);
      const change = tf.div(tf.norm(tf.sub(found, output)), tf.norm(output)).dataSync()[0];
      assert(change > 1e-3, `${change}`);
    }
  });
  await Deno.remove(directory, { recursive: true });
});

Deno.test("either layout is saved in diffusers' and loads again bit by bit", async () => {
  await useBackend("wasm");
  const directory = await Deno.makeTempDir();
  await withoutLeaks(async () => {
    for (const name of layouts) {
      const model = await openModel(folder(name));
      const { params } = await loadParams(model, key(0));
      await saveModel(model, params, directory);
      const again = await openModel(directory);
      assertEquals(again.config, model.config);
      const { params: reread } = await loadParams(again, key(1));
      assertEquals(Object.keys(reread).sort(), Object.keys(params).sort());
      for (const path of Object.keys(params)) assertEquals(reread[path].dataSync(), params[path].dataSync());
    }
    await using written = await openSafetensors(`${directory}/diffusion_pytorch_model.safetensors`);
    await using published = await openSafetensors(folder("dit-diffusers"));
    assertEquals([...written.names].sort(), [...published.names].sort());
    for (const each of written.names) assertEquals(await written.read(each), await published.read(each));
  });
  await Deno.remove(directory, { recursive: true });
});

Deno.test("a model of diffusers' older class is one by its norms; of other norms it is named", async () => {
  const directory = await Deno.makeTempDir();
  const original = JSON.parse(await Deno.readTextFile(`${folder("dit-diffusers")}/config.json`));
  const path = `${directory}/diffusion_pytorch_model.safetensors`;
  await Deno.copyFile(`${folder("dit-diffusers")}/diffusion_pytorch_model.safetensors`, path);
  const write = (json: unknown) => Deno.writeTextFile(`${directory}/config.json`, JSON.stringify(json));
  await useBackend("cpu");
  await withoutLeaks(async () => {
    const expected = await loadParams(await openModel(folder("dit-diffusers")), key(0));
    // As facebook/DiT-XL-2-256 has it.
    await write({ ...original, _class_name: "Transformer2DModel", cross_attention_dim: null, num_vector_embeds: null });
    const model = await openModel(directory);
    assertEquals([model.family, model.notes, model.config._class_name], ["dit", [], "Transformer2DModel"]);
    const { params } = await loadParams(model, key(0));
    for (const name of Object.keys(params)) assertEquals(params[name].dataSync(), expected.params[name].dataSync());
  });
  for (const norm_type of ["ada_norm_single", "layer_norm", undefined]) {
    await write({ ...original, _class_name: "Transformer2DModel", norm_type });
    await assertRejects(() => openModel(directory), OneloraError, "Transformer2DModel");
  }
  await Deno.remove(directory, { recursive: true });
});

Deno.test("an original file's positions are those of the model's latents, or it is another model's", async () => {
  await useBackend("cpu");
  const directory = await Deno.makeTempDir();
  const [config, weights] = ["config.json", "model.safetensors"].map((name) => `${directory}/${name}`);
  const json = JSON.parse(await Deno.readTextFile(`${folder("dit-original")}/config.json`));
  const write = (changed: Params, settings = {}) =>
    Promise.all([
      Deno.writeTextFile(config, JSON.stringify({ ...json, ...settings })),
      Promise.all(Object.entries(changed).map(async ([name, tensor]) => [name, await fromTensor(tensor)] as const))
        .then((entries) => writeSafetensors(weights, entries)),
    ]);
  const load = async () => await loadParams(await openModel(directory), key(0));
  await withoutLeaks(async () => {
    const { pos_embed: _, ...tensors } = await fixture(`${folder("dit-original")}/model.safetensors`);
    const pos_embed = tf.expandDims(
      gridEmbedding(json.sample_size / json.patch_size, json.num_attention_heads * json.attention_head_dim),
    );
    await write({ ...tensors, pos_embed });
    await load();
    // A model of larger latents has the same shapes elsewhere.
    await write({ ...tensors, pos_embed }, { sample_size: 2 * json.sample_size });
    await assertRejects(load, OneloraError, '"pos_embed": found F32 of shape [1,');
    await write({ ...tensors, pos_embed: tf.mul(pos_embed, 1.1) });
    await assertRejects(load, OneloraError, '"pos_embed": found other values');
  });
  await Deno.remove(directory, { recursive: true });
});

Deno.test("embedders that differ between blocks, missing and unexpected keys are named", async () => {
  await useBackend("cpu");
  const directory = await Deno.makeTempDir();
  await Deno.copyFile(`${folder("dit-diffusers")}/config.json`, `${directory}/config.json`);
  await withoutLeaks(async () => {
    const tensors = await fixture(`${folder("dit-diffusers")}/diffusion_pytorch_model.safetensors`);
    const copy = "transformer_blocks.1.norm1.emb.class_embedder.embedding_table.weight";
    const { "proj_out_2.bias": bias, ...rest } = tensors;
    const cases: readonly (readonly [Params, string])[] = [
      [{ ...tensors, [copy]: tf.neg(tensors[copy]) }, `"${copy}": found other values than those of`],
      [{ ...tensors, [copy]: tf.zeros([4, 15]) }, `"${copy}": found shape [4,15]`],
      [rest, '"proj_out_2.bias": found no such key'],
      [{ ...tensors, "proj_out_3.bias": bias }, '"proj_out_3.bias": found an unexpected key'],
    ];
    for (const [changed, found] of cases) {
      const entries = Object.entries(changed).map(async ([name, tensor]) => [name, await fromTensor(tensor)] as const);
      await writeSafetensors(`${directory}/diffusion_pytorch_model.safetensors`, await Promise.all(entries));
      const before = tf.memory().numTensors;
      await assertRejects(async () => await loadParams(await openModel(directory), key(0)), OneloraError, found);
      assertEquals(tf.memory().numTensors, before);
    }
  });
  await Deno.remove(directory, { recursive: true });
});

Deno.test("other classes get a fresh label table of one more row, and everything else is read", async () => {
  await useBackend("cpu");
  await withoutLeaks(async () => {
    for (const name of layouts) {
      const { params, initialised } = await loadParams(
        await openModel(folder(name), { labels: ["soup", "salad"] }),
        key(0),
      );
      assertEquals(initialised, ["y_embedder.embedding_table.weight"]);
      assertEquals(params[initialised[0]].shape[0], 3);
    }
  });
});

/** Trainable parameters with 101 classes as the paper's Table S8 has them, label table of 102 rows included. */
const counts: Readonly<Record<string, number>> = {
  "1lora": 603_680,
  lora: 864_032,
  vera: 603_822,
  mora1: 604_412,
  mora6: 596_516,
  bitfit: 603_680,
  labels: 102 * 1152,
};

Deno.test("presets have the published numbers of parameters, and methods the paper's, without allocating any", async () => {
  await useBackend("cpu");
  const before = tf.memory().numTensors;
  const totals: Readonly<Record<string, number>> = JSON.parse(await Deno.readTextFile(folder("dit-counts.json")));
  for (const [name, total] of Object.entries(totals)) {
    for (const qkv of ["fused", "split"] as const) {
      assertEquals(count(specs((await openModel(name, { qkv })).layer)), total, `${name}, qkv ${qkv}`);
    }
  }
  const { layer, headPath, joined } = await openModel("dit-xl-2", { labels: labelNames(101) });
  for (const [method, trainable] of Object.entries(counts)) {
    const adapted = adapt(joinMethods(method, joined))(layer);
    assertEquals(parameterCounts(adapted, headPath).adapter, trainable, method);
  }
  assertEquals(tf.memory().numTensors, before);
});

Deno.test("adapters go on the blocks' and the final layer's linears; embedders keep theirs", async () => {
  const { layer } = await openModel("dit-micro");
  const adapted = Object.keys(specs(adapt("1lora")(layer))).filter((path) => path.endsWith(".1lora.b"));
  const kinds = new Set(adapted.map((path) => path.replace(/^blocks\.\d+\./, "").replace(".1lora.b", "")));
  assertEquals(
    [...kinds].sort(),
    [
      "adaLN_modulation.1",
      "attn.proj",
      "attn.qkv",
      "final_layer.adaLN_modulation.1",
      "final_layer.linear",
      "mlp.fc1",
      "mlp.fc2",
    ],
  );
});

Deno.test("configurations have diffusers' defaults, and what is not known is refused by name", () => {
  assertEquals(readDitConfig({}), {
    ...ditPresets["dit-xl-2"],
    outChannels: 4,
    mlpEps: 1e-5,
    frequencyShift: 1,
    fusedQkv: false,
  });
  assertEquals(readDitConfig({ num_embeds_ada_norm: 2, id2label: { 0: "a", 1: "b" } }).labels, ["a", "b"]);
  const refused: readonly (readonly [Record<string, unknown>, string])[] = [
    [{ norm_type: "ada_norm_single" }, "norm_type"],
    [{ activation_fn: "geglu" }, "activation_fn"],
    [{ norm_elementwise_affine: true }, "norm_elementwise_affine"],
    [{ downscale_freq_shift: 2 }, "downscale_freq_shift"],
    [{ sample_size: 33 }, "sample_size"],
    [{ num_attention_heads: 1, attention_head_dim: 6 }, "attention_head_dim"],
    [{ num_layers: 1.5 }, "num_layers"],
    [{ num_embeds_ada_norm: 3, id2label: { 0: "a", 1: "b" } }, "id2label"],
  ];
  for (const [json, field] of refused) assertThrows(() => readDitConfig(json), OneloraError, `"${field}"`);
});

Deno.test("a model of another family is none for diffusion", async () => {
  const other = await openModel("llama-micro");
  const error = assertThrows(() => asConditionalDiffusion(other, other.layer), OneloraError, "a llama model");
  assertEquals(error.exitCode, 2);
});
