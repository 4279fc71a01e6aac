import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { fileOf } from "../../dsl/files/path.ts";
import { saveAdapter } from "../../adapters/mod.ts";
import { apply, isTrainable, key, OneloraError, useBackend } from "../../dsl/mod.ts";
import { loadParams, openModel, saveModel } from "../../models/mod.ts";
import { mergeOpened, openAdapted, openTrained } from "../../tasks/mod.ts";
import { mergeAway } from "../../tasks/open.ts";
import { assertClose, fixture } from "../support/compare.ts";
import { withFolder } from "../support/data_folder.ts";

const vit = fileOf(new URL("../fixtures/vit-rgb", import.meta.url));
const pets = ["cat", "dog", "emu"];

/** Runs a test body with a folder of its own, and asserts that it leaves no tensors behind. */
async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  await useBackend("wasm");
  const before = tf.memory().numTensors;
  const folder = await Deno.makeTempDir();
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  assertEquals(tf.memory().numTensors, before);
}

/** Saves an adapter as a run does, every trained value moved, and returns the adapted model's logits. */
async function saved(base: string, adapter: string, folder: string, labels?: readonly string[]): Promise<tf.Tensor> {
  const run = { model: base, adapter, rank: 2, target: "all-linear" };
  const { model, layer } = await openAdapted(run, pets);
  const { params: initial } = await loadParams(model, key(0), layer);
  const trained = isTrainable(layer);
  const move = (tensor: tf.Tensor, seed: number) =>
    tf.tidy(() => tf.add(tensor, tf.randomNormal(tensor.shape, 0, 0.05, "float32", seed)));
  const params = Object.fromEntries(
    Object.entries(initial).map(([path, tensor], i) => [path, trained(path) ? move(tensor, i + 1) : tf.clone(tensor)]),
  );
  await saveAdapter(folder, { layer, params, spec: run, names: model.modules, labels, baseModel: base });
  const { pixel_values, ...others } = await fixture(`${vit}/expected.safetensors`);
  const logits = tf.tidy(() => apply(layer, params)(pixel_values));
  tf.dispose([initial, params, others, { pixel_values }] as tf.TensorContainer[]);
  return logits;
}

async function logitsOf({ model, layer, params }: Parameters<typeof mergeOpened>[0]): Promise<tf.Tensor> {
  const { pixel_values, ...others } = await fixture(`${vit}/expected.safetensors`);
  assertEquals(model.family, "vit");
  const logits = tf.tidy(() => apply(layer, params)(pixel_values));
  tf.dispose([others, { pixel_values }] as tf.TensorContainer[]);
  return logits;
}

const updates = ["1lora+norms", "1lora-random", "dora", "vera", "mora6", "difffit"];
/** These leave some weights as they are, or all. */
const parts = ["bitfit", "bitfit+scale", "norms", "all"];

for (const adapter of [...updates, ...parts]) {
  Deno.test(`${adapter}: an opened adapter computes what was saved, and so does the merged folder`, () =>
    inFolder(async (folder) => {
      const expected = await saved(vit, adapter, `${folder}/adapter`, pets);
      const opened = await openTrained(vit, { adapter: `${folder}/adapter`, key: key(9) });
      assertEquals([opened.model.labels, opened.initialised], [pets, []]);
      const found = await logitsOf(opened);
      assertClose(found, expected, 1e-5, "opened");
      const merged = await mergeOpened(opened);
      await saveModel(merged.model, merged.params, `${folder}/merged`);
      const plain = await openTrained(`${folder}/merged`, { key: key(9) });
      assertEquals([plain.model.labels, plain.initialised], [pets, []]);
      const again = await logitsOf(plain);
      assertClose(again, expected, 1e-5, "merged");
      tf.dispose([plain.params, merged.params, opened.params] as tf.TensorContainer[]);

      const away = await mergeAway(await openTrained(vit, { adapter: `${folder}/adapter`, key: key(9) }));
      const once = await logitsOf({ ...away, layer: away.model.layer, initialised: [] });
      assertClose(once, expected, 1e-5, "merged as its parts give way");
      tf.dispose([expected, found, again, once, away.params] as tf.TensorContainer[]);
    }));
}

Deno.test("a head of other classes than the model's gets as many nameless ones where the folder has no names", () =>
  inFolder(async (folder) => {
    tf.dispose(await saved(vit, "1lora", folder));
    const opened = await openTrained(vit, { adapter: folder, key: key(0) });
    assertEquals(opened.model.labels, ["LABEL_0", "LABEL_1", "LABEL_2"]);
    assertEquals(opened.params["classifier.weight"].shape, [3, 30]);
    tf.dispose(opened.params as tf.NamedTensorMap);
  }));

Deno.test("biases merged into layers without become the architecture's variant with biases", () =>
  inFolder(async (folder) => {
    const published = await openTrained(vit, { key: key(0) });
    await Deno.mkdir(`${folder}/bare`);
    const config = JSON.stringify({ ...published.model.config, qkv_bias: false });
    await Deno.writeTextFile(`${folder}/bare/config.json`, config);
    const bare = await openModel(`${folder}/bare`, { labels: published.model.labels });
    await saveModel(bare, published.params, `${folder}/bare`);

    const expected = await saved(`${folder}/bare`, "bitfit", `${folder}/adapter`, pets);
    const opened = await openTrained(`${folder}/bare`, { adapter: `${folder}/adapter`, key: key(0) });
    assertEquals(opened.params["encoder.layer.0.attention.attention.query.bias"], undefined);
    const merged = await mergeOpened(opened);
    assertEquals(merged.model.config.qkv_bias, true);
    await saveModel(merged.model, merged.params, `${folder}/merged`);
    const plain = await openTrained(`${folder}/merged`, { key: key(0) });
    const found = await logitsOf(plain);
    assertClose(found, expected, 1e-5, "merged");
    tf.dispose([published.params, opened.params, merged.params, plain.params, expected, found] as tf.TensorContainer[]);
  }));

Deno.test("an adapter of another model, and none at all, are refused without a tensor left", () =>
  inFolder(async (folder) => {
    tf.dispose(await saved(vit, "1lora", folder));
    const other = fileOf(new URL("../fixtures/vit-grey", import.meta.url));
    await assertRejects(() => openTrained(other, { adapter: folder, key: key(0) }), OneloraError, "shape");
    await assertRejects(() => openTrained(vit, { adapter: `${folder}/none`, key: key(0) }), OneloraError, "none");
  }));

Deno.test("what is no adapter's folder is refused, with what of adapters lies there", async () => {
  const refusal = async (files: Readonly<Record<string, string>>, place = "") =>
    await withFolder({ "readme.md": "", ...files }, async (folder) => {
      const adapter = `${folder}${place}`;
      return (await assertRejects(() => openTrained("vit-micro", { key: key(0), adapter }), OneloraError)).message;
    });
  assertStringIncludes(await refusal({}), "found no adapter_config.json there; allowed: the folder of one adapter");
  const several = { "one/adapter_config.json": "{}", "two/adapter_config.json": "{}" };
  assertStringIncludes(await refusal(several), "there, but adapters in its folders one, two; allowed");
  const alone = { "pytorch_lora_weights.safetensors": "" };
  const found = "but pytorch_lora_weights.safetensors, weights that do not say what they adapt; allowed";
  assertStringIncludes(await refusal(alone), found);
  assertStringIncludes(await refusal(alone, "/pytorch_lora_weights.safetensors"), "there: it is a file; allowed");
});
