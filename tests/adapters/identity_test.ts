/**
 * An adapter starts as nothing: whole models of every family give the base model's bits with any method at its first
 * values, on every backend, computed call by call or compiled.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { adapt } from "../../adapters/mod.ts";
import { apply, compile, init, key, type Layer, type Params, useBackend } from "../../dsl/mod.ts";
import { loadParams, openModel } from "../../models/mod.ts";
import { methods } from "../support/adapter_methods.ts";
import { available } from "../support/available.ts";
import { withoutLeaks } from "../support/compare.ts";

const pixels = (...shape: readonly number[]) => tf.randomNormal([2, ...shape], 0, 1, "float32", 1);

const inputs: Readonly<Record<string, () => readonly tf.Tensor[]>> = {
  "vit-micro": () => [pixels(1, 28, 28)],
  "dpt-micro": () => [pixels(3, 56, 56)],
  "llama-micro": () => [tf.tensor2d(Int32Array.from({ length: 48 }, (_, i) => 1 + (i * 7) % 40), [2, 24], "int32")],
  "dit-micro": () => [pixels(1, 28, 28), tf.tensor1d([0, 400], "int32"), tf.tensor1d([1, 2], "int32")],
};

/** Specifications whose patterns are those of one family. */
const every: Readonly<Record<string, string>> = {
  ...methods,
  ia3: "ia3:feedforward={**.fc2,**.output.dense,**.down_proj}",
};

/**
 * What is tried on a model. What a method computes in a layer is the same in all families, so every method is tried on the
 * ViT; what differs is where they are placed and the weights that DoRA's magnitudes divide, which these cover. Plain
 * JavaScript is slow: these will do there.
 */
function specsOf(name: string, backend: string): readonly string[] {
  if (name === "vit-micro" && backend !== "cpu") return Object.values(every);
  return ["1lora+bias+scale+norms", "dora-r2", "mora6", "difffit", "ia3"].map((method) => every[method]);
}

type Forward = (params: Params, given: Params) => tf.Tensor;

function forward(layer: Layer): Forward {
  return (params, given) => apply(layer as Layer<readonly tf.Tensor[]>, params)(...Object.values(given));
}

/** The output of a layer, computed call by call or compiled. */
function outputs(isCompiled: boolean, layer: Layer, params: Params, given: Params): tf.TypedArray {
  const program = isCompiled ? compile(forward(layer)) : undefined;
  // Its numbers are read outside: `tidy` would look at each that it returns.
  const y = program?.(params, given) ?? tf.tidy(() => forward(layer)(params, given));
  const values = y.dataSync();
  y.dispose();
  program?.dispose();
  return values;
}

for (const backend of await available("wasm", "cpu", "tensorflow")) {
  for (const [name, given] of Object.entries(inputs)) {
    Deno.test(`${name}: every method starts with the base model's bits (${backend})`, async () => {
      await useBackend(backend);
      await withoutLeaks(async () => {
        const model = await openModel(name);
        const { params: base } = await loadParams(model, key(0));
        // Plain JavaScript is slow: one example will do there.
        const examples = backend === "cpu" ? 1 : 2;
        const xs = Object.fromEntries(given().map((tensor, i) => [`${i}`, tf.slice(tensor, 0, examples)]));
        for (const isCompiled of ["cpu"].includes(backend) ? [false] : [false, true]) {
          const expected = outputs(isCompiled, model.layer, base, xs);
          for (const spec of specsOf(name, backend)) {
            const layer = adapt(spec)(model.layer);
            const found = outputs(isCompiled, layer, init(layer, key(0), base), xs);
            assertEquals(found, expected, `${spec}, ${isCompiled ? "compiled" : "call by call"}`);
          }
        }
      });
    });
  }
}
