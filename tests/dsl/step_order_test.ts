import { assertEquals } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { type PureStep, startResident, useBackend } from "../../dsl/mod.ts";
import { available } from "../support/available.ts";

/** Halves a parameter and counts steps; parts of the same shape, which would be taken for each other. */
const step: PureStep = ({ frozen, trained, optimiser }, { x }) => [
  { frozen, trained: { p: tf.mul(trained.p, frozen.p) }, optimiser: { p: tf.add(optimiser.p, x) } },
  { loss: tf.sum(tf.mul(trained.p, x)) as tf.Scalar },
];

for (const backend of ["cpu", "wasm", ...await available("tensorflow")] as const) {
  Deno.test(`parts of a state are told apart by their names, in whatever order they come (${backend})`, async () => {
    await useBackend(backend);
    const [frozen, trained, optimiser] = [0.5, 3, 7].map((value) => ({ p: tf.fill([2], value) }));
    const resident = startResident(step, { optimiser, trained, frozen });
    const x = tf.tensor1d([1, 1]);
    assertEquals(await resident.step({ x }), { loss: 6 });
    assertEquals(await resident.step({ x }), { loss: 3 });
    const state = resident.read();
    const values = [state.frozen.p, state.trained.p, state.optimiser.p].map((tensor) => tensor.dataSync()[0]);
    assertEquals(values, [0.5, 0.75, 9]);
    tf.dispose([state.frozen, state.trained, state.optimiser, x]);
    resident.dispose();
  });
}
