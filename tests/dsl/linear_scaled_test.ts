/**
 * A linear layer with low-rank updates and a gain, computed on one merged weight, against the formula spelt out.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { useBackend } from "../../dsl/mod.ts";
import { evaluate, formOf } from "../../dsl/linear_form.ts";
import { addBias, addLowRank, type Reform, scaleRows, unchanged } from "../../dsl/linear_change.ts";
import { cheaper, type LowRank } from "../../dsl/ops/low_rank.ts";
import { assertClose, withoutLeaks } from "../support/compare.ts";
import { assertEquals } from "@std/assert";
import { pipe } from "fp-ts/function";

const [rows, outFeatures, inFeatures] = [40, 5, 4];

function random(shape: number[], seed: number): tf.Tensor {
  return tf.randomNormal(shape, 0, 1, "float32", seed);
}

/** Value and gradients, of a weighted sum so that every element counts differently. */
function valueAndGradients(f: (...inputs: tf.Tensor[]) => tf.Tensor, inputs: tf.Tensor[]): tf.Tensor[] {
  const weights = random([rows, outFeatures], 9);
  return [f(...inputs), ...tf.grads((...each: tf.Tensor[]) => tf.sum(tf.mul(f(...each), weights)))(inputs)];
}

const kinds: Record<string, (up: tf.Tensor, mid: tf.Tensor, down: tf.Tensor) => LowRank> = {
  "a trained row": (up, _mid, down) => ({ up, down, scale: 2, trainsDown: true }),
  "a frozen row and a trained middle": (up, mid, down) => ({ up, mid, down, scale: 1, trainsDown: false }),
  "a sum": (up) => ({ up, down: "sum", scale: 1, trainsDown: false }),
};

for (const backend of ["cpu", "wasm"] as const) {
  for (const [kind, update] of Object.entries(kinds)) {
    for (const biased of [true, false]) {
      Deno.test(`gain on ${kind}, ${biased ? "with" : "without"} bias (${backend})`, async () => {
        await useBackend(backend);
        assertEquals(cheaper(rows, outFeatures, inFeatures, 1), "merged");
        await withoutLeaks(() => {
          tf.tidy(() => {
            const weight = random([outFeatures, inFeatures], 1) as tf.Tensor2D;
            const frozenRow = random([1, inFeatures], 2);
            const inputs = [
              random([rows, inFeatures], 3),
              tf.tensor1d([1, -0.5, 2, 1e-3, 0.7]),
              random([outFeatures, 1], 4),
              ...(kind === "a trained row" ? [random([1, inFeatures], 5)] : []),
              ...(kind === "a frozen row and a trained middle" ? [random([1], 6)] : []),
              ...(biased ? [random([outFeatures], 7)] : []),
            ];
            const named = (rest: tf.Tensor[]) => ({
              down: kind === "a trained row" ? rest[0] : frozenRow,
              mid: kind === "a frozen row and a trained middle" ? rest[0] : tf.ones([1]),
              bias: biased ? rest[rest.length - 1] as tf.Tensor1D : undefined,
            });
            const found = valueAndGradients((x, gain, up, ...rest) => {
              const { down, mid, bias } = named(rest);
              const biasing: Reform = bias === undefined ? (change) => change : addBias(bias);
              const change = pipe(
                unchanged,
                addLowRank(update(up, mid, down)),
                scaleRows(gain as tf.Tensor1D),
                biasing,
              );
              return evaluate(formOf({ weight }, change))(x);
            }, inputs);
            const expected = valueAndGradients((x, gain, up, ...rest) => {
              const { down, mid, bias } = named(rest);
              const { scale } = update(up, mid, down);
              const row = kind === "a sum" ? tf.ones([1, inFeatures]) : down;
              const delta = tf.mul(tf.mul(tf.matMul(up as tf.Tensor2D, row as tf.Tensor2D), mid), scale);
              const z = tf.matMul(x as tf.Tensor2D, tf.add(weight, delta) as tf.Tensor2D, false, true);
              return tf.add(tf.mul(z, gain), bias ?? 0);
            }, inputs);
            // The gradient of the gain divides by it: where that is 1e-3, the rounding of y counts a thousandfold.
            found.forEach((tensor, i) => assertClose(tensor, expected[i], i === 2 ? 1e-3 : 1e-5, `output ${i}`));
          });
          return Promise.resolve();
        });
      });
    }
  }
}

Deno.test("the gradient of a gain of zero is zero, and nothing becomes NaN", async () => {
  await useBackend("cpu");
  tf.tidy(() => {
    const weight = random([outFeatures, inFeatures], 1) as tf.Tensor2D;
    const gradient = tf.grad((gain: tf.Tensor) => {
      const update: LowRank = { up: random([outFeatures, 1], 4), down: "sum", scale: 1, trainsDown: false };
      const change = pipe(unchanged, addLowRank(update), scaleRows(gain as tf.Tensor1D));
      const form = formOf({ weight, bias: tf.ones([outFeatures]) }, change);
      return tf.sum(evaluate(form)(random([rows, inFeatures], 3)));
    })(tf.tensor1d([1, 0, 1, 1, 1]));
    assertEquals(gradient.dataSync()[1], 0);
    assertEquals([...gradient.dataSync()].every(Number.isFinite), true);
  });
});
