/** Weights of models of pictures keep their type: from file to session, through evaluations, merging and saving. @module */
import { assert, assertEquals } from "@std/assert";
import { dispose, type Tensor } from "@tensorflow/tfjs-core";
import { key, type Params, useBackend } from "../../dsl/mod.ts";
import { storedForm } from "../../dsl/engine/stored.ts";
import { readable } from "../../dsl/hold.ts";
import { specs } from "../../dsl/layer.ts";
import { fromBfloat16, toBfloat16, toFloat32 } from "../../dsl/safetensors/dtype.ts";
import { loadParams, openModel, saveModel } from "../../models/mod.ts";
import { openCheckpoint } from "../../models/checkpoint/checkpoint.ts";
import { fineTune } from "../../tasks/mod.ts";
import { mergeAway, mergeOpened, openTrained } from "../../tasks/open.ts";
import { available } from "../support/available.ts";
import { withoutLeaks } from "../support/compare.ts";

const models = ["vit-micro", "dpt-micro", "dit-micro"] as const;
const [engine] = await available("tensorflow");

function free(params: Params): void {
  dispose(params as Record<string, Tensor>);
}

/** A model's folder in bfloat16, and in float32 with the same numbers. */
async function inHalves(name: string): Promise<{ readonly folder: string } & AsyncDisposable> {
  await useBackend("cpu");
  const model = await openModel(name);
  const { params } = await loadParams(model, key(0));
  const folder = await Deno.makeTempDir();
  await saveModel(model, params, folder, { dtype: "BF16" });
  free(params);
  return { folder, [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }) };
}

/** Whether a path's tensor can be kept in halves. */
function canBe(layer: Parameters<typeof specs>[0]): (path: string) => boolean {
  const all = specs(layer);
  return (path) => all[path].shape.length > 1 && all[path].trainable !== true;
}

for (const name of models) {
  Deno.test({
    name: `${name}: float32 is rounded tensor by tensor for bf16, and a file's bf16 stays for passes and for bf16`,
    ignore: engine === undefined,
    fn: async () => {
      await using halves = await inHalves(name);
      await useBackend("tensorflow");
      await withoutLeaks(async () => {
        const [whole, half] = [await openModel(name), await openModel(halves.folder)];
        const isHalf = canBe(whole.layer);
        const cases = [
          [whole, { precision: "bf16" }, "bf16"],
          [half, { precision: "bf16" }, "bf16"],
          [half, { reading: "passes" }, "bf16"],
          [whole, { reading: "passes" }, undefined],
          [half, {}, undefined],
        ] as const;
        for (const [model, holding, form] of cases) {
          const { params } = await loadParams(model, key(0), model.layer, holding);
          for (const [path, tensor] of Object.entries(params)) {
            assertEquals(storedForm(tensor), isHalf(path) ? form : undefined, `${path} ${JSON.stringify(holding)}`);
          }
          free(params);
        }
      });
    },
  });
}

Deno.test({
  name: "what no file holds is drawn in bf16 too, as numbers that are rounded",
  ignore: engine === undefined,
  fn: async () => {
    await useBackend("tensorflow");
    await withoutLeaks(async () => {
      const model = { ...await openModel("vit-micro"), folder: undefined, weights: undefined };
      const plain = (await loadParams(model, key(3))).params;
      const kept = (await loadParams(model, key(3), model.layer, { precision: "bf16" })).params;
      const found = Object.keys(plain).find(canBe(model.layer))!;
      assertEquals(storedForm(kept[found]), "bf16");
      const wide = readable(kept[found]);
      assertEquals(wide.dataSync<"float32">(), fromBfloat16(toBfloat16(plain[found].dataSync<"float32">())));
      wide.dispose();
      free(plain);
      free(kept);
    });
  },
});

Deno.test({
  name: "a classifier fine-tuned in bf16 keeps bf16, predicts, and is merged and saved with its numbers",
  ignore: engine === undefined,
  fn: async () => {
    const image = (grey: number) => ({ data: new Uint8Array(28 * 28).fill(grey), width: 28, height: 28 });
    const data = Array.from({ length: 12 }, (_, i) => ({ image: image(i % 2 * 200 + i), label: i % 2 ? "a" : "b" }));
    const run = { model: "vit-micro", data, adapter: "1lora", steps: 3, backend: "tensorflow" } as const;
    using tuned = await fineTune({ ...run, precision: "bf16" });
    const weights = Object.entries(tuned.params).filter(([, each]) => storedForm(each) === "bf16");
    assert(weights.length > 20, `${weights.length} in bf16`);
    const [first] = await tuned.predict(image(210));
    using merged = await tuned.merge();
    const [same] = await merged.predict(image(210));
    assertEquals(same.label, first.label);
    assert(Math.abs(same.probability - first.probability) < 1e-4, `${same.probability}, ${first.probability}`);
    const folder = await Deno.makeTempDir();
    try {
      await merged.save(folder);
      await using file = await openCheckpoint(folder);
      const path = Object.keys(merged.params).find((each) => each.endsWith("query.weight"))!;
      const saved = toFloat32(await file.read(`vit.${path}`));
      const numbers = merged.params[path].dataSync<"float32">();
      // To the type of the model's own file.
      const furthest = saved.reduce((most, value, i) => Math.max(most, Math.abs(value - numbers[i])), 0);
      assert(furthest <= 2 ** -9 * numbers.reduce((most, value) => Math.max(most, Math.abs(value)), 0), `${furthest}`);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});

Deno.test("merging into a file in bf16 keeps it so, to the bytes of float32 that is rounded as it is written", async () => {
  await using halves = await inHalves("vit-micro");
  await useBackend("wasm");
  const image = (grey: number) => ({ data: new Uint8Array(28 * 28).fill(grey), width: 28, height: 28 });
  const data = Array.from({ length: 12 }, (_, i) => ({ image: image(i % 2 * 200 + i), label: i % 2 ? "a" : "b" }));
  const adapter = await Deno.makeTempDir();
  const outs = [await Deno.makeTempDir(), await Deno.makeTempDir()];
  try {
    {
      using tuned = await fineTune({ model: halves.folder, data, adapter: "1lora+bitfit", steps: 2, backend: "wasm" });
      await tuned.save(adapter);
    }
    await useBackend("cpu");
    await withoutLeaks(async () => {
      const plain = await mergeOpened(await openTrained(halves.folder, { adapter, key: key(0) }));
      const opened = await openTrained(halves.folder, { adapter, key: key(0), holding: { reading: "passes" } });
      const kept = await mergeAway(opened, true);
      const isHalf = canBe(kept.model.layer);
      const odd = Object.entries(kept.params).filter(([path, each]) => isHalf(path) !== (storedForm(each) === "bf16"));
      // A head that was trained is float32 until it is written.
      assert(odd.every(([path]) => path.startsWith("classifier")), odd.map(([path]) => path).join());
      await saveModel(plain.model, plain.params, outs[0]);
      await saveModel(kept.model, kept.params, outs[1]);
      const [a, b] = await Promise.all(outs.map((out) => Deno.readFile(`${out}/model.safetensors`)));
      assertEquals(a, b);
      free(plain.params);
      free(kept.params);
    });
  } finally {
    for (const folder of [adapter, ...outs]) await Deno.remove(folder, { recursive: true });
  }
});
