/**
 * BitFit's weight decay is that of its published code: AdamW of the biases themselves.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { fileOf } from "../../dsl/files/path.ts";
import { adapt } from "../../adapters/mod.ts";
import {
  adamw,
  apply,
  compile,
  crossEntropy,
  init,
  isTrainable,
  key,
  linear,
  partition,
  serial,
  useBackend,
} from "../../dsl/mod.ts";
import { loadParams, openModel } from "../../models/mod.ts";
import { keyOf } from "../../models/checkpoint/keys.ts";
import { originsOf } from "../../tasks/trainer/decay.ts";
import { type TrainState, trainStep } from "../../tasks/mod.ts";
import { available } from "../support/available.ts";
import { assertClose, fixture } from "../support/compare.ts";

const root = fileOf(new URL("../fixtures", import.meta.url));

Deno.test("a bias that is trained itself decays by itself: its change has nothing besides to decay", async () => {
  await useBackend("cpu");
  const model = serial({ only: linear(3, 2) });
  const origins = (spec: string) => {
    const layer = adapt(spec)(model);
    return Object.keys(originsOf(layer, init(layer, key(0))));
  };
  assertEquals([origins("bitfit"), origins("all+bitfit")], [["only.bias.beta"], []]);
});

for (const backend of await available("wasm", "cpu", "tensorflow")) {
  Deno.test(`bitfit on ${backend} trains biases as PyTorch's AdamW does that is given the biases themselves`, async () => {
    await useBackend(backend);
    const model = await openModel(`${root}/vit-rgb`);
    const layer = adapt("bitfit")(model.layer);
    const params = init(layer, key(0), (await loadParams(model, key(0))).params);
    const { kept: trained, rest: frozen } = partition<tf.Tensor>(isTrainable(layer))(params);
    const origins = originsOf(layer, params);
    assertEquals(Object.keys(origins), Object.keys(trained));
    const optimiser = adamw({ weightDecay: 0.5, origins });
    const { pixel_values: pixels, labels } = await fixture(`${root}/vit-rgb/expected.safetensors`);
    const step = compile(trainStep(
      (all, batch) => ({ loss: crossEntropy(apply(layer, all)(batch.pixels), batch.labels) as tf.Scalar }),
      optimiser,
    ));
    let state: TrainState = { frozen, trained, optimiser: optimiser.init(trained) };
    for (let i = 0; i < 4; i++) [state] = step(state, { pixels, labels, rate: tf.scalar(0.02) });
    const expected = await fixture(`${root}/bitfit.safetensors`);
    assertEquals(Object.keys(expected).length, 10);
    for (const [path, beta] of Object.entries(state.trained)) {
      const bias = keyOf(model.keys, path.replace(".bias.beta", ".bias"));
      if (!bias.includes(".key.")) assertClose(tf.add(origins[path], beta), expected[bias], 1e-5, bias);
    }
    step.dispose();
  });
}
