/**
 * Adapted models beside PyTorch's: gradients, and losses of ten steps of AdamW.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { adamw, type AnyLayer, combine, isTrainable, type Params, partition } from "../../dsl/mod.ts";
import { assertClose, fixture, gradients } from "./compare.ts";

/** What a folder of fixtures says of its methods. */
export interface MethodsTable {
  /** The folder of the model, beside it. */
  readonly base: string;
  /** The optimiser's settings. */
  readonly optimiser: { readonly lr: number; readonly weight_decay: number };
  /** Parameters that each method trains, those of the head apart, and the losses of its steps. */
  readonly methods: Readonly<
    Record<string, { readonly trainable: number; readonly head?: number; readonly trajectory: readonly number[] }>
  >;
}

/** An adapted model whose loss is a function of its parameters. */
export interface Adapted {
  readonly layer: AnyLayer;
  readonly params: Params;
  readonly loss: (params: Params) => tf.Scalar;
}

/** Asserts that the loss and the gradients of all that is trained are those of a file. */
export async function assertSlopes({ layer, params, loss }: Adapted, file: string): Promise<void> {
  const { loss: expected } = await fixture(file);
  assertClose(loss(params), expected, 1e-5, "loss");
  const { kept, rest } = partition<tf.Tensor>(isTrainable(layer))(params);
  const found = gradients((some) => loss(combine(some, rest)), kept);
  const wanted = await fixture(file, "grad.");
  assertEquals(Object.keys(found).sort(), Object.keys(wanted).sort());
  for (const path of Object.keys(found)) assertClose(found[path], wanted[path], 2e-5, `gradient of ${path}`);
}

/** Asserts that AdamW's steps have a method's losses, and that they move all that is trained. */
export function assertSteps({ layer, params, loss }: Adapted, table: MethodsTable, method: string): void {
  const { kept, rest } = partition<tf.Tensor>(isTrainable(layer))(params);
  const optimiser = adamw({ weightDecay: table.optimiser.weight_decay });
  let [trained, state] = [kept, optimiser.init(kept)];
  for (const [step, wanted] of table.methods[method].trajectory.entries()) {
    const found = loss(combine(trained, rest)).dataSync()[0];
    assert(Math.abs(found - wanted) <= 1e-4 * Math.max(1, wanted), `step ${step}: ${found}, ${wanted}`);
    const slope = gradients((some) => loss(combine(some, rest)), trained);
    const next = optimiser.update(slope, state, trained, tf.scalar(table.optimiser.lr));
    [trained, state] = [next.params, next.state];
  }
  for (const path of Object.keys(kept)) {
    assert(tf.max(tf.abs(tf.sub(trained[path], kept[path]))).dataSync()[0] > 0, path);
  }
}
