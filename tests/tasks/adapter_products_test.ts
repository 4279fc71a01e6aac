/**
 * Adapters as products: training that starts from one, several on one base, and bases that are known again.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { add, dispose, memory, type Tensor, tidy } from "@tensorflow/tfjs-core";
import { apply, key, OneloraError, useBackend } from "../../dsl/mod.ts";
import { loadParams, openModel, saveModel } from "../../models/mod.ts";
import { fineTune, load, openTrained } from "../../tasks/mod.ts";
import { pixels, root } from "../support/adapter_folders.ts";
import { assertClose, fixture, withoutLeaks } from "../support/compare.ts";
import { withFolder } from "../support/data_folder.ts";

const base = `${root}/vit-rgb`;
const product = (name: string) => `${root}/peft-products/${name}`;
const grey = (value: number) => ({ data: new Uint8Array(12 * 12).fill(value), width: 12, height: 12 });
const data = Array.from({ length: 8 }, (_, i) => ({ image: grey(i % 2 * 200 + i), label: i % 2 ? "light" : "dark" }));
const settings = { model: base, data, test: data, batchSize: 4, backend: "wasm", seed: 3 } as const;

function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  return withFolder({}, async (folder) => {
    await useBackend("wasm");
    await withoutLeaks(() => body(folder));
  });
}

for (const adapter of ["1lora", "lora", "dora", "vera", "1lora-random", "1lora+norms"]) {
  Deno.test(`${adapter}: training from an adapter starts with its output, method and parameters`, async () => {
    await inFolder(async (folder) => {
      const rank = adapter.includes("1lora") ? {} : { rank: 2 };
      using first = await fineTune({ ...settings, ...rank, adapter, lr: 0.01, steps: 4, out: `${folder}/first` });
      const images = await pixels();
      const before = apply(first.layer, first.params)(images);
      // Nothing is learned at this rate.
      using again = await fineTune({
        ...settings,
        // The adapter names it.
        model: undefined,
        from: `${folder}/first`,
        lr: 1e-30,
        steps: 1,
        seed: 9,
        weightDecay: 0,
      });
      assertEquals([again.run.adapter, again.run.rank], [adapter, rank.rank]);
      assertEquals([...apply(again.layer, again.params)(images).dataSync()], [...before.dataSync()]);
      // It has moved since.
      const { params: fresh } = await loadParams(first.model, key(3), first.layer);
      assert(Object.keys(fresh).some((path) => `${fresh[path].dataSync()}` !== `${again.params[path].dataSync()}`));
      dispose([fresh as Record<string, Tensor>, before, images]);
    });
  });
}

Deno.test("a run that started from an adapter goes on to the same bytes, and refuses when the adapter has changed", async () => {
  await inFolder(async (folder) => {
    const from = `${folder}/first/adapter`;
    (await fineTune({ ...settings, adapter: "vera", rank: 2, lr: 0.01, steps: 2, out: `${folder}/first` }))
      [Symbol.dispose]();
    using whole = await fineTune({ ...settings, from, lr: 0.01, steps: 4, schedule: "constant" });
    (await fineTune({ ...settings, from, lr: 0.01, steps: 2, schedule: "constant", out: `${folder}/run` }))
      [Symbol.dispose]();
    using resumed = await fineTune({ resume: `${folder}/run`, data, test: data, steps: 4 });
    for (const [path, tensor] of Object.entries(whole.params)) {
      assertEquals(resumed.params[path].dataSync(), tensor.dataSync(), path);
    }
    await Deno.writeTextFile(
      `${from}/adapter_config.json`,
      `${await Deno.readTextFile(`${from}/adapter_config.json`)}\n`,
    );
    await assertRejects(
      () => fineTune({ resume: `${folder}/run`, data, test: data, steps: 5 }),
      OneloraError,
      "fromSha256",
    );
  });
});

Deno.test("what does not agree with the adapter is refused by name", async () => {
  await inFolder(async (folder) => {
    const from = `${folder}/lora`;
    (await fineTune({ ...settings, adapter: "lora", rank: 2, alpha: 4, lr: 0.01, steps: 2, out: from }))
      [Symbol.dispose]();
    const refused = (message: string, options: object) =>
      assertRejects(() => fineTune({ ...settings, steps: 1, from, ...options }), OneloraError, message);
    await refused("found 1lora (rank 1); allowed: the adapter's own method, lora (alpha 4, rank 2)", {
      adapter: "1lora",
    });
    await refused("found lora (alpha 4, rank 3)", { rank: 3 });
    await refused("found lora (alpha 2, rank 2)", { alpha: 2 });
    await refused("found `target: qkv`", { target: "qkv" });
    await refused("`adapter: none`", { adapter: "none" });
    await refused("nothing/adapter_config.json", { from: `${folder}/nothing` });
    const labels = data.map(({ image }, i) => ({ image, label: `${i % 3}` }));
    await refused('tensor "base_model.model.classifier', { data: labels, test: labels });
    await refused("ranks or alphas that differ", { from: await patterned(folder, `${from}/adapter`) });
  });
});

/** A copy of an adapter whose configuration has a pattern. */
async function patterned(folder: string, adapter: string): Promise<string> {
  await Deno.mkdir(`${folder}/patterned`);
  await Deno.copyFile(`${adapter}/adapter_model.safetensors`, `${folder}/patterned/adapter_model.safetensors`);
  const config = JSON.parse(await Deno.readTextFile(`${adapter}/adapter_config.json`));
  const text = JSON.stringify({ ...config, alpha_pattern: { "layer.0.*.query": 3 } });
  await Deno.writeTextFile(`${folder}/patterned/adapter_config.json`, text);
  return `${folder}/patterned`;
}

