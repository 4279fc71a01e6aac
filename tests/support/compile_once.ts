/**
 * A process that compiles a small step as one function and prints what comes of it.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { startResident, useBackend } from "../../dsl/mod.ts";

await useBackend("tensorflow");
const resident = startResident(
  ({ frozen, trained: { w }, optimiser }, { x }) => {
    const next = tf.add(w, tf.tanh(tf.matMul(x, frozen.kernel)));
    return [{ frozen, trained: { w: next }, optimiser }, { loss: tf.sum(next) as tf.Scalar }];
  },
  { frozen: { kernel: tf.fill([8, 8], 0.25) }, trained: { w: tf.ones([8, 8]) }, optimiser: {} },
  { graph: "whole" },
);
console.log(JSON.stringify(await resident.step({ x: tf.fill([8, 8], 0.5) })));
