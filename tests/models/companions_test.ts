import { assert, assertEquals, assertRejects } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { fileOf } from "../../dsl/files/path.ts";
import { apply, key, OneloraError } from "../../dsl/mod.ts";
import { useBackend } from "../../dsl/engine/mod.ts";
import { formatPythonJson, parsePythonJson } from "../../dsl/files/python_json.ts";
import { openSafetensors } from "../../dsl/safetensors/mod.ts";
import { type Json, loadParams, openModel, openTokenizer, saveModel, type Settings } from "../../models/mod.ts";
import { generationSettings } from "../../models/companions/generation.ts";
import { pipelineSettings } from "../../models/companions/scheduler.ts";
import { specialTokensSettings, tokenizerSettings } from "../../models/companions/tokenizer.ts";
import { autoencoderSettings } from "../../models/autoencoder/settings.ts";
import { clipSettings, clipVisionSettings } from "../../models/clip/settings.ts";
import { depthAnythingSettings } from "../../models/depth_anything/settings.ts";
import { dinov2ClassifierSettings, dinov2Settings } from "../../models/dinov2/settings.ts";
import { ditSettings } from "../../models/dit/settings.ts";
import { llamaSettings } from "../../models/llama/settings.ts";
import { vitSettings } from "../../models/vit/settings.ts";
import { settingsTable } from "../../scripts/tools/settings.ts";
import { assertClose, withoutLeaks } from "../support/compare.ts";

const fixtures = fileOf(new URL("../fixtures", import.meta.url));

Deno.test("every setting of transformers' and diffusers' configurations has a treatment", async () => {
  const keys = JSON.parse(await Deno.readTextFile(`${fixtures}/companion-keys.json`));
  const tables: Readonly<Record<string, Settings>> = {
    ViTConfig: vitSettings,
    DeiTConfig: vitSettings,
    Dinov2Config: dinov2Settings,
    Dinov2WithRegistersConfig: dinov2ClassifierSettings,
    CLIPConfig: clipSettings,
    CLIPVisionConfig: clipVisionSettings,
    DepthAnythingConfig: depthAnythingSettings,
    LlamaConfig: llamaSettings,
    DiTTransformer2DModel: ditSettings,
    AutoencoderKL: autoencoderSettings,
  };
  for (const [name, table] of Object.entries(tables)) {
    assertEquals(Object.keys(keys["config.json"][name]).filter((key) => !Object.hasOwn(table, key)), [], name);
    const common = Object.keys(keys["config.json"].PreTrainedConfig);
    if (!["DiTTransformer2DModel", "AutoencoderKL"].includes(name)) {
      assertEquals(common.filter((key) => !Object.hasOwn(table, key)), [], name);
    }
  }
  const generation = Object.keys(keys["generation_config.json"].GenerationConfig);
  assertEquals(generation.filter((key) => !Object.hasOwn(generationSettings, key)), []);
  const texts: readonly [string, string, Settings][] = [
    ["tokenizer_config.json", "tokenizers", tokenizerSettings],
    ["tokenizer_config.json", "published", tokenizerSettings],
    ["special_tokens_map.json", "tokenizers", specialTokensSettings],
    ["model_index.json", "DiTPipeline", pipelineSettings],
  ];
  for (const [file, name, table] of texts) {
    assert(Object.keys(keys[file][name]).length > 4, file);
    assertEquals(Object.keys(keys[file][name]).filter((key) => !Object.hasOwn(table, key)), [], `${file}, ${name}`);
  }
});

Deno.test("settings beside a tokenizer: one that nobody knows is said, one that changes ids is refused, tokens of its own count", async () => {
  const folder = await Deno.makeTempDir();
  const base = `${fixtures}/llama-grouped`;
  for (const file of ["config.json", "model.safetensors"]) await Deno.copyFile(`${base}/${file}`, `${folder}/${file}`);
  await Deno.copyFile(`${fixtures}/tokenizer-bytes/tokenizer.json`, `${folder}/tokenizer.json`);
  const write = (file: string, json: Json) => Deno.writeTextFile(`${folder}/${file}`, JSON.stringify(json));
  await write("tokenizer_config.json", { my_own: 3, image_token: "<im>", model_max_length: 4, mine: null });
  await write("special_tokens_map.json", { eos_token: "<|endoftext|>", others: ["<a>"] });
  assertEquals((await openModel(folder)).notes, [
    'tokenizer_config.json: "my_own": no setting of a tokenizer, so ignored',
    'special_tokens_map.json: "others": no setting of a tokenizer, so ignored',
  ]);
  assertEquals((await openTokenizer(folder)).encode("<im>").length, 1);
  // Whatever the family's name.
  await Deno.copyFile(`${fixtures}/qwen2-tied/config.json`, `${folder}/config.json`);
  await Deno.remove(`${folder}/model.safetensors`);
  assertEquals((await openModel(folder)).notes.length, 2);
  await Deno.copyFile(`${base}/config.json`, `${folder}/config.json`);
  await write("tokenizer_config.json", { split_special_tokens: true });
  assertEquals((await openModel(folder)).notes, []);
  await assertRejects(() => openTokenizer(folder), OneloraError, '"split_special_tokens" of tokenizer_config.json');
  await write("added_tokens.json", { "<x>": "three" });
  await write("tokenizer_config.json", {});
  await assertRejects(() => openTokenizer(folder), OneloraError, '"<x>" of added_tokens.json');
  await Deno.remove(folder, { recursive: true });
});

