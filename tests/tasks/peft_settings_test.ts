/**
 * Adapters of PEFT whose configuration or files say more than a method and a list of modules: opened, merged, and saved
 * again, they compute what PEFT computes with them.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { fileOf } from "../../dsl/files/path.ts";
import { adapt, loadAdapter, readAdapterConfig, saveAdapter } from "../../adapters/mod.ts";
import {
  isTrainable,
  key,
  OneloraError,
  openSafetensors,
  type Params,
  useBackend,
  writeSafetensors,
} from "../../dsl/mod.ts";
import { loadParams, type Model, namedForward, openCheckpoint, openModel, saveModel } from "../../models/mod.ts";
import { mergeOpened, type OpenedModel, openTrained } from "../../tasks/mod.ts";
import { assertClose, fixture, withoutLeaks } from "../support/compare.ts";

const root = fileOf(new URL("../fixtures", import.meta.url));
const cases = [...Deno.readDirSync(`${root}/peft-settings`)]
  .flatMap(({ name: base }) =>
    [...Deno.readDirSync(`${root}/peft-settings/${base}`)].map(({ name }) => ({ base, name }))
  )
  .sort((a, b) => `${a.base}/${a.name}` < `${b.base}/${b.name}` ? -1 : 1);

const folderOf = ({ base, name }: { readonly base: string; readonly name: string }) =>
  `${root}/peft-settings/${base}/${name}`;

/** The model's output for the batch of its fixture. */
async function outputOf(base: string, { model, layer, params }: Pick<OpenedModel, "model" | "layer" | "params">) {
  const batch = await fixture(`${root}/${base}/expected.safetensors`);
  const given = Object.fromEntries(
    model.signature.inputs.filter(({ name }) => batch[name] !== undefined).map(({ name }) => [name, batch[name]]),
  );
  const output = tf.tidy(() => {
    const [[, value]] = Object.entries(namedForward(model.signature, layer, params)(given));
    const mask = given.attention_mask;
    return mask === undefined ? tf.clone(value) : tf.mul(value, tf.expandDims(mask, 2));
  });
  tf.dispose(batch as tf.NamedTensorMap);
  return output;
}

const plain = ({ model, params }: { readonly model: Model; readonly params: Params }) => ({
  model,
  params,
  layer: model.layer,
});

for (const each of cases) {
  const { base, name } = each;
  Deno.test(`${name} of PEFT on ${base} computes what PEFT computes: opened, merged, saved again`, async () => {
    await useBackend("cpu");
    const scratch = await Deno.makeTempDir();
    try {
      await withoutLeaks(async () => {
        const [[, expected]] = Object.entries(await fixture(`${folderOf(each)}/expected.safetensors`));
        const opened = await openTrained(`${root}/${base}`, { adapter: folderOf(each), key: key(0) });
        assertEquals(opened.initialised, []);
        assertClose(await outputOf(base, opened), expected, 1e-5, "opened");

        const merged = await mergeOpened(opened);
        assertClose(await outputOf(base, plain(merged)), expected, 1e-5, "merged");
        await saveModel(merged.model, merged.params, `${scratch}/merged`);
        const again = await openTrained(`${scratch}/merged`, { key: key(1) });
        assertEquals(again.initialised, []);
        assertClose(await outputOf(base, again), expected, 1e-5, "merged and read");

        const { model, layer, params } = opened;
        const config = await readAdapterConfig(folderOf(each), model.layer, model.modules);
        await saveAdapter(`${scratch}/adapter`, { layer, params, spec: config, names: model.modules, baseModel: base });
        const resaved = await openTrained(`${root}/${base}`, { adapter: `${scratch}/adapter`, key: key(2) });
        assertClose(await outputOf(base, resaved), expected, 1e-5, "saved again");
        const { peft_type } = JSON.parse(await Deno.readTextFile(`${scratch}/adapter/adapter_config.json`));
        assertEquals(peft_type, config.layout);
      });
    } finally {
      await Deno.remove(scratch, { recursive: true });
    }
  });
}

