/**
 * Adapters on the encoder of Depth Anything: equal to PyTorch's.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { fileOf } from "../../dsl/files/path.ts";
import { adapt, mergeParams, parameterCounts } from "../../adapters/mod.ts";
import { useBackend } from "../../dsl/engine/mod.ts";
import {
  apply,
  combine,
  compile,
  init,
  isTrainable,
  key,
  type Layer,
  mse,
  type Params,
  partition,
  valueAndGradients,
} from "../../dsl/mod.ts";
import { loadParams, type Model, openModel } from "../../models/mod.ts";
import { methods } from "../support/adapter_methods.ts";
import { available } from "../support/available.ts";
import { assertClose, fixture, withoutLeaks } from "../support/compare.ts";
import { assertSlopes, assertSteps, type MethodsTable } from "../support/pytorch_adapters.ts";

const root = fileOf(new URL("../fixtures", import.meta.url));
const table: MethodsTable = JSON.parse(await Deno.readTextFile(`${root}/depth-adapters/methods.json`));
const base = `${root}/${table.base}`;

interface Adapted {
  readonly model: Model;
  readonly layer: Layer;
  readonly params: Params;
  readonly pixels: tf.Tensor;
  readonly loss: (params: Params) => tf.Scalar;
}

/** The adapted model at init, or with the fixture's values laid over. */
async function adapted(spec: string, over: Params = {}, qkv?: "fused"): Promise<Adapted> {
  const model = await openModel(base, { qkv });
  const { params } = await loadParams(model, key(0));
  const layer = adapt(spec)(model.layer);
  const { pixel_values: pixels, target } = await fixture(`${base}/expected.safetensors`);
  return {
    model,
    layer,
    params: init(layer, key(0), { ...params, ...over }),
    pixels,
    loss: (params) => mse(apply(layer, params)(pixels), target) as tf.Scalar,
  };
}

// Every method is held against PyTorch's on the plain engine in `tests/adapters`, and on TensorFlow in `llama_adapters_test.ts`, or here
// if LLaMA has none of it. Of this model both then show the layers, for which the paper's method and the one whose arithmetic is
// longest are enough.
const elsewhere: readonly string[] = ["1lora", "dora-r2", "scale", "norms"];

for (const name of Object.keys(table.methods)) {
  const file = `${root}/depth-adapters/${name}.safetensors`;

  for (const backend of await available("wasm", "cpu", "tensorflow")) {
    if (backend !== "wasm" && !elsewhere.includes(name)) continue;
    Deno.test(`${name} on Depth Anything: depth, loss, gradients equal PyTorch's, merged too (${backend})`, async () => {
      await useBackend(backend);
      await withoutLeaks(async () => {
        const expected = await fixture(file);
        const { model, layer, params, pixels, loss } = await adapted(methods[name], await fixture(file, "point."));
        assertClose(apply(layer, params)(pixels), expected.predicted_depth, 1e-5, "depth");
        await assertSlopes({ layer, params, loss }, file);
        const merged = mergeParams(layer, params).params;
        assertClose(apply(model.layer, merged)(pixels), expected.predicted_depth, 1e-5, "merged depth");
      });
    });
  }

  Deno.test(`${name} on Depth Anything: bit-identical at init, then ten AdamW steps follow PyTorch's`, async () => {
    await useBackend("wasm");
    await withoutLeaks(async () => {
      const { model, layer, params, pixels, loss } = await adapted(methods[name], await fixture(file, "init."));
      const { trainable } = table.methods[name];
      assertEquals(parameterCounts(layer, model.headPath).adapter, trainable);
      const fresh = await adapted(methods[name]);
      assertEquals(apply(layer, fresh.params)(pixels).dataSync(), apply(model.layer, params)(pixels).dataSync());
      assertSteps({ layer, params, loss }, table, name);
    });
  });
}

Deno.test("1LoRA on fused query, key and value is 1LoRA on each of them", async () => {
  await useBackend("wasm");
  await withoutLeaks(async () => {
    const expected = await fixture(`${root}/depth-adapters/1lora.safetensors`);
    const point = await fixture(`${root}/depth-adapters/1lora.safetensors`, "point.");
    const together = Array.from({ length: 4 }, (_, i) => {
      const attention = `backbone.encoder.layer.${i}.attention.attention`;
      const parts = ["query", "key", "value"].map((part) => point[`${attention}.${part}.1lora.b`]);
      return [`${attention}.qkv.1lora.b`, tf.concat(parts)] as const;
    });
    const others = Object.entries(point).filter(([path]) => !/\.(query|key|value)\./.test(path));
    const { layer, params, pixels } = await adapted("1lora", Object.fromEntries([...others, ...together]), "fused");
    assertClose(apply(layer, params)(pixels), expected.predicted_depth, 1e-5, "depth");
  });
});

for (const backend of await available("wasm", "tensorflow", "cpu")) {
  Deno.test(`compiled gradients of Depth Anything equal eager ones, of adapters and of everything (${backend})`, async () => {
    await useBackend(backend);
    for (const spec of ["1lora", "dora:rank=2", "all"]) {
      await withoutLeaks(async () => {
        const { layer, params, pixels } = await adapted(spec);
        const target = tf.ones(pixels.shape.filter((_, axis) => axis !== 1));
        const { kept, rest } = partition<tf.Tensor>(isTrainable(layer))(params);
        const step = (trained: Params, frozen: Params, images: tf.Tensor) =>
          valueAndGradients((some) => ({
            loss: mse(apply(layer, combine(some, frozen))(images), target) as tf.Scalar,
          }))(trained).gradients;
        const compiled = compile(step);
        const [eager, replayed] = [step(kept, rest, pixels), compiled(kept, rest, pixels)];
        for (const path of Object.keys(kept)) assertClose(replayed[path], eager[path], 2e-5, `${spec}: ${path}`);
        compiled.dispose();
      });
    }
  });
}
