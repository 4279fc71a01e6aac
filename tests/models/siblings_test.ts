/** Mistral, Qwen2 and SmolLM3 beyond what LLaMA's own tests show of them: adapters, merging, decoding, configurations. @module */
import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { fileOf } from "../../dsl/files/path.ts";
import { adapt } from "../../adapters/mod.ts";
import { apply, count, init, isTrainable, key, OneloraError, partition, specs, useBackend } from "../../dsl/mod.ts";
import { type CausalLanguageModel, generateAll, loadParams, openModel, saveModel } from "../../models/mod.ts";
import { llamaFamily } from "../../models/llama/llama.ts";
import { mistralFamily, qwen2Family, smollm3Family } from "../../models/llama/siblings.ts";
import { mergeOpened } from "../../tasks/mod.ts";
import { planTraining } from "../../tasks/kinds.ts";
import { methods } from "../support/adapter_methods.ts";
import { assertClose, fixture, gradients } from "../support/compare.ts";
import { languageLoss } from "../support/language.ts";

const names = ["mistral-window", "qwen2-tied", "smollm3-plain"];
const folder = (name: string) => fileOf(new URL(`../fixtures/${name}`, import.meta.url));

async function opened(name: string) {
  await useBackend("cpu");
  const model = await openModel(folder(name));
  const { params } = await loadParams(model, key(0));
  const expected = await fixture(`${folder(name)}/expected.safetensors`);
  return { model, params, expected };
}

for (const name of names) {
  Deno.test(`${name}: 1LoRA's gradient is the row sum of transformers' weight gradient`, async () => {
    const { model, params: base, expected } = await opened(name);
    const { input_ids: ids, attention_mask: mask } = expected;
    const layer = adapt("1lora")(model.layer as CausalLanguageModel);
    const params = init(layer, key(0), base);
    const { kept, rest } = partition<tf.Tensor>(isTrainable(layer))(params);
    const found = gradients(
      (trained) => languageLoss(apply(layer, { ...rest, ...trained })(ids, mask), ids, mask),
      kept,
    );
    const linears = Object.keys(found).map((path) => path.replace(/\.1lora\.b$/, ""));
    assertEquals(linears.length, 7 * (model.config.num_hidden_layers as number));
    for (const path of linears) {
      assertClose(found[`${path}.1lora.b`], tf.sum(expected[`grad.${path}.weight`], 1), 1e-5, path);
    }
  });

  Deno.test(`${name} reads on, with what was read kept, as transformers does`, async () => {
    const { model, params, expected: { prompt_ids, prompt_mask, continuation } } = await opened(name);
    const mask = prompt_mask.arraySync() as number[][];
    const rows = (prompt_ids.arraySync() as number[][]).map((row, i) => row.filter((_, at) => mask[i][at] === 1));
    const settings = { maxTokens: continuation.shape[1]!, key: key(0) };
    const layer = model.layer as CausalLanguageModel;
    assertEquals(await generateAll(layer, params, rows, settings), continuation.arraySync());
  });

  Deno.test(`${name}: every method merges into a model that says the same, and is planned`, async () => {
    const { model, params: base, expected: { input_ids: ids } } = await opened(name);
    const mergedOf = new Set<string>();
    for (const spec of Object.values({ ...methods, ia3: "ia3:feedforward={**.down_proj}" })) {
      const layer = adapt(spec)(model.layer);
      const params = Object.fromEntries(
        Object.entries(init(layer, key(5), base)).map(([path, tensor]) =>
          [path, path in base ? tensor : tf.add(tensor, tf.randomNormal(tensor.shape, 0, 0.05, "float32", 7))] as const
        ),
      );
      const adapted = apply(layer as CausalLanguageModel, params)(ids);
      const isGiving = /bitfit|difffit/.test(spec);
      const folded = mergeOpened({ model, layer, params, initialised: [] });
      // Biases need a variant with biases: of windows there is none.
      const merged = await folded.catch((error) => {
        if (name !== "mistral-window") throw error;
        assertStringIncludes(error.message, "adapters that add no bias");
      });
      if (merged === undefined) continue;
      mergedOf.add(spec);
      const again = apply(merged.model.layer as CausalLanguageModel, merged.params)(ids);
      assertClose(again, adapted, 1e-4, `${spec} on ${name}`);
      if (!isGiving) continue;
      const at = await Deno.makeTempDir();
      try {
        await saveModel(merged.model, merged.params, at);
        const read = await openModel(at);
        assertEquals(read.family, name.startsWith("smollm3") ? "smollm3" : "llama");
        const { params: reread } = await loadParams(read, key(0));
        assertClose(apply(read.layer as CausalLanguageModel, reread)(ids), adapted, 1e-4, `${spec} read again`);
      } finally {
        await Deno.remove(at, { recursive: true });
      }
    }
    assert(["1lora", "lora", "dora"].every((method) => [...mergedOf].some((spec) => spec.startsWith(method))));
    assert(planTraining(model, adapt("1lora")(model.layer), { batch: 2, length: 8 }).trained > 0);
  });
}

