/**
 * Adapters on LLaMA, layers without biases and of grouped key heads: equal to PyTorch's.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import type * as tf from "@tensorflow/tfjs-core";
import { fileOf } from "../../dsl/files/path.ts";
import { adapt, mergeParams, parameterCounts } from "../../adapters/mod.ts";
import { useBackend } from "../../dsl/engine/mod.ts";
import { apply, init, key, type Params } from "../../dsl/mod.ts";
import { type CausalLanguageModel, loadParams, type Model, openModel } from "../../models/mod.ts";
import { methods } from "../support/adapter_methods.ts";
import { available } from "../support/available.ts";
import { assertClose, fixture, withoutLeaks } from "../support/compare.ts";
import { assertSlopes, assertSteps, type MethodsTable } from "../support/pytorch_adapters.ts";
import { languageLoss, whereReal } from "../support/language.ts";

const root = fileOf(new URL("../fixtures", import.meta.url));
const table: MethodsTable = JSON.parse(await Deno.readTextFile(`${root}/llama-adapters/methods.json`));
const base = `${root}/${table.base}`;

interface Adapted {
  readonly model: Model;
  readonly layer: CausalLanguageModel;
  readonly params: Params;
  readonly logits: (params: Params) => tf.Tensor;
  readonly loss: (params: Params) => tf.Scalar;
}

/** The adapted model at init, or with the fixture's values laid over. */
async function adapted(name: string, over: Params = {}): Promise<Adapted> {
  const model = await openModel(base);
  const { params } = await loadParams(model, key(0));
  const layer = adapt(methods[name])(model.layer as CausalLanguageModel);
  const { input_ids: ids, attention_mask: mask } = await fixture(`${base}/expected.safetensors`);
  const run = (params: Params) => apply(layer, params)(ids, mask);
  return {
    model,
    layer,
    params: init(layer, key(0), { ...params, ...over }),
    logits: (params) => whereReal(run(params), mask),
    loss: (params) => languageLoss(run(params), ids, mask),
  };
}

const backends = await available("wasm", "cpu", "tensorflow");

// Here every method is held against PyTorch's on TensorFlow, and on the plain engine in `tests/adapters`: of this model it then shows
// the layers, for which the paper's method and the one whose arithmetic is longest are enough.
const onCpu: readonly string[] = ["1lora", "dora-r2"];

for (const name of Object.keys(table.methods)) {
  const file = `${root}/llama-adapters/${name}.safetensors`;

  for (const backend of backends) {
    if (backend === "cpu" && !onCpu.includes(name)) continue;
    Deno.test(`${name} on LLaMA: logits, loss and gradients equal PyTorch's, merged too (${backend})`, async () => {
      await useBackend(backend);
      await withoutLeaks(async () => {
        const expected = await fixture(file);
        const { model, layer, params, logits, loss } = await adapted(name, await fixture(file, "point."));
        assertClose(logits(params), expected.logits, 1e-5, "logits");
        await assertSlopes({ layer, params, loss }, file);

        const biased = await openModel(base, { biases: true });
        const merged = init(biased.layer, key(0), mergeParams(layer, params).params);
        const { input_ids: ids, attention_mask: mask } = await fixture(`${base}/expected.safetensors`);
        const plain = apply(biased.layer as CausalLanguageModel, merged)(ids, mask);
        assertClose(whereReal(plain, mask), expected.logits, 1e-5, "merged logits");
        assert(model.layer !== biased.layer);
      });
    });
  }

  Deno.test(`${name} on LLaMA: bit-identical at init, then ten AdamW steps follow PyTorch's`, async () => {
    await useBackend("wasm");
    await withoutLeaks(async () => {
      const { model, layer, params, loss } = await adapted(name, await fixture(file, "init."));
      const expected = table.methods[name];
      assertEquals(parameterCounts(layer, model.headPath).adapter, expected.trainable);
      const plain = await loadParams(model, key(0));
      const { input_ids: ids, attention_mask: mask } = await fixture(`${base}/expected.safetensors`);
      const unadapted = apply(model.layer as CausalLanguageModel, plain.params)(ids, mask);
      const fresh = await adapted(name);
      assertEquals(fresh.logits(fresh.params).dataSync(), whereReal(unadapted, mask).dataSync());

      assertSteps({ layer, params, loss }, table, name);
    });
  });
}