Deno.test("an adapter of another base model is refused by the base's own weights, whatever its name", async () => {
  await inFolder(async (folder) => {
    (await fineTune({ ...settings, adapter: "1lora", lr: 0.01, steps: 1, out: `${folder}/run` }))[Symbol.dispose]();
    const model = await openModel(base);
    const { params } = await loadParams(model, key(0));
    const [changed] = Object.entries(params).filter(([path]) => path.endsWith("query.weight"))[0];
    const other = { ...params, [changed]: add(params[changed], 0.01) };
    await saveModel(model, other, `${folder}/other`);
    dispose([params as Record<string, Tensor>, other[changed]]);
    await openTrained(base, { adapter: `${folder}/run`, key: key(0) }).then(({ params }) =>
      dispose(params as Record<string, Tensor>)
    );
    const message = "found an adapter of another base model: there";
    const adapter = `${folder}/run`;
    await assertRejects(() => openTrained(`${folder}/other`, { adapter, key: key(0) }), OneloraError, message);
    await assertRejects(() => load(`${folder}/other`, { adapters: { adapter } }), OneloraError, message);
    await assertRejects(
      () => fineTune({ ...settings, model: `${folder}/other`, from: adapter, steps: 1 }),
      OneloraError,
      message,
    );
  });
});

Deno.test("adapters are switched, stacked, renamed and removed over one base, whose bytes stay and which nothing joins", async () => {
  await inFolder(async (folder) => {
    (await fineTune({ ...settings, adapter: "dora", lr: 0.05, steps: 2, out: `${folder}/two` }))[Symbol.dispose]();
    const adapters = { a: product("a"), b: product("b"), two: `${folder}/two` };
    const images = await pixels();
    const started = memory().numTensors;
    {
      using served = await load(base, { adapters });
      const bytes = Object.entries(served.params).map(([path, tensor]) => [path, tensor.dataSync().slice()] as const);
      const logits = async (...names: readonly string[]) => {
        const { layer, params } = await served.use(...names);
        return tidy(() => apply(layer, params)(images).dataSync().slice());
      };
      const held = memory().numTensors;
      const plain = await logits();
      for (const name of ["a", "b"]) {
        const { logits: expected } = await fixture(`${product(name)}/expected.safetensors`);
        const { layer, params } = await served.use(name);
        const found = tidy(() => apply(layer, params)(images));
        assertClose(found, expected, 1e-5, name);
        dispose([found, expected]);
      }
      const both = (await fixture(`${root}/peft-products/stacked.safetensors`))["a+b"];
      const stacked = await served.use("a", "b");
      const found = tidy(() => apply(stacked.layer, stacked.params)(images));
      assertClose(found, both, 1e-5, "stacked");
      dispose([found, both]);
      using alone = await load(`${folder}/two`);
      const [one, other] = await Promise.all([served.use("two"), served.use("a")]);
      const input = grey(205);
      assertEquals(await one.predict(input), await alone.predict(input));
      assertEquals((await other.predict(input)).length > 0, true);
      alone[Symbol.dispose]();
      assertEquals(await logits(), plain);
      assertEquals(memory().numTensors, held);
      await assertRejects(() => served.use("c"), OneloraError, '"c"');
      await assertRejects(() => served.add("a", product("c")), OneloraError, '"a", which there is');
      await assertRejects(() => served.use("a", "two"), OneloraError, "dora in it");
      served.rename("a", "first");
      assertEquals(served.names(), ["b", "two", "first"]);
      served.remove("first");
      await served.add("a", product("a"));
      assertEquals(memory().numTensors, held);
      for (const [path, before] of bytes) assertEquals(served.params[path].dataSync(), before, path);
    }
    assertEquals(memory().numTensors, started);
    images.dispose();
  });
});
