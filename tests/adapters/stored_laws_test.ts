/**
 * Frozen matrices kept as their file has them: on wasm a step of any method comes to the very bytes that it comes to with
 * their numbers in float32, losses and trained parameters.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { toQ8Blocks } from "../../dsl/block_conversion.ts";
import { storedForm } from "../../dsl/engine/stored.ts";
import { held, heldQuantised, widened } from "../../dsl/hold.ts";
import { mapTree, type Params, startResident, useBackend } from "../../dsl/mod.ts";
import { methods } from "../support/adapter_methods.ts";
import { withoutLeaks } from "../support/compare.ts";
import { type MicroStep, microStep } from "../support/micro_steps.ts";

const copied = mapTree((tensor: tf.Tensor) => tf.clone(tensor));

/** Frozen matrices in a form. */
function kept(frozen: Params, form: "bf16" | "f16" | "q8_0"): Params {
  return mapTree((tensor: tf.Tensor) => {
    const { shape } = tensor;
    if (shape.length !== 2 || shape[1] % 32 !== 0) return tf.clone(tensor);
    const data = tensor.dataSync<"float32">().slice();
    return form === "q8_0"
      ? heldQuantised({ form, shape, bytes: toQ8Blocks(shape, data) })
      : held({ dtype: "F32", shape, data }, form);
  })(frozen);
}

/** Losses of two steps, and what was trained by then. */
async function taken({ step, state, batch }: MicroStep, frozen: Params): Promise<readonly ArrayLike<number>[]> {
  const resident = startResident(step, {
    frozen,
    trained: copied(state.trained),
    optimiser: copied(state.optimiser as Params),
  });
  const losses = [await resident.step(batch), await resident.step(batch)].map(({ loss }) => loss);
  const read = resident.read();
  // Copies of what is kept are kept too.
  for (const [path, tensor] of Object.entries(read.frozen)) assertEquals(storedForm(tensor), storedForm(frozen[path]));
  const found = Object.values(read.trained).map((tensor) => tensor.dataSync().slice());
  for (const tree of Object.values(read)) tf.dispose(tree as Record<string, tf.Tensor>);
  resident.dispose();
  return [losses, ...found];
}

for (const [name, spec] of Object.entries(methods)) {
  const model = name.startsWith("ia3") || name.startsWith("miss") ? "vit-micro" : "llama-micro";
  Deno.test(`${name}: two steps on wasm come to the bytes of float32, whatever frozen matrices are kept as`, async () => {
    await useBackend("wasm");
    await withoutLeaks(async () => {
      const made = await microStep(model, spec);
      for (const form of ["bf16", "f16", "q8_0"] as const) {
        const frozen = kept(made.state.frozen, form);
        const numbers = mapTree(widened)(frozen);
        if (spec !== "all") assert(Object.values(frozen).some((tensor) => storedForm(tensor) === form), form);
        assertEquals(await taken(made, frozen), await taken(made, numbers), form);
      }
      tf.dispose([made.state, made.batch] as unknown as tf.TensorContainer);
    });
  });
}