Deno.test("a weight of the model beside an adapter that differs is refused, as is one with nothing to compare it with", async () => {
  await useBackend("cpu");
  const scratch = await Deno.makeTempDir();
  try {
    const adapter = `${root}/peft-settings/llama-tied/head`;
    const named = "base_model.model.lm_head.base_layer.weight";
    await using file = await openSafetensors(`${adapter}/adapter_model.safetensors`);
    assert(file.names.includes(named));
    const model = await openModel(`${root}/llama-tied`);
    await assertRejects(() => loadAdapter(adapter, model.layer, model.modules), OneloraError, named);

    const { params } = await loadParams(model, key(0));
    const moved = { ...params, "model.embed_tokens.weight": tf.add(params["model.embed_tokens.weight"], 1e-3) };
    await saveModel(model, moved, scratch);
    const error = await assertRejects(() => openTrained(scratch, { adapter, key: key(0) }), OneloraError, named);
    assert(error.message.includes("other values than the model's own"), error.message);
  } finally {
    await Deno.remove(scratch, { recursive: true });
  }
});

Deno.test("a pickle is read by a function that is given, and refused without one", async () => {
  const model = await openModel(`${root}/llama-grouped`);
  const folder = `${root}/peft-settings/llama-grouped/pickle`;
  await assertRejects(() => loadAdapter(folder, model.layer, model.modules), OneloraError, "adapter_model.bin");
  const { params } = await loadAdapter(folder, model.layer, model.modules, { open: openCheckpoint });
  assert(Object.keys(params).includes("model.layers.0.self_attn.q_proj.lora.A"));
});

for (const method of ["lora", "dora:rank=2", "vera", "1lora", "ia3", "bitfit", "mora6"]) {
  Deno.test(`${method}+head on a tied model is saved under every name, and opens and merges as it was`, async () => {
    await useBackend("cpu");
    const scratch = await Deno.makeTempDir();
    try {
      await withoutLeaks(async () => {
        const model = await openModel(`${root}/llama-tied`);
        const spec = { adapter: `${method}+head` };
        const layer = adapt(spec.adapter)(model.layer);
        const { params: first } = await loadParams(model, key(0), layer);
        const trained = isTrainable(layer);
        const params = Object.fromEntries(
          Object.entries(first).map((
            [path, tensor],
            i,
          ) => [
            path,
            trained(path) ? tf.add(tensor, tf.randomNormal(tensor.shape, 0, 0.1, "float32", i + 1)) : tensor,
          ]),
        );
        const expected = await outputOf("llama-tied", { model, layer, params });
        const names = model.modules;
        await saveAdapter(`${scratch}/adapter`, { layer, params, spec, names, baseModel: "llama-tied" });
        await using file = await openSafetensors(`${scratch}/adapter/adapter_model.safetensors`);
        const { peft_type } = JSON.parse(await Deno.readTextFile(`${scratch}/adapter/adapter_config.json`));
        const whole = file.names.filter((name) => /(lm_head|embed_tokens)\.weight$/.test(name));
        assertEquals(whole.length, peft_type === "ONELORA" ? 1 : 2);
        const opened = await openTrained(`${root}/llama-tied`, { adapter: `${scratch}/adapter`, key: key(1) });
        assertEquals(opened.model.tied, model.tied);
        assertClose(await outputOf("llama-tied", opened), expected, 1e-6, "opened");
        const merged = await mergeOpened(opened);
        assertEquals(merged.model.tied, model.tied);
        assertClose(await outputOf("llama-tied", plain(merged)), expected, 1e-5, "merged");
      });
    } finally {
      await Deno.remove(scratch, { recursive: true });
    }
  });
}

Deno.test("a checkpoint under wrappers' names is read as one without", async () => {
  await useBackend("cpu");
  const scratch = await Deno.makeTempDir();
  try {
    const bare = await openModel(`${root}/llama-tied`);
    await using file = await openSafetensors(`${root}/llama-tied`);
    const entries = await Promise.all(
      file.names.map(async (name) =>
        [`_orig_mod.${name.replace(".self_attn", ".module.self_attn")}`, await file.read(name)] as const
      ),
    );
    await writeSafetensors(`${scratch}/model.safetensors`, entries);
    await Deno.copyFile(`${root}/llama-tied/config.json`, `${scratch}/config.json`);
    const { params } = await loadParams(bare, key(0));
    const read = await loadParams(await openModel(scratch), key(0));
    assertEquals(Object.keys(read.params), Object.keys(params));
    for (const path of Object.keys(params)) assertEquals(read.params[path].dataSync(), params[path].dataSync(), path);
  } finally {
    await Deno.remove(scratch, { recursive: true });
  }
});
