import { assert, assertEquals } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { compile, key, type Params, useBackend } from "../../dsl/mod.ts";
import { widened } from "../../dsl/hold.ts";
import { storedForm } from "../../dsl/engine/stored.ts";
import type { Layer } from "../../dsl/layer.ts";
import { apply } from "../../dsl/apply.ts";
import { asLanguageModel, generateAll, loadParams, openModel } from "../../models/mod.ts";
import { available } from "../support/available.ts";
import { withoutLeaks } from "../support/compare.ts";

const [engine] = await available("tensorflow");
const ids = () => tf.tensor2d([[1, 5, 9, 30, 2, 8]], undefined, "int32");

/** Logits of a model by one compiled function. */
function logitsOf(layer: Layer, params: Params): Float32Array {
  const forward = compile((all: Params, ids: tf.Tensor) => apply(layer, all)(ids), { graph: true });
  const given = ids();
  const logits = forward(params, given);
  const values = logits.dataSync<"float32">().slice();
  tf.dispose([given, logits]);
  forward.dispose();
  return values;
}

function furthest(a: Float32Array, b: Float32Array): number {
  return a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i])), 0);
}

for (const form of ["int8", "nf4", undefined] as const) {
  Deno.test({
    name: `weights kept in ${form ?? "bf16"} give the logits and texts of the same numbers in float32`,
    ignore: engine === undefined,
    fn: async () => {
      const model = await openModel("llama-micro");
      const layer = asLanguageModel(model, model.layer);
      const holding = form === undefined ? { precision: "bf16" as const } : { quantise: form };
      // On an engine that keeps nothing in other forms these are the numbers themselves.
      await useBackend("cpu");
      const plain = (await loadParams(model, key(0), model.layer, holding)).params;
      const expected = logitsOf(layer, plain);
      const text = await generateAll(layer, plain, [[1, 5, 9]], { maxTokens: 6, key: key(0) });
      const path = "model.layers.0.mlp.up_proj.weight";
      const numbers = plain[path].dataSync<"float32">().slice();
      tf.dispose(plain as Record<string, tf.Tensor>);
      await useBackend("tensorflow");
      await withoutLeaks(async () => {
        const { params } = await loadParams(model, key(0), model.layer, holding);
        assertEquals(storedForm(params[path]), form ?? "bf16");
        const wide = widened(params[path]);
        assert(furthest(wide.dataSync<"float32">(), numbers) < 1e-7);
        wide.dispose();
        assert(furthest(logitsOf(layer, params), expected) < 1e-4, `${form}`);
        assertEquals(await generateAll(layer, params, [[1, 5, 9]], { maxTokens: 6, key: key(0) }), text);
        tf.dispose(params as Record<string, tf.Tensor>);
      });
    },
  });
}
