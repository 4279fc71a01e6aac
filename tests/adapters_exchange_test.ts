/**
 * Adapter folders: what is written is read again bit for bit, PEFT's folders give PEFT's logits, and what is wrong with a
 * folder is named.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import {
  adapt,
  type AdapterSpec,
  loadAdapter,
  readAdapterConfig,
  readAdapterParams,
  saveAdapter,
  type SaveAdapterOptions,
} from "../adapters/mod.ts";
import {
  apply,
  type DType,
  fromTensor,
  init,
  isTrainable,
  key,
  type Layer,
  type NamedSource,
  OneloraError,
  openSafetensors,
  type Params,
  specs,
  useBackend,
  writeSafetensors,
} from "../dsl/mod.ts";
import { loadParams, type Model, openModel } from "../models/mod.ts";
import { methods } from "./adapter_methods.ts";
import { assertClose, fixture, withoutLeaks } from "./compare.ts";

const root = new URL("fixtures", import.meta.url).pathname;
const peftFolder = (name: string) => `${root}/peft/${name}`;

interface Adapted {
  readonly model: Model;
  readonly layer: Layer;
  readonly params: Params;
}

/** The adapted ViT of the fixtures, trained parameters at values of their own. */
async function adapted(spec: AdapterSpec, over?: Params): Promise<Adapted> {
  const model = await openModel(`${root}/vit-rgb`);
  const { params: base } = await loadParams(model, key(0));
  const layer = adapt(`${spec.adapter}+head`, spec)(model.layer);
  const params = init(layer, key(0), { ...base, ...over });
  if (over !== undefined) return { model, layer, params };
  const trained = isTrainable(layer);
  const moved = Object.entries(params).map(([path, tensor], i) =>
    [path, trained(path) ? tf.add(tensor, tf.randomNormal(tensor.shape, 0, 0.1, "float32", i)) : tensor] as const
  );
  return { model, layer, params: Object.fromEntries(moved) };
}

function saving({ model, layer, params }: Adapted, spec: AdapterSpec): SaveAdapterOptions {
  return { layer, params, spec, names: model.modules, baseModel: "vit-rgb" };
}

const pixels = async () => (await fixture(`${root}/vit-rgb/expected.safetensors`)).pixel_values;

async function withFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await useBackend("cpu");
    await withoutLeaks(() => body(folder));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const readJson = async (folder: string) => JSON.parse(await Deno.readTextFile(`${folder}/adapter_config.json`));
const keysOf = async (folder: string) => {
  await using file = await openSafetensors(`${folder}/adapter_model.safetensors`);
  return [...file.names].sort();
};

/** The base model with an adapter folder on it. */
async function loaded(folder: string): Promise<Adapted & { readonly read: Params }> {
  const model = await openModel(`${root}/vit-rgb`);
  const { params: base } = await loadParams(model, key(0));
  const { layer, params: read } = await loadAdapter(folder, model.layer, model.modules);
  return { model, layer, read, params: init(layer, key(1), { ...base, ...read }) };
}

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
  for (const name of ["lora", "rslora", "dora", "vera", "miss", "lora-qkv"]) {
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
        if (field === "target_modules" || field === "task_type") continue;
        assertEquals(value, theirConfig[field], `${name}: ${field}`);
      }
    });
  }
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
    const logits = (each: Adapted) => apply(each.layer, each.params)(images) as tf.Tensor;
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

Deno.test("settings of PEFT that are not known are named; all others are ignored", async () => {
  const wrong: Readonly<Record<string, unknown>> = {
    peft_type: "LOHA",
    fan_in_fan_out: true,
    bias: "all",
    lora_bias: true,
    rank_pattern: { q_proj: 4 },
    alpha_pattern: { q_proj: 4 },
    layers_to_transform: 0,
    layer_replication: [[0, 2]],
    target_parameters: ["weight"],
    use_qalora: true,
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
    await assertNames(folder, `"r"`, "1LoRA");
    await altered(folder, { init_weights: "bat" }, undefined, "miss");
    await assertNames(folder, `"init_weights"`, "bat");
    await altered(folder, { target_modules: "(" });
    await assertNames(folder, `"target_modules"`, "regular expression");
    await altered(folder, { megatron_core: "other", lora_dropout: 0.5, unheard_of: { x: [1] } });
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
