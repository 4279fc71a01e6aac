/**
 * DoRA: weight-decomposed low-rank adaptation (Liu et al. 2024).
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { flow } from "fp-ts/function";
import { derived } from "../dsl/initialise.ts";
import { parameter } from "../dsl/layer.ts";
import { addLowRank, type LinearBase, scaleRows } from "../dsl/linear_change.ts";
import type { LowRank } from "../dsl/ops/low_rank.ts";
import { type Adapter, at, stage, trainable } from "./adapter.ts";
import {
  loraDropout,
  loraFactors,
  loraFields,
  type LoraOptions,
  loraOptions,
  loraScale,
  loraSettings,
  loraUpdate,
  loraValues,
} from "./lora.ts";
import { type Method, method } from "./method.ts";

/** Squared L2 norm of every row: [d, k] -> [d]. */
function squaredRowNorms(weight: tf.Tensor): tf.Tensor1D {
  return tf.sum(tf.square(weight), 1);
}

/**
 * Row norms of W0 + s B A in closed form, never forming the sum:
 * n^2 = |W0|^2 + 2 s B . (W0 A^T) + s^2 B . (B A A^T), row by row.
 *
 * @param weight W0, [d, k]
 * @param weightNorms |W0|^2 by row, [d]
 * @param update B and A
 * @returns n, [d]
 */
function rowNorms(weight: tf.Tensor2D, weightNorms: tf.Tensor, update: LowRank): tf.Tensor1D {
  const up = update.up as tf.Tensor2D;
  const down = update.down as tf.Tensor2D;
  const cross = tf.sum(tf.mul(up, tf.matMul(weight, down, false, true)), 1);
  const own = tf.sum(tf.mul(up, tf.matMul(up, tf.matMul(down, down, false, true))), 1);
  return tf.sqrt(
    tf.add(weightNorms, tf.add(tf.mul(cross, 2 * update.scale), tf.mul(own, update.scale ** 2))),
  );
}

/** m / n with n a constant in the gradient, as in the reference implementation (DoRA paper, section 4.3). */
function magnitudeOverNorm(m: tf.Tensor1D, norms: () => tf.Tensor1D): tf.Tensor1D {
  return tf.customGrad((...inputs: unknown[]) => {
    const save = inputs[1] as tf.GradSaveFunc;
    const n = norms();
    save([n]);
    return { value: tf.div(m, n), gradFunc: (dy: tf.Tensor, [n]: tf.Tensor[]) => tf.div(dy, n) };
  })(m) as tf.Tensor1D;
}

/**
 * y = m / n * (W0 + s B A) x + b0, n the row norms of W0 + s B A. `m` [d] starts as the row norms of W0.
 * r (k + d) + d parameters per layer. With dropout, a training step computes W0 x + (m / n - 1) * W0 x~ + m / n * s B A x~ + b0
 * where x~ = mask * x / (1 - p), as PEFT does.
 *
 * @param options As LoRA's
 */
export function dora(options: LoraOptions = {}): Adapter {
  return {
    name: "dora",
    fit: (shape) => ({
      name: "dora",
      stage: stage.rows,
      params: {
        ...loraFactors(shape, options.rank ?? 1),
        m: trainable([shape.outFeatures], derived(["weight"], (weight) => tf.sqrt(squaredRowNorms(weight)))),
        norms: parameter([shape.outFeatures], derived(["weight"], squaredRowNorms)),
      },
      draws: (options.dropout ?? 0) > 0,
      reform: (param, draw) => {
        const dropout = loraDropout(options, draw);
        const update = loraUpdate(param, loraScale(options), dropout);
        // |W0|^2 is kept from the start unless W0 moves too.
        const squared = ({ weight, trainsWeight }: LinearBase) =>
          trainsWeight ? squaredRowNorms(weight) : param("norms");
        const gain = (base: LinearBase) =>
          magnitudeOverNorm(param("m") as tf.Tensor1D, () => rowNorms(base.weight, squared(base), update));
        return flow(addLowRank(update), scaleRows(gain, dropout));
      },
    }),
  };
}

/** DoRA, described. */
export const doraMethod: Method = method({
  name: "dora",
  summary: "y = m / n * (W0 + s B A) x + b0, n the row norms of W0 + s B A",
  settings: loraSettings,
  build: (values, target) => at(target, dora(loraOptions(values))),
  peft: {
    type: "LORA",
    tensors: { A: { key: "lora_A.weight" }, B: { key: "lora_B.weight" }, m: { key: "lora_magnitude_vector" } },
    fields: (values) => loraFields(values, true),
    values: (fields) => loraValues(fields, true),
  },
});
