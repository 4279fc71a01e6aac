/**
 * Adapter folders that are changed, broken or foreign: whatever is wrong is named.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { adapt, loadAdapter, readAdapterConfig, saveAdapter } from "../../adapters/mod.ts";
import { readAdapterParams } from "../../adapters/exchange/load.ts";
import { type DType, fromTensor, type NamedSource, OneloraError, writeSafetensors } from "../../dsl/mod.ts";
import { openModel } from "../../models/mod.ts";
import { adapted, loaded, peftFolder, readJson, root, saving, withFolder } from "../support/adapter_folders.ts";
import { fixture } from "../support/compare.ts";

/** PEFT's LoRA folder with its configuration and tensors changed. */
async function altered(
  folder: string,
  config: Readonly<Record<string, unknown>>,
  change: (tensors: Map<string, NamedSource[1]>) => void = () => {},
  source: string = "lora",
): Promise<void> {
  const tensors = new Map<string, NamedSource[1]>();
  for (const [key, tensor] of Object.entries(await fixture(`${peftFolder(source)}/adapter_model.safetensors`))) {
    tensors.set(key, await fromTensor(tensor));
  }
  change(tensors);
  await writeSafetensors(`${folder}/adapter_model.safetensors`, tensors);
  const json = { ...await readJson(peftFolder(source)), ...config };
  await Deno.writeTextFile(`${folder}/adapter_config.json`, JSON.stringify(json));
}

async function assertNames(folder: string, ...named: readonly string[]): Promise<void> {
  const model = await openModel(`${root}/vit-rgb`);
  const error = await assertRejects(() => loadAdapter(folder, model.layer, model.modules), OneloraError);
  for (const each of named) assert(error.message.includes(each), `${each}: ${error.message}`);
  assert(!error.message.includes("\n"), error.message);
}

const tensor = (dtype: DType, shape: readonly number[]): NamedSource[1] => ({
  dtype,
  shape,
  data: dtype === "F32" ? new Float32Array(shape[0] * shape[1]) : new Int32Array(shape[0] * shape[1]),
});

Deno.test("missing, unexpected, misshapen and contradicting tensors are named", async () => {
  const query = "base_model.model.vit.layers.0.attention.q_proj.lora_A.weight";
  const classic = "base_model.model.vit.encoder.layer.0.attention.attention.query.lora_A.weight";
  const changes: readonly (readonly [string, readonly string[], (tensors: Map<string, NamedSource[1]>) => void])[] = [
    ["missing", [query, "[2,30]"], (tensors) => tensors.delete(query)],
    [
      "missing head",
      ["base_model.model.classifier.bias"],
      (tensors) => tensors.delete("base_model.model.classifier.bias"),
    ],
    ["unexpected", [`${query}s`, query], (tensors) => tensors.set(`${query}s`, tensor("F32", [2, 30]))],
    [
      "not PEFT's prefix",
      ["vit.layernorm.bias"],
      (tensors) => tensors.set("vit.layernorm.bias", tensor("F32", [1, 30])),
    ],
    ["untrained", ["vit.layernorm.bias"], (tensors) => {
      tensors.set("base_model.model.vit.layernorm.bias", tensor("F32", [1, 30]));
    }],
    ["misshapen", [query, "[30,2]", "[2,30]"], (tensors) => tensors.set(query, tensor("F32", [30, 2]))],
    ["integers", [query, "I32"], (tensors) => tensors.set(query, tensor("I32", [2, 30]))],
    ["two names, two values", [classic, query], (tensors) => tensors.set(classic, tensor("F32", [2, 30]))],
  ];
  for (const [what, named, change] of changes) {
    await withFolder(async (folder) => {
      await altered(folder, {}, change);
      try {
        await assertNames(folder, ...named);
      } catch (error) {
        throw new Error(what, { cause: error });
      }
    });
  }
});

Deno.test("settings of PEFT that are not known are named; what changes nothing is overlooked", async () => {
  const wrong: Readonly<Record<string, unknown>> = {
    peft_type: "LOHA",
    fan_in_fan_out: true,
    bias: "all",
    layers_to_transform: "0",
    layers_pattern: "layers",
    rank_pattern: { q_proj: 1.5 },
    alpha_pattern: [4],
    layer_replication: [[0, 2]],
    target_parameters: ["weight"],
    use_qalora: true,
    ensure_weight_tying: true,
    megatron_config: { x: 1 },
    unheard_of: { x: [1] },
    init_lora_weights: "pissa",
    r: 0,
    lora_alpha: "8",
    use_dora: 1,
    target_modules: ["nowhere"],
    exclude_modules: [7],
    modules_to_save: "classifier",
  };
  await withFolder(async (folder) => {
    for (const [field, value] of Object.entries(wrong)) {
      await altered(folder, { [field]: value });
      await assertNames(folder, `"${field}"`, JSON.stringify(value), `${folder}/adapter_config.json`);
    }
    await altered(folder, { r: 2 }, undefined, "miss");
    await assertNames(folder, "miss_block", "[2,30]");
    await altered(folder, { r: 0 }, undefined, "miss");
    await assertNames(folder, `"r"`, "a positive integer");
    await altered(folder, { init_weights: "bat" }, undefined, "miss");
    await assertNames(folder, `"init_weights"`, "bat");
    await altered(folder, { modules_to_save: ["layernorm"] });
    await assertNames(folder, "classifier.bias");
    await altered(folder, { modules_to_save: ["classifier", "proj"] });
    await assertNames(folder, `"modules_to_save"`, "proj");
    await altered(folder, { target_modules: "(" });
    await assertNames(folder, `"target_modules"`, "regular expression");
    for (const bad of ["(a)\\1", ".*(?>q)_proj", "q_proj(?i)"]) {
      await altered(folder, { target_modules: bad });
      await assertNames(folder, `"target_modules"`, "Python's", "backtracking");
    }
    await altered(folder, { megatron_core: "other", lora_dropout: 0.5, unheard_of: null, not_used: false });
    await loaded(folder);
  });
});

