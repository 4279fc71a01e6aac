/**
 * Adapter folders: what is written is read again bit for bit, and PEFT's folders give PEFT's logits.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import type { Tensor } from "@tensorflow/tfjs-core";
import { adapt, loadAdapter, readAdapterConfig, saveAdapter } from "../../adapters/mod.ts";
import { apply, init, key, OneloraError, openSafetensors, specs, useBackend } from "../../dsl/mod.ts";
import { openModel } from "../../models/mod.ts";
import {
  type Adapted,
  adapted,
  loaded,
  peftFolder,
  pixels,
  readJson,
  root,
  saving,
  withFolder,
} from "../support/adapter_folders.ts";
import { methods } from "../support/adapter_methods.ts";
import { assertClose, fixture, withoutLeaks } from "../support/compare.ts";

const keysOf = async (folder: string) => {
  await using file = await openSafetensors(`${folder}/adapter_model.safetensors`);
  return [...file.names].sort();
};

for (const [name, adapter] of Object.entries(methods)) {
  Deno.test(`${name}: saved and loaded, parameters and logits are the same bits`, async () => {
    await withFolder(async (folder) => {
      const spec = { adapter };
      const before = await adapted(spec, await fixture(`${root}/adapters/${name}.safetensors`, "point."));
      await saveAdapter(folder, saving(before, spec));
      const after = await loaded(folder);
      const [written, declared] = [specs(before.layer), specs(after.layer)];
      assertEquals(Object.keys(declared), Object.keys(written));
      for (const path of Object.keys(written)) {
        assertEquals(declared[path].trainable, written[path].trainable, path);
        assertEquals(after.params[path].dataSync(), before.params[path].dataSync(), path);
      }
      const images = await pixels();
      const logits = (each: Adapted) => apply(each.layer, each.params)(images).dataSync();
      assertEquals(logits(after), logits(before));
    });
  });
}

Deno.test("a file holds what training changes and random projections, not what the base weights give", async () => {
  await withFolder(async (folder) => {
    const held: readonly (readonly [string, readonly string[], number])[] = [
      ["1lora", ["MISS"], 12 * 2 + 2],
      ["1lora-random", ["ONELORA"], 12 * 2 + 2],
      ["dora:rank=2", ["LORA"], 12 * 3 * 2 + 2],
      ["vera", ["VERA"], 12 * 2 * 2 + 2 + 2],
      ["norms", ["ONELORA"], 2 * 5 + 2],
      ["1lora+bias", ["ONELORA"], 12 * 2 + 2],
    ];
    for (const [adapter, [layout], tensors] of held) {
      const spec = { adapter };
      await saveAdapter(folder, saving(await adapted(spec), spec));
      assertEquals([(await readJson(folder)).peft_type, (await keysOf(folder)).length], [layout, tensors], adapter);
    }
  });
});

Deno.test("every folder of PEFT gives PEFT's logits", async () => {
  const expected: Readonly<Record<string, readonly unknown[]>> = {
    lora: ["lora+head", 2, 8, "all-linear"],
    "lora-published-names": ["lora+head", 2, 8, "all-linear"],
    "lora-qkv": ["lora+head", 1, 2, "qkv"],
    rslora: ["rslora+head", 4, 8, "all-linear"],
    dora: ["dora+head", 2, 8, "all-linear"],
    vera: ["vera+head", 3, undefined, "all-linear"],
    miss: ["1lora+head", undefined, undefined, "all-linear"],
    ia3: [
      "ia3:feedforward={encoder.layer.0.output.dense,encoder.layer.1.output.dense}+head",
      undefined,
      undefined,
      "all-linear",
    ],
  };
  const folders = [...Deno.readDirSync(`${root}/peft`)].map(({ name }) => name).sort();
  assertEquals(Object.keys(expected).sort(), folders);
  for (const name of folders) {
    for (const backend of ["wasm", "cpu"] as const) {
      await useBackend(backend);
      await withoutLeaks(async () => {
        const { model, layer, params } = await loaded(peftFolder(name));
        const { adapter, rank, alpha, target } = await readAdapterConfig(peftFolder(name), model.layer, model.modules);
        assertEquals([adapter, rank, alpha, target], expected[name]);
        const { logits } = await fixture(`${peftFolder(name)}/expected.safetensors`);
        assertClose(apply(layer, params)(await pixels()), logits, 1e-5, name);
      });
    }
  }
});

Deno.test("a folder of PEFT, saved again, holds PEFT's tensors under PEFT's keys", async () => {
  for (const name of ["lora", "rslora", "dora", "vera", "miss", "lora-qkv", "ia3"]) {
    await withFolder(async (folder) => {
      const source = await loaded(peftFolder(name));
      const config = await readAdapterConfig(peftFolder(name), source.model.layer, source.model.modules);
      await saveAdapter(folder, saving(source, config));
      const file = (at: string) => fixture(`${at}/adapter_model.safetensors`);
      const [theirs, ours] = [await file(peftFolder(name)), await file(folder)];
      for (const [key, tensor] of Object.entries(theirs)) {
        assertEquals([ours[key]?.shape, ours[key]?.dataSync()], [tensor.shape, tensor.dataSync()], `${name}: ${key}`);
      }
      const added = Object.keys(ours).filter((key) => theirs[key] === undefined);
      assert(added.every((key) => key.startsWith("base_model.model.vit.encoder.layer.")), `${name}: ${added}`);
      const [theirConfig, ourConfig] = [await readJson(peftFolder(name)), await readJson(folder)];
      for (const [field, value] of Object.entries(ourConfig)) {
        if (["target_modules", "feedforward_modules", "task_type"].includes(field)) continue;
        assertEquals(value, theirConfig[field], `${name}: ${field}`);
      }
    });
  }
});

Deno.test("MiSS of rank r has the configuration that PEFT writes, but for r", async () => {
  await withFolder(async (folder) => {
    const spec = { adapter: "miss", rank: 3 };
    await saveAdapter(folder, saving(await adapted(spec), spec));
    const [ours, theirs] = [await readJson(folder), await readJson(peftFolder("miss"))];
    const { target_modules: _, task_type: _type, base_model_name_or_path: _base, r, ...fields } = ours;
    assertEquals([r, ours.peft_type, Object.keys(fields).length > 6], [3, "MISS", true]);
    for (const [field, value] of Object.entries(fields)) assertEquals(value, theirs[field], field);
  });
});

Deno.test("the configuration has sorted keys and each name a target has had", async () => {
  await withFolder(async (folder) => {
    const spec = { adapter: "rslora", rank: 2, alpha: 4 };
    await saveAdapter(`${folder}/made/on/demand`, saving(await adapted(spec), spec));
    const text = await Deno.readTextFile(`${folder}/made/on/demand/adapter_config.json`);
    const config = JSON.parse(text);
    assertEquals(Object.keys(config), Object.keys(config).sort());
    assertEquals(text, `${JSON.stringify(config, null, 2)}\n`);
    const { r, lora_alpha, use_rslora, use_dora, modules_to_save, target_modules, base_model_name_or_path } = config;
    assertEquals([r, lora_alpha, use_rslora, use_dora, modules_to_save], [2, 4, true, false, ["classifier"]]);
    const targets = "dense fc1 fc2 k_proj key o_proj q_proj query v_proj value".split(" ");
    assertEquals([target_modules, base_model_name_or_path], [targets, "vit-rgb"]);
    await using file = await openSafetensors(`${folder}/made/on/demand/adapter_model.safetensors`);
    assertEquals(file.metadata.format, "pt");
    assertEquals(JSON.parse(file.metadata.onelora), { version: 1, adapter: "rslora+head", rank: 2, alpha: 4 });
    const left = [...Deno.readDirSync(`${folder}/made/on/demand`)].map(({ name }) => name).sort();
    assertEquals(left, ["adapter_config.json", "adapter_model.safetensors"]);
  });
});

Deno.test("targets round-trip: whole names where a last segment would catch too much", async () => {
  const cases: readonly (readonly [string, string, readonly string[]])[] = [
    ["qkv", "qkv", "k_proj key q_proj query v_proj value".split(" ")],
    ["**.attention.query", "", ["q_proj", "query"]],
    [
      "encoder.layer.0.**.query",
      "encoder.layer.0.attention.attention.query",
      ["vit.encoder.layer.0.attention.attention.query", "vit.layers.0.attention.q_proj"],
    ],
    ["intermediate.dense", "", [
      "fc1",
      "vit.encoder.layer.0.intermediate.dense",
      "vit.encoder.layer.1.intermediate.dense",
    ]],
    ["classifier,value", "", ["classifier", "v_proj", "value"]],
  ];
  for (const [target, again, modules] of cases) {
    await withFolder(async (folder) => {
      // Without the head: PEFT does not adapt what it saves whole.
      const model = await openModel(`${root}/vit-rgb`);
      const spec = { adapter: "vera", rank: 2, target };
      const layer = adapt(spec.adapter, spec)(model.layer);
      const params = init(layer, key(0));
      await saveAdapter(folder, saving({ model, layer, params }, spec));
      const config = await readJson(folder);
      assertEquals([config.target_modules, config.modules_to_save], [modules, null], target);
      const after = await loadAdapter(folder, model.layer, model.modules);
      assertEquals(Object.keys(specs(after.layer)), Object.keys(specs(layer)), target);
      if (again !== "") assertEquals(after.config.target, again);
    });
  }
});

Deno.test("a head that is both adapted and trained is kept in this package's own layout", async () => {
  await withFolder(async (folder) => {
    const spec = { adapter: "lora", target: "classifier" };
    const before = await adapted(spec);
    await saveAdapter(folder, saving(before, spec));
    assertEquals((await readJson(folder)).peft_type, "ONELORA");
    const after = await loaded(folder);
    const read = Object.keys(after.read).sort();
    assertEquals(
      read,
      ["A", "B"].map((name) => `classifier.lora.${name}`).concat("classifier.weight", "classifier.bias").sort(),
    );
    for (const path of read) assertEquals(after.read[path].dataSync(), before.params[path].dataSync(), path);
  });
});

Deno.test("1LoRA saved as rank-one LoRA computes the same", async () => {
  await withFolder(async (folder) => {
    const spec = { adapter: "1lora" };
    const before = await adapted(spec);
    await saveAdapter(folder, { ...saving(before, spec), as: "lora" });
    const { peft_type, r, lora_alpha, use_dora, use_rslora } = await readJson(folder);
    assertEquals([peft_type, r, lora_alpha, use_dora, use_rslora], ["LORA", 1, 1, false, false]);
    const after = await loaded(folder);
    const query = "encoder.layer.0.attention.attention.query";
    assertEquals(after.params[`${query}.lora.A`].dataSync(), new Float32Array(30).fill(1));
    assertEquals(after.params[`${query}.lora.B`].dataSync(), before.params[`${query}.1lora.b`].dataSync());
    const images = await pixels();
    const logits = (each: Adapted) => apply(each.layer, each.params)(images) as Tensor;
    assertClose(logits(after), logits(before), 1e-6, "logits");
    const random = { adapter: "1lora-random" };
    const error = await assertRejects(
      async () => saveAdapter(folder, { ...saving(await adapted(random), random), as: "lora" }),
      OneloraError,
      "1lora-random",
    );
    assertEquals(error.exitCode, 2);
  });
});

Deno.test("module names go there and back under every name", async () => {
  const model = await openModel(`${root}/vit-rgb`);
  for (const path of Object.keys(specs(model.layer))) {
    const modules = model.modules.toModules(path);
    for (const module of modules) assertEquals(model.modules.toPath(module), path);
    assertEquals(model.modules.toPath(modules[0].replace(/^vit\./, "")), path);
  }
  const modules = model.modules.toModules("encoder.layer.11.attention.output.dense");
  assertEquals(modules, ["vit.layers.11.attention.o_proj", "vit.encoder.layer.11.attention.output.dense"]);
  assertEquals(model.modules.toModules("classifier"), ["classifier"]);
});