Deno.test("the table of settings that users read is that of the code", async () => {
  const written = await Deno.readTextFile(new URL("../../docs/settings.md", import.meta.url));
  assertEquals(written, settingsTable());
});

Deno.test("JSON as Python writes it: NaN, Infinity, spelling of numbers", () => {
  const text = '{"a": 1.0, "b": [NaN, -Infinity, 1e-05], "c": "Infinity", "d": {"e": 0.0, "f": 12345678901234567890}}';
  const value = parsePythonJson(text) as Json;
  assertEquals(value, { a: 1, b: [NaN, -Infinity, 1e-5], c: "Infinity", d: { e: 0, f: 12345678901234567890 } });
  const again = formatPythonJson({ ...value, a: 2, g: 1 }, text);
  assertEquals(
    JSON.stringify(again.match(/\S+/g)?.join(" ")),
    JSON.stringify(
      '{ "a": 2, "b": [ NaN, -Infinity, 1e-05 ], "c": "Infinity", "d": { "e": 0.0, "f": 12345678901234567890 }, "g": 1 }',
    ),
  );
});

Deno.test("scaled rotary positions give transformers' logits", async () => {
  const { ids, cases } = JSON.parse(await Deno.readTextFile(`${fixtures}/rope.json`));
  await useBackend("cpu");
  const folder = await Deno.makeTempDir();
  const base = `${fixtures}/llama-grouped`;
  await Deno.copyFile(`${base}/model.safetensors`, `${folder}/model.safetensors`);
  const { rope_parameters: _, ...config } = JSON.parse(await Deno.readTextFile(`${base}/config.json`));
  for (const { config: change, logits } of cases) {
    await withoutLeaks(async () => {
      await Deno.writeTextFile(`${folder}/config.json`, JSON.stringify({ ...config, ...change }));
      const model = await openModel(folder);
      const { params } = await loadParams(model, key(0));
      const all = apply(model.layer, params)(tf.tensor2d([ids], undefined, "int32"));
      const last = tf.slice(tf.squeeze(all, [0]), [ids.length - 1, 0], [1, -1]);
      assertClose(tf.squeeze(last, [0]), tf.tensor1d(logits), 1e-5, JSON.stringify(change));
    });
  }
  await Deno.remove(folder, { recursive: true });
});

Deno.test("saving keeps every field, the spelling of numbers and the element type; quantised weights are refused", async () => {
  await useBackend("cpu");
  const folder = await Deno.makeTempDir();
  await withoutLeaks(async () => {
    const model = await openModel(`${fixtures}/llama-grouped`);
    const { params } = await loadParams(model, key(0));
    await saveModel(model, params, `${folder}/half`, { dtype: "BF16" });
    const text = await Deno.readTextFile(`${folder}/half/config.json`);
    const more = text.replace('"pad_token_id": null', '"pad_token_id": 0').replace(
      "{",
      '{\n  "mine": [NaN],\n  "scale": 1.0,',
    );
    await Deno.writeTextFile(`${folder}/half/config.json`, more);
    const half = await openModel(`${folder}/half`);
    assertEquals(half.notes, ['config.json: "mine", "scale": no setting of a llama, so ignored']);
    await saveModel(half, params, `${folder}/again`);
    const again = await Deno.readTextFile(`${folder}/again/config.json`);
    assertEquals(again.replace(/\s/g, ""), more.replace(/\s/g, ""));
    await using file = await openSafetensors(`${folder}/again`);
    assertEquals(new Set(file.names.map((name) => file.info(name).dtype)), new Set(["BF16"]));
    await Deno.writeTextFile(
      `${folder}/half/config.json`,
      more.replace("{", '{"quantization_config": {"quant_method": "fp8"},'),
    );
    await assertRejects(() => openModel(`${folder}/half`), OneloraError, "weights quantised by fp8");
    const windowed = more.replace("{", '{"sliding_window": 128,');
    await Deno.writeTextFile(`${folder}/half/config.json`, windowed);
    await assertRejects(() => openModel(`${folder}/half`), OneloraError, '"sliding_window"');
  });
  await Deno.remove(folder, { recursive: true });
});