Deno.test("presets have the numbers of parameters that transformers counts", async () => {
  const counts: Readonly<Record<string, number>> = JSON.parse(
    await Deno.readTextFile(new URL("../fixtures/sibling-counts.json", import.meta.url)),
  );
  for (const [preset, total] of Object.entries(counts)) {
    assertEquals(count(specs((await openModel(preset)).layer)), total, preset);
  }
});

Deno.test("configurations have transformers' defaults; what is not computed is refused by name", () => {
  const read = (family: typeof qwen2Family, json: Record<string, unknown>) => family.read(json, {}).config;
  assertEquals(read(mistralFamily, {}).sliding_window, 4096);
  assertEquals(read(mistralFamily, { sliding_window: null }).sliding_window, null);
  assertEquals(read(qwen2Family, { sliding_window: 9 }).use_sliding_window, false);
  const windowed = { use_sliding_window: true, sliding_window: 9, num_hidden_layers: 2 };
  assertEquals(read(qwen2Family, { ...windowed, max_window_layers: 0 }).sliding_window, 9);
  assertEquals(read(qwen2Family, windowed).use_sliding_window, true);
  assertEquals(read(smollm3Family, { num_hidden_layers: 5 }).no_rope_layers, [1, 1, 1, 0, 1]);
  assertEquals((read(smollm3Family, {}).rope_parameters as { readonly rope_theta: number }).rope_theta, 2e6);
  const refused: readonly (readonly [typeof qwen2Family, Record<string, unknown>, string])[] = [
    [qwen2Family, { ...windowed, max_window_layers: 1 }, "layer_types"],
    [qwen2Family, { ...windowed, max_window_layers: -1 }, "max_window_layers"],
    [qwen2Family, { num_hidden_layers: 2, layer_types: ["full_attention", "linear_attention"] }, "layer_types"],
    [smollm3Family, { num_hidden_layers: 2, no_rope_layers: [1] }, "no_rope_layers"],
    [smollm3Family, { use_sliding_window: true, sliding_window: 5 }, "use_sliding_window"],
    // Its class has windows wherever layer_types say so, and tokens that see those behind them by is_causal.
    [smollm3Family, { num_hidden_layers: 1, sliding_window: 5, layer_types: ["sliding_attention"] }, "layer_types"],
    ...[mistralFamily, qwen2Family, smollm3Family, llamaFamily].map((family) =>
      [family, { is_causal: false }, "is_causal"] as const
    ),
    [mistralFamily, { sliding_window: -1 }, "sliding_window"],
  ];
  for (const [family, json, field] of refused) {
    assertStringIncludes(assertThrows(() => family.read(json, {}), OneloraError).message, `"${field}"`);
  }
});