Deno.test("targets may be all-linear, a regular expression, and have exclusions", async () => {
  const only = (kept: RegExp) => (tensors: Map<string, NamedSource[1]>) => {
    for (const key of [...tensors.keys()]) if (!kept.test(key)) tensors.delete(key);
  };
  const cases: readonly (readonly [Readonly<Record<string, unknown>>, RegExp, string])[] = [
    [{ target_modules: "all-linear" }, /./, "all-linear"],
    [{ target_modules: String.raw`.*\.attention\.[qkv]_proj` }, /[qkv]_proj|classifier/, "qkv"],
    [{ exclude_modules: ["o_proj", "fc1", "mlp.fc2"] }, /[qkv]_proj|classifier/, "qkv"],
    [{ exclude_modules: String.raw`vit\.layers\.\d\.(mlp|attention\.o).*` }, /[qkv]_proj|classifier/, "qkv"],
    [{ target_modules: ["0.mlp.fc1"] }, /0.mlp.fc1|classifier/, "encoder.layer.0.intermediate.dense"],
  ];
  for (const [fields, kept, target] of cases) {
    await withFolder(async (folder) => {
      await altered(folder, fields, only(kept));
      const { model } = await loaded(folder);
      assertEquals((await readAdapterConfig(folder, model.layer, model.modules)).target, target);
    });
  }
});

Deno.test("an own configuration is checked like any other", async () => {
  await withFolder(async (folder) => {
    const spec = { adapter: "scale" };
    await saveAdapter(folder, saving(await adapted(spec), spec));
    const own = await readJson(folder);
    const wrong: Readonly<Record<string, readonly unknown[]>> = {
      version: [2, null],
      adapter: [7, null, "scal"],
      rank: ["1"],
      target: [1, "nowhere"],
    };
    for (const [field, values] of Object.entries(wrong)) {
      for (const value of values) {
        await Deno.writeTextFile(`${folder}/adapter_config.json`, JSON.stringify({ ...own, [field]: value }));
        await assertNames(folder, field, typeof value === "string" ? value : "");
      }
    }
    for (
      const text of ["", "[]", "null", '{"peft_type": "LORA"', "\u0000"]
    ) {
      await Deno.writeTextFile(`${folder}/adapter_config.json`, text);
      await assertNames(folder, "adapter_config.json");
    }
  });
});

Deno.test("truncated and absent files are errors, not crashes", async () => {
  await withFolder(async (folder) => {
    await assertNames(folder, "adapter_config.json");
    await Deno.copyFile(`${peftFolder("lora")}/adapter_config.json`, `${folder}/adapter_config.json`);
    await assertNames(folder, "adapter_model.safetensors");
    const bytes = await Deno.readFile(`${peftFolder("lora")}/adapter_model.safetensors`);
    for (const length of [0, 7, 8, 100, bytes.length - 1]) {
      await Deno.writeFile(`${folder}/adapter_model.safetensors`, bytes.subarray(0, length));
      await assertNames(folder, "adapter_model.safetensors");
    }
  });
});

Deno.test("a folder that cannot be written, and parameters that are not there, are named", async () => {
  await withFolder(async (folder) => {
    const spec = { adapter: "1lora" };
    const source = await adapted(spec);
    await Deno.writeTextFile(`${folder}/file`, "");
    const below = `${folder}/file/adapter`;
    await assertRejects(() => saveAdapter(below, saving(source, spec)), OneloraError, below);
    const path = "classifier.bias";
    const { [path]: _, ...rest } = source.params;
    await assertRejects(() => saveAdapter(folder, saving({ ...source, params: rest }, spec)), OneloraError, path);
    const bent = { ...rest, [path]: tf.zeros([7]) };
    await assertRejects(() => saveAdapter(folder, saving({ ...source, params: bent }, spec)), OneloraError, "[7]");
    assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name), ["file"]);
    await saveAdapter(folder, saving(source, spec));
    const elsewhere = adapt("1lora", { target: "qkv" })(source.model.layer);
    await assertRejects(() => readAdapterParams(folder, elsewhere, source.model.modules), OneloraError, "classifier");
  });
});

Deno.test("configurations as Python and Windows write them: NaN, a byte order mark, UTF-16", async () => {
  await withFolder(async (folder) => {
    await altered(folder, { peft_version: 0 });
    const path = `${folder}/adapter_config.json`;
    const text = (await Deno.readTextFile(path)).replace(/"peft_version": ?0/, '"peft_version": NaN');
    assert(text.includes("NaN"));
    const marked = `\uFEFF${text}`;
    const utf16 = new Uint8Array(Uint16Array.from(marked, (each) => each.charCodeAt(0)).buffer);
    const model = await openModel(`${root}/vit-rgb`);
    for (const bytes of [new TextEncoder().encode(marked), utf16]) {
      await Deno.writeFile(path, bytes);
      assertEquals((await readAdapterConfig(folder, model.layer, model.modules)).layout, "LORA");
    }
  });
});
