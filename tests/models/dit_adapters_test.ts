/**
 * Adapters on DiT, label table trained with each: equal to PyTorch's.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { fileOf } from "../../dsl/files/path.ts";
import { adapt, mergeParams, parameterCounts } from "../../adapters/mod.ts";
import { joinMethods } from "../../adapters/spec.ts";
import { useBackend } from "../../dsl/engine/mod.ts";
import { adamw, apply, compile, init, isTrainable, key, mse, type Params, partition } from "../../dsl/mod.ts";
import {
  asConditionalDiffusion,
  type ConditionalDiffusion,
  loadParams,
  type Model,
  openModel,
} from "../../models/mod.ts";
import { trainStep } from "../../tasks/mod.ts";
import { methods } from "../support/adapter_methods.ts";
import { available } from "../support/available.ts";
import { assertClose, fixture, withoutLeaks } from "../support/compare.ts";
import { assertSlopes, assertSteps, type MethodsTable } from "../support/pytorch_adapters.ts";

const root = fileOf(new URL("../fixtures", import.meta.url));
const table: MethodsTable = JSON.parse(await Deno.readTextFile(`${root}/dit-adapters/methods.json`));
const base = `${root}/${table.base}`;

interface Adapted {
  readonly model: Model;
  readonly layer: ConditionalDiffusion;
  readonly params: Params;
  readonly run: (layer: ConditionalDiffusion, params: Params) => tf.Tensor;
  readonly loss: (params: Params) => tf.Scalar;
}

/** The adapted model at init, or with the fixture's values laid over. */
async function adapted(spec: string, over: Params = {}): Promise<Adapted> {
  const model = await openModel(base);
  const { params } = await loadParams(model, key(0));
  const layer = adapt(joinMethods(spec, model.joined))(asConditionalDiffusion(model, model.layer));
  const { latents, timesteps, labels, target } = await fixture(`${base}/expected.safetensors`);
  const run = (layer: ConditionalDiffusion, params: Params) => apply(layer, params)(latents, timesteps, labels);
  return {
    model,
    layer,
    params: init(layer, key(0), { ...params, ...over }),
    run,
    loss: (params) => mse(run(layer, params), target) as tf.Scalar,
  };
}

// Every method is held against PyTorch's on the plain engine in `tests/adapters`, and on TensorFlow in `llama_adapters_test.ts`. Of
// this model both then show the layers, for which the paper's method and the one whose arithmetic is longest are enough.
const elsewhere: readonly string[] = ["1lora", "dora-r2"];

for (const name of Object.keys(table.methods)) {
  const file = `${root}/dit-adapters/${name}.safetensors`;

  for (const backend of await available("wasm", "cpu", "tensorflow")) {
    if (backend !== "wasm" && !elsewhere.includes(name)) continue;
    Deno.test(`${name} on DiT: output, loss and gradients equal PyTorch's, merged too (${backend})`, async () => {
      await useBackend(backend);
      await withoutLeaks(async () => {
        const expected = await fixture(file);
        const { model, layer, params, run, loss } = await adapted(methods[name], await fixture(file, "point."));
        assertClose(run(layer, params), expected.output, 1e-5, "output");
        await assertSlopes({ layer, params, loss }, file);
        const merged = mergeParams(layer, params).params;
        assertClose(run(asConditionalDiffusion(model, model.layer), merged), expected.output, 1e-5, "merged output");
      });
    });
  }

  Deno.test(`${name} on DiT: bit-identical at init, then ten AdamW steps follow PyTorch's`, async () => {
    await useBackend("wasm");
    await withoutLeaks(async () => {
      const { model, layer, params, run, loss } = await adapted(methods[name], await fixture(file, "init."));
      const { trainable, head = 0 } = table.methods[name];
      assertEquals(parameterCounts(layer, model.headPath).adapter, trainable + head);
      const fresh = await adapted(methods[name]);
      const unadapted = run(asConditionalDiffusion(model, model.layer), params);
      assertEquals(run(layer, fresh.params).dataSync(), unadapted.dataSync());
      assertSteps({ layer, params, loss }, table, name);
    });
  });
}

Deno.test("compiled steps equal eager ones", async () => {
  await useBackend("wasm");
  await withoutLeaks(async () => {
    const { layer, params } = await adapted("1lora", await fixture(`${root}/dit-adapters/1lora.safetensors`, "point."));
    const { kept: trained, rest: frozen } = partition<tf.Tensor>(isTrainable(layer))(params);
    const optimiser = adamw({ weightDecay: 0 });
    const step = trainStep((all, { latents, timesteps, labels, target }) => ({
      loss: mse(apply(layer, all)(latents, timesteps, labels), target) as tf.Scalar,
    }), optimiser);
    const { latents, timesteps, labels, target } = await fixture(`${base}/expected.safetensors`);
    const batch = { latents, timesteps, labels, target, rate: tf.scalar(0.01) };
    const state = { frozen, trained, optimiser: optimiser.init(trained) };
    const compiled = compile(step);
    try {
      const [[expected, { loss: wanted }], [found, { loss }]] = [step(state, batch), compiled(state, batch)];
      assertClose(loss, wanted, 1e-6, "loss");
      for (const path of Object.keys(trained)) assertClose(found.trained[path], expected.trained[path], 1e-5, path);
    } finally {
      compiled.dispose();
    }
  });
});
