/** Weights that stay as their file has them where texts are gone on with, and large ones wherever an engine reads them. */
import { fileOf } from "../../dsl/files/path.ts";
import { engineKind } from "../../dsl/engine/kinds.ts";
import * as tf from "@tensorflow/tfjs-core";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { checkBase, sampleBase } from "../../adapters/exchange/base.ts";
import { engineInUse } from "../../dsl/engine/in_use.ts";
import { type StoredForm, storedForm } from "../../dsl/engine/stored.ts";
import { type AnyLayer, init, key, OneloraError, type Params, useBackend } from "../../dsl/mod.ts";
import { asLanguageModel, generateAll, loadParams, openModel, saveModel } from "../../models/mod.ts";
import { heldForms } from "../../models/checkpoint/forms.ts";
import { adapt } from "../../adapters/mod.ts";
import { ggufLanguage } from "../../models/gguf/language.ts";
import { writeGguf } from "../../models/gguf/file.ts";
import { ggufVocabulary } from "../../models/gguf/vocabulary.ts";
import { available } from "../support/available.ts";
import { output } from "../support/command.ts";
import { withoutLeaks } from "../support/compare.ts";
import { writeSmallLlama } from "../support/small_llama.ts";

const tokenizer = fileOf(new URL("../fixtures/texts/tokenizer-bytes", import.meta.url));

/** Writes a model as GGUF, matrices in Q8_0. */
async function writeAsGguf(folder: string, params: Params, path: string): Promise<void> {
  const { metadata, tensor } = ggufLanguage(await openModel(folder), "q8_0");
  const tensors = Object.entries(params).map(([name, { shape }]) =>
    tensor(name, shape, "q8_0", () => params[name].data<"float32">())
  );
  await writeGguf(path, [...metadata, ...await ggufVocabulary(tokenizer, 512)], tensors);
}

function free(...all: readonly Params[]): void {
  for (const params of all) tf.dispose(params as Record<string, tf.Tensor>);
}

const cases = (await available("tensorflow", "wasm")).flatMap((backend) =>
  (["BF16", "F16"] as const).map((dtype) => [backend, dtype, dtype === "BF16" ? "bf16" : "f16"] as const)
);

for (const [backend, dtype, half] of cases) {
  Deno.test(`${half} of a file stays so for decoding where the engine reads it, and the answers the same (${backend})`, async () => {
    await useBackend(backend);
    const folder = await Deno.makeTempDir();
    try {
      await withoutLeaks(async () => {
        const preset = await openModel("llama-micro");
        const drawn = init(preset.layer, key(1));
        await saveModel(preset, drawn, folder, { dtype });
        const model = await openModel(folder);
        const [read, numbers] = [
          (await loadParams(model, key(0), model.layer, { reading: "decoding" })).params,
          (await loadParams(model, key(0))).params,
        ];
        const stays = engineInUse().staysAsRead?.(half, [1, 1], "decoding") === true;
        const forms = await heldForms(model, model.layer, { reading: "decoding" });
        for (const [path, tensor] of Object.entries(read)) {
          const expected = stays && numbers[path].shape.length === 2 ? half : undefined;
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

Deno.test("on wasm large matrices stay as their file has them whatever is done with them, blocks too", async () => {
  await useBackend("wasm");
  const folder = await Deno.makeTempDir();
  try {
    await writeSmallLlama(folder, { hidden: 512, intermediate: 544 });
    await withoutLeaks(async () => {
      const drawn = (await loadParams(await openModel(folder), key(0))).params;
      const files: readonly (readonly [name: string, form: StoredForm])[] = [
        ["BF16", "bf16"],
        ["F16", "f16"],
        ["q8_0", "q8_0"],
      ];
      for (const [name, form] of files) {
        const path = form === "q8_0" ? `${folder}/model.gguf` : `${folder}/${name}`;
        if (form === "q8_0") await writeAsGguf(folder, drawn, path);
        else await saveModel(await openModel(folder), drawn, path, { dtype: form === "f16" ? "F16" : "BF16" });
        const model = await openModel(path);
        for (const decoding of [false, true]) {
          const { params } = await loadParams(model, key(0), model.layer, { reading: decoding ? "decoding" : "steps" });
          const forms = await heldForms(model, model.layer, { reading: decoding ? "decoding" : "steps" });
          for (const [path, tensor] of Object.entries(params)) {
            const isKept = tensor.rank === 2 && (decoding || tensor.size >= 2 ** 18);
            assertEquals(
              [storedForm(tensor), forms.get(path)],
              Array(2).fill(isKept ? form : undefined),
              `${name} ${path}`,
            );
          }
          assertEquals(new Set(Object.values(params).map(storedForm)), new Set([form, undefined]));
          free(params);
        }
        // What is trained is float32.
        const { params } = await loadParams(model, key(0), adapt("all")(model.layer));
        assertEquals(Object.values(params).filter((tensor) => storedForm(tensor) !== undefined), []);
        free(params);
      }
      free(drawn);
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a plan on wasm counts matrices as their file has them", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await writeSmallLlama(folder, { hidden: 512, intermediate: 544, dtype: "F16" });
    const planned = async (...args: readonly string[]) =>
      JSON.parse(
        await output("params", "--model", folder, "--plan", "--json", "--batch", "1", "--length", "9", ...args),
      );
    const [wasm, cpu] = [await planned("--backend", "wasm"), await planned("--backend", "cpu")];
    const numbers = 512 * 512 * 2 + 512 * 544 * 3 + (512 * 512);
    assertEquals([wasm.plan.weights.f16, cpu.plan.weights.f16], [2 * numbers, undefined]);
    assertEquals(cpu.plan.weights.float32 - wasm.plan.weights.float32, 4 * numbers);
    // For decoding the smaller ones stay, too; keys and values are the same.
    assertEquals(cpu.decoding.parameters - wasm.decoding.parameters, 2 * (numbers + 2 * 512 * 256));
    assertEquals(wasm.decoding.peakBytes < cpu.decoding.peakBytes - 1.9 * numbers, true);
    // What is read beside them is the largest matrix, on wasm in halves.
    const besides = cpu.loading - wasm.loading - (engineKind("cpu").overhead.start - engineKind("wasm").overhead.start);
    assert(besides >= 2 * numbers && besides <= 2 * numbers + 4 * 512 * 544, `${besides} of ${2 * numbers}`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
