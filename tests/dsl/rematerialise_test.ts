/**
 * Rematerialised blocks: the same training step from less memory, for every family.
 *
 * @module
 */
import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import {
  combine,
  compile,
  type Params,
  rematerialiseBlocks,
  startResident,
  useBackend,
  valueAndGradients,
} from "../../dsl/mod.ts";
import { planTraining } from "../../tasks/mod.ts";
import { available } from "../support/available.ts";
import { assertClose, withoutLeaks } from "../support/compare.ts";
import { microModels, microStep, smallestModels } from "../support/micro_steps.ts";

for (const backend of await available("wasm", "tensorflow")) {
  for (const name of microModels) {
    Deno.test(`rematerialised blocks of ${name}: the same loss and gradients from less memory (${backend})`, async () => {
      await useBackend(backend);
      // Which adapter is on what is computed again is no engine's affair: one of them shows a second.
      for (const spec of backend === "wasm" ? ["1lora", "lora:rank=2+norms"] : ["1lora"]) {
        await withoutLeaks(async () => {
          const [plain, lean] = [await microStep(name, spec), await microStep(name, spec, rematerialiseBlocks)];
          const results = [plain, lean].map(({ objective, state, batch }) => {
            const compiled = compile((trained: Params, frozen: Params, batch: Params) =>
              valueAndGradients((moving) => objective(combine(moving, frozen), batch))(trained)
            );
            const { loss, gradients } = compiled(state.trained, state.frozen, batch);
            compiled.dispose();
            return { loss, gradients };
          });
          const [expected, found] = results;
          assertClose(found.loss, expected.loss, 1e-6, "loss");
          for (const path of Object.keys(expected.gradients)) {
            assertClose(found.gradients[path], expected.gradients[path], 1e-6, `${spec}: ${path}`);
          }
          const label = Object.keys(found.gradients).find((path) => path.includes("embedding_table"));
          assertEquals(label !== undefined, name === "dit-micro");
          if (label !== undefined) assert(tf.max(tf.abs(found.gradients[label])).dataSync()[0] > 0);
          const peaks = [plain, lean].map(({ model, layer }) =>
            planTraining(model, layer, { batch: 16, length: 64, backend: backend as "wasm" | "tensorflow" }).peakBytes
          );
          assert(peaks[1] < 0.95 * peaks[0], `${spec}: ${peaks}`);
        });
      }
    });
  }
}

for (const backend of await available("tensorflow")) {
  Deno.test(`resident steps on rematerialised blocks go the same way (${backend})`, async () => {
    await useBackend(backend);
    for (const name of smallestModels) {
      await withoutLeaks(async () => {
        // Plain steps are replayed: that those as a graph are the same is tested elsewhere, and graphs take long to build.
        const plain = await microStep(name, "1lora");
        const lean = await microStep(name, "1lora", rematerialiseBlocks);
        const resident = startResident(lean.step, lean.state, { onFallback: (line) => assert(false, line) });
        const compiled = compile(plain.step);
        let state = plain.state;
        for (let i = 0; i < 3; i++) {
          const found = (await resident.step(lean.batch)).loss;
          const [next, { loss }] = compiled(state, plain.batch);
          assertAlmostEquals(found / loss.dataSync()[0], 1, 1e-5, `${name}, step ${i}`);
          state = next;
        }
        resident.dispose();
        compiled.dispose();
      });
    }
  });
}
