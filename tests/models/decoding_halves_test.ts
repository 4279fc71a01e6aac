/** Weights of a file in bf16 that stay so where texts are gone on with. */
import * as tf from "@tensorflow/tfjs-core";
import { assertEquals, assertRejects } from "@std/assert";
import { checkBase, sampleBase } from "../../adapters/exchange/base.ts";
import { engineInUse } from "../../dsl/engine/in_use.ts";
import { storedForm } from "../../dsl/engine/stored.ts";
import { type AnyLayer, init, key, OneloraError, type Params, useBackend } from "../../dsl/mod.ts";
import { asLanguageModel, generateAll, loadParams, openModel, saveModel } from "../../models/mod.ts";
import { heldForms } from "../../models/checkpoint/load.ts";
import { available } from "../support/available.ts";
import { withoutLeaks } from "../support/compare.ts";

function free(...all: readonly Params[]): void {
  for (const params of all) tf.dispose(params as Record<string, tf.Tensor>);
}

for (const backend of await available("tensorflow", "wasm")) {
  Deno.test(`bf16 of a file stays so for decoding where the engine reads it, and the answers the same (${backend})`, async () => {
    await useBackend(backend);
    const folder = await Deno.makeTempDir();
    try {
      await withoutLeaks(async () => {
        const preset = await openModel("llama-micro");
        const drawn = init(preset.layer, key(1));
        await saveModel(preset, drawn, folder, { dtype: "BF16" });
        const model = await openModel(folder);
        const [read, numbers] = [
          (await loadParams(model, key(0), model.layer, { decoding: true })).params,
          (await loadParams(model, key(0))).params,
        ];
        const stays = engineInUse().readsHalf?.() === true;
        const forms = await heldForms(model, model.layer, { decoding: true });
        for (const [path, tensor] of Object.entries(read)) {
          const expected = stays && numbers[path].shape.length === 2 ? "bf16" : undefined;
          assertEquals([storedForm(tensor), forms.get(path)], [expected, expected], path);
          assertEquals(storedForm(numbers[path]), undefined);
        }
        const layer = asLanguageModel(model, model.layer);
        // Few rows, which the kernel takes, and one text of more than it does.
        const long = Array.from({ length: 70 }, (_, i) => (i * 7) % 20);
        for (const prompts of [[[3, 1, 4], [1, 5], [9, 2, 6, 5]], [long]]) {
          const [made, expected] = [
            await generateAll(layer, read, prompts, { maxTokens: 6, key: key(0) }),
            await generateAll(layer, numbers, prompts, { maxTokens: 6, key: key(0) }),
          ];
          assertEquals(made, expected);
        }
        const sample = await sampleBase(model.layer as AnyLayer, numbers);
        await checkBase("adapter", sample, read);
        const [changed] = Object.keys(sample).filter((path) => numbers[path].shape.length === 2);
        const other = { ...sample, [changed]: sample[changed].map((value) => value + 0.1) };
        await assertRejects(() => checkBase("adapter", other, read), OneloraError, `there "${changed}" begins`);
        free(drawn, read, numbers);
      });
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
}
